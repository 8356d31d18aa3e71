"""Reader and writer of the tensor message, kind LCPT, versions 1 and 2. Python 3.9 or later, standard library only.

    import tensor_message as lcpt

    message = lcpt.TensorMessage(
        kind=lcpt.Kind.INPUT, dtype="UINT8", shape=(28, 28, 1), data=bytes(784), session=1, frame=0)
    payload = message.encode()
    again = lcpt.TensorMessage.decode(payload)

Documentation/tensor-message.md specifies the format.
"""

import enum
import struct
import zlib
from dataclasses import dataclass
from typing import Tuple

MAGIC = b"LCPT"
#: Bytes of the header by version.
HEADER_SIZES = {1: 128, 2: 160}
MAXIMUM_RANK = 8
#: The most bytes of elements that decode() takes unless told otherwise.
MAXIMUM_DATA_SIZE = 1 << 28
#: Flag bit 0: the CRC-32 of the data is present.
CHECKSUM_FLAG = 1

#: Element type number -> (name in the Open Inference Protocol, bytes of one element).
DTYPES = {
    1: ("BOOL", 1),
    2: ("UINT8", 1),
    3: ("UINT16", 2),
    4: ("UINT32", 4),
    5: ("UINT64", 8),
    6: ("INT8", 1),
    7: ("INT16", 2),
    8: ("INT32", 4),
    9: ("INT64", 8),
    10: ("FP16", 2),
    11: ("FP32", 4),
    12: ("FP64", 8),
    13: ("BF16", 2),
}
_DTYPE_NUMBERS = {name: number for number, (name, _) in DTYPES.items()}

# "<" is little-endian without padding. First what both versions have, then the rest of each.
_HEADER = struct.Struct("<4s BBBB HH I Q QQ q HH I II 16s 8I i")
_REST = {1: struct.Struct("<12s"), 2: struct.Struct("<B 3s f I Q q q I 4s")}
_VERSION_OFFSET = 4
_CHECKSUM_OFFSET = 12
_LARGEST_SIZE = (1 << 63) - 1

assert all(_HEADER.size + _REST[version].size == size for version, size in HEADER_SIZES.items())


class Kind(enum.IntEnum):
    """What the tensor is."""

    #: A sensor's frame.
    INPUT = 0
    #: The pre-final activations of a branch.
    FEATURES = 1
    #: A branch's share of the logits, without the bias.
    PARTIAL_LOGITS = 2


class Encoding(enum.IntEnum):
    """How the elements stand in the data."""

    RAW = 0
    #: A picture file of the shape's height and width.
    PNG = 1
    JPEG = 2


class TensorMessageError(ValueError):
    """A payload that is not a valid tensor message.

    `counter` is the name of the kind of damage, for example "too_short": the name of the counter to increase.
    """

    def __init__(self, counter: str, description: str):
        super().__init__(f"{counter}: {description}")
        self.counter = counter


@dataclass(frozen=True)
class TensorMessage:
    """A tensor and the frame that it belongs to.

    `dtype` is a name from DTYPES. `data` holds the elements, little-endian, the last dimension running fastest; or the
    picture file that holds them, where `encoding` says so.
    """

    kind: Kind
    dtype: str
    shape: Tuple[int, ...]
    data: bytes
    #: Random at the sensor's start, not 0.
    session: int
    #: The frame's number, from 0 in a session.
    frame: int
    #: Nanoseconds since 1970 UTC, 0 where unknown.
    capture_time: int = 0
    #: The branch that made this tensor, from 0; 0 in inputs.
    branch: int = 0
    #: The branches of the model; 0 in inputs.
    branch_count: int = 0
    #: How long the input waited in the worker, microseconds.
    queue_us: int = 0
    #: How long the network ran, microseconds.
    compute_us: int = 0
    #: The model that made this tensor, 16 bytes; zero in inputs.
    model: bytes = bytes(16)
    #: The true class where it is known, -1 otherwise.
    label: int = -1
    #: Whether the CRC-32 of the data is written, or was there.
    checksum: bool = False
    #: 2 for what follows; every role reads 1.
    version: int = 1
    encoding: Encoding = Encoding.RAW
    #: In features of INT8: each number is this times the integer.
    scale: float = 0.0
    #: Of an input: bit k says that branch k is wanted; 0 where all are.
    wanted_branches: int = 0
    #: When the input came to the worker, nanoseconds since 1970 UTC; 0 where unknown and in inputs.
    receive_time: int = 0
    #: When the message was handed to the connection, nanoseconds since 1970 UTC; 0 where unknown.
    send_time: int = 0
    #: How long the worker decoded the input, microseconds.
    decode_us: int = 0
    #: How long the sender encoded the data, microseconds.
    encode_us: int = 0

    def encode(self) -> bytes:
        """The message's bytes.

        Raises ValueError for a field that a message cannot carry.
        """
        if self.dtype not in _DTYPE_NUMBERS:
            raise ValueError(f"{self.dtype!r} is none of {', '.join(_DTYPE_NUMBERS)}")
        number = _DTYPE_NUMBERS[self.dtype]
        rank = len(self.shape)
        if rank > MAXIMUM_RANK or not all(0 < dimension < 1 << 32 for dimension in self.shape):
            raise ValueError(f"{self.shape} is not a shape of at most {MAXIMUM_RANK} dimensions from 1 to 2^32 - 1")
        if self.version not in HEADER_SIZES:
            raise ValueError(f"there is no version {self.version}")
        extension = (self.encoding, self.scale, self.wanted_branches, self.receive_time, self.send_time, self.decode_us,
                     self.encode_us)
        if self.version == 1 and any(extension):
            raise ValueError("version 1 has no encoding, scale, mask and times: write version 2")
        expected = _element_count(self.shape) * DTYPES[number][1]
        if self.encoding == Encoding.RAW and len(self.data) != expected:
            raise ValueError(f"{self.dtype} {self.shape} has {expected} bytes, not {len(self.data)}")
        if self.encoding != Encoding.RAW and not (self.data and _can_be_picture(self.kind, self.dtype, self.shape)):
            raise ValueError("only inputs of UINT8 with one or three channels can be pictures")
        if not _is_valid_scale(self.version, self.kind, self.dtype, self.scale):
            raise ValueError(f"a scale of {self.scale} does not fit {self.dtype} in version {self.version}")
        if len(self.model) != 16:
            raise ValueError(f"a model hash has 16 bytes, not {len(self.model)}")
        kind = Kind(self.kind)
        if not _is_valid_branch(kind, self.branch, self.branch_count):
            raise ValueError(f"branch {self.branch} of {self.branch_count} does not fit the kind {kind.name}")
        try:
            header = _HEADER.pack(
                MAGIC, self.version, kind, number, rank, HEADER_SIZES[self.version],
                CHECKSUM_FLAG if self.checksum else 0, 0, len(self.data), self.session, self.frame, self.capture_time,
                self.branch, self.branch_count, zlib.crc32(self.data) if self.checksum else 0, self.queue_us,
                self.compute_us, self.model, *self.shape, *(0,) * (MAXIMUM_RANK - rank), self.label)
            if self.version == 1:
                header += _REST[1].pack(bytes(12))
            else:
                header += _REST[2].pack(
                    self.encoding, bytes(3), self.scale, self.decode_us, self.wanted_branches, self.receive_time,
                    self.send_time, self.encode_us, bytes(4))
        except struct.error as error:
            raise ValueError(f"a field is out of its range: {error}") from None
        return seal(header) + bytes(self.data)

    @classmethod
    def decode(cls, payload: bytes, maximum_data_size: int = MAXIMUM_DATA_SIZE) -> "TensorMessage":
        """Reads and checks the whole payload of an MQTT message; nothing is assumed of it.

        Raises TensorMessageError. The checks run in the order that the specification gives, so that every
        implementation counts the same damage under the same name.
        """
        if len(payload) < HEADER_SIZES[1]:
            raise TensorMessageError("too_short", f"a tensor message has at least {HEADER_SIZES[1]} bytes")
        fields = _HEADER.unpack_from(payload)
        (magic, version, kind, number, rank, header_size, flags, header_checksum, data_size, session, frame,
         capture_time, branch, branch_count, data_checksum, queue_us, compute_us, model) = fields[:18]
        dimensions = fields[18:26]
        label = fields[26]

        if magic != MAGIC:
            raise TensorMessageError("bad_magic", "the message does not start with LCPT")
        if version not in HEADER_SIZES:
            raise TensorMessageError("unknown_version", f"version {version} is not known here")
        if header_size != HEADER_SIZES[version]:
            raise TensorMessageError("bad_header_length", f"version {version} has no header of {header_size} bytes")
        if len(payload) < header_size:
            raise TensorMessageError("too_short", f"a header of version {version} has {header_size} bytes")
        if header_checksum != checksum_of_header(payload):
            raise TensorMessageError("header_checksum", "the header's checksum does not match")
        if kind not in (0, 1, 2):
            raise TensorMessageError("unknown_kind", f"kind {kind} is none of input, features, partial logits")
        if number not in DTYPES:
            raise TensorMessageError("unknown_type", f"element type {number} has no meaning")
        if rank > MAXIMUM_RANK:
            raise TensorMessageError("bad_rank", f"a tensor has at most {MAXIMUM_RANK} dimensions, not {rank}")
        if flags & ~CHECKSUM_FLAG:
            raise TensorMessageError("unknown_flags", f"flags {flags:#06x} have no meaning")
        rest = _REST[version].unpack_from(payload, _HEADER.size)
        encoding, scale, wanted, received, sent, decode_us, encode_us = 0, 0.0, 0, 0, 0, 0, 0
        if version == 1:
            reserved = rest[0]
        else:
            encoding, first, scale, decode_us, wanted, received, sent, encode_us, last = rest
            reserved = first + last
        if encoding not in (0, 1, 2):
            raise TensorMessageError("unknown_encoding", f"encoding {encoding} is none of raw, PNG, JPEG")
        if any(reserved):
            raise TensorMessageError("reserved_not_zero", "reserved bytes are not zero")
        if any((dimension != 0) != (index < rank) for index, dimension in enumerate(dimensions)):
            raise TensorMessageError("bad_dimension", "a dimension is zero, or an unused one is not")
        if data_size > maximum_data_size:
            raise TensorMessageError("too_large", f"{data_size} bytes of data are more than are taken here")
        shape = dimensions[:rank]
        name, element_size = DTYPES[number]
        expected = _element_count(shape) * element_size
        if expected > _LARGEST_SIZE:
            raise TensorMessageError("size_overflow", "the dimensions multiply to more than an address space")
        if data_size != expected if encoding == Encoding.RAW else data_size == 0:
            raise TensorMessageError("shape_mismatch", f"{name} {shape} has {expected} bytes, not {data_size}")
        if len(payload) != header_size + data_size:
            raise TensorMessageError("length_mismatch", "the message is longer or shorter than its header says")
        data = bytes(payload[header_size:])
        if flags & CHECKSUM_FLAG:
            if data_checksum != zlib.crc32(data):
                raise TensorMessageError("data_checksum", "the data's checksum does not match")
        elif data_checksum != 0:
            raise TensorMessageError("reserved_not_zero", "there is a data checksum without its flag")
        if not _is_valid_branch(Kind(kind), branch, branch_count):
            raise TensorMessageError("bad_branch", f"branch {branch} of {branch_count} does not fit the kind")
        if encoding != Encoding.RAW and not _can_be_picture(kind, name, shape):
            raise TensorMessageError("bad_encoding", "only inputs of UINT8 with one or three channels can be pictures")
        if not _is_valid_scale(version, kind, name, scale):
            raise TensorMessageError("bad_scale", f"a scale of {scale} does not fit {name}")
        return cls(
            kind=Kind(kind), dtype=name, shape=shape, data=data, session=session, frame=frame,
            capture_time=capture_time, branch=branch, branch_count=branch_count, queue_us=queue_us,
            compute_us=compute_us, model=model, label=label, checksum=bool(flags & CHECKSUM_FLAG), version=version,
            encoding=Encoding(encoding), scale=scale, wanted_branches=wanted, receive_time=received, send_time=sent,
            decode_us=decode_us, encode_us=encode_us)


def checksum_of_header(message: bytes) -> int:
    """CRC-32 of a message's header, with the checksum's own field as zero."""
    header = bytearray(message[:HEADER_SIZES.get(message[_VERSION_OFFSET], HEADER_SIZES[1])])
    header[_CHECKSUM_OFFSET:_CHECKSUM_OFFSET + 4] = bytes(4)
    return zlib.crc32(header)


def seal(message: bytes) -> bytes:
    """The message with its header's checksum made right."""
    checksum = struct.pack("<I", checksum_of_header(message))
    return bytes(message[:_CHECKSUM_OFFSET]) + checksum + bytes(message[_CHECKSUM_OFFSET + 4:])


def _element_count(shape: Tuple[int, ...]) -> int:
    """The product of the dimensions; 1 for a scalar."""
    count = 1
    for dimension in shape:
        count *= dimension
    return count


def _is_valid_branch(kind: Kind, branch: int, branch_count: int) -> bool:
    if kind == Kind.INPUT:
        return branch == 0 and branch_count == 0
    return branch < branch_count


def _can_be_picture(kind: int, dtype: str, shape: Tuple[int, ...]) -> bool:
    """Whether an image can hold the elements: height x width, with one channel or three."""
    return kind == Kind.INPUT and dtype == "UINT8" and (len(shape) == 2 or len(shape) == 3 and shape[2] in (1, 3))


def _is_valid_scale(version: int, kind: int, dtype: str, scale: float) -> bool:
    if version > 1 and kind != Kind.INPUT and dtype == "INT8":
        return 0 < scale < float("inf")
    return scale == 0
