#!/usr/bin/env python3
"""Writes the golden files of the tensor message into Tests/Fixtures/messages/. Every run writes the same bytes.

Good messages stand in messages/ and are described by messages/expected.json. Damaged ones stand in messages/damaged/;
the name of each is the counter that a decoder must report.
"""

import json
import struct
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent.parent / "Examples" / "python"))

from tensor_message import HEADER_SIZES, Encoding, Kind, TensorMessage, TensorMessageError, seal  # noqa: E402

SESSION = 0x0102030405060708
CAPTURE_TIME = 1_700_000_000_000_000_000
MODEL = bytes(range(16))


def png(rows):
    """A grey PNG file, 8 bits deep, made here so that every run makes the same bytes."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    # One stored block of deflate (RFC 1951): no compressor's version changes it.
    lines = b"".join(b"\x00" + bytes(row) for row in rows)
    stored = b"\x78\x01\x01" + struct.pack("<HH", len(lines), len(lines) ^ 0xFFFF) + lines
    stored += struct.pack(">I", zlib.adler32(lines))
    size = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", stored) + chunk(b"IEND", b"")


def floats(*values):
    """FP32 elements."""
    return struct.pack(f"<{len(values)}f", *values)


GOOD = {
    "input-uint8-28x28x1": TensorMessage(
        kind=Kind.INPUT, dtype="UINT8", shape=(28, 28, 1), data=bytes(i * 7 % 256 for i in range(784)),
        session=SESSION, frame=42, capture_time=CAPTURE_TIME, label=7),
    "input-fp32-2x3": TensorMessage(
        kind=Kind.INPUT, dtype="FP32", shape=(2, 3), data=floats(0.0, 1.5, -2.25, 3.0, 1e-3, -1e6),
        session=SESSION, frame=0, checksum=True),
    "features-fp32-10": TensorMessage(
        kind=Kind.FEATURES, dtype="FP32", shape=(10,), data=floats(*(0.25 * i for i in range(10))),
        session=1, frame=2**64 - 1, branch=2, branch_count=4, queue_us=15, compute_us=1234, model=MODEL),
    "partial-logits-fp32-10": TensorMessage(
        kind=Kind.PARTIAL_LOGITS, dtype="FP32", shape=(10,), data=floats(*(0.5 * i - 2 for i in range(10))),
        session=SESSION, frame=42, capture_time=CAPTURE_TIME, branch=0, branch_count=1, queue_us=3, compute_us=250,
        model=MODEL, label=7),
    "input-scalar-rank0": TensorMessage(
        kind=Kind.INPUT, dtype="UINT8", shape=(), data=b"\x2a", session=SESSION, frame=1),
    "input-rank8": TensorMessage(
        kind=Kind.INPUT, dtype="UINT8", shape=(1, 1, 1, 1, 1, 1, 1, 2), data=b"\x01\x02", session=SESSION, frame=2),
    "input-png-2x3": TensorMessage(
        kind=Kind.INPUT, dtype="UINT8", shape=(2, 3, 1), data=png([[10, 20, 30], [40, 50, 60]]), session=SESSION,
        frame=43, capture_time=CAPTURE_TIME, label=7, version=2, encoding=Encoding.PNG, wanted_branches=0b1011,
        send_time=CAPTURE_TIME + 1_500_000, encode_us=250),
    "features-int8-10": TensorMessage(
        kind=Kind.FEATURES, dtype="INT8", shape=(10,), data=struct.pack("<10b", *range(-127, 127, 27)),
        session=SESSION, frame=43, capture_time=CAPTURE_TIME, branch=3, branch_count=4, queue_us=15, compute_us=1234,
        model=MODEL, label=7, version=2, scale=0.25, receive_time=CAPTURE_TIME + 2_000_000,
        send_time=CAPTURE_TIME + 4_000_000, decode_us=310, encode_us=2),
    "partial-logits-fp16-3": TensorMessage(
        kind=Kind.PARTIAL_LOGITS, dtype="FP16", shape=(3,), data=struct.pack("<3e", 1.5, -0.25, 65504.0),
        session=SESSION, frame=43, branch=0, branch_count=4, model=MODEL, version=2, checksum=True),
}


def changed(message, offset, layout, *values):
    """The message with the bytes at `offset` replaced and the header's checksum made right again."""
    result = bytearray(message)
    struct.pack_into("<" + layout, result, offset, *values)
    return seal(result)


def damaged_messages():
    """Name of the counter -> a message with exactly this damage."""
    plain = TensorMessage(
        kind=Kind.INPUT, dtype="UINT8", shape=(2, 3), data=bytes(range(6)), session=SESSION, frame=3)
    good = plain.encode()
    summed = GOOD["input-fp32-2x3"].encode()
    features = GOOD["features-fp32-10"].encode()
    picture = GOOD["input-png-2x3"].encode()
    integers = GOOD["features-int8-10"].encode()
    return {
        "too_short": good[:HEADER_SIZES[1] - 1],
        "bad_magic": changed(good, 0, "B", ord("X")),
        "unknown_version": changed(good, 4, "B", 3),
        "bad_header_length": changed(good, 8, "H", 136),
        # The frame's number was changed on the way, and the checksum tells.
        "header_checksum": good[:32] + b"\x04" + good[33:],
        "unknown_kind": changed(good, 5, "B", 3),
        "unknown_type": changed(good, 6, "B", 14),
        "bad_rank": changed(good, 7, "B", 9),
        "unknown_flags": changed(good, 10, "H", 2),
        "reserved_not_zero": changed(good, 127, "B", 1),
        "bad_dimension": changed(good, 84, "I", 0),
        "too_large": changed(changed(changed(good, 7, "B", 4), 16, "Q", 2**40), 80, "4I", *(1024,) * 4),
        "size_overflow": changed(changed(good, 7, "B", 8), 80, "8I", *(0xFFFFFFFF,) * 8),
        "shape_mismatch": changed(good, 84, "I", 4),
        "length_mismatch": good + b"\x00",
        "data_checksum": summed[:-1] + bytes([summed[-1] ^ 1]),
        "bad_branch": changed(features, 48, "H", 4),
        "unknown_encoding": changed(picture, 116, "B", 3),
        # Two channels.
        "bad_encoding": changed(picture, 88, "I", 2),
        "bad_scale": changed(integers, 120, "f", 0.0),
    }


def description(message):
    """What a decoder must find. 64-bit numbers are strings, because many JSON readers lose their last bits."""
    return {
        "kind": message.kind.name.lower(),
        "dtype": message.dtype,
        "shape": list(message.shape),
        "session": str(message.session),
        "frame": str(message.frame),
        "capture_time": str(message.capture_time),
        "branch": message.branch,
        "branch_count": message.branch_count,
        "queue_us": message.queue_us,
        "compute_us": message.compute_us,
        "model": message.model.hex(),
        "label": message.label,
        "checksum": message.checksum,
        "version": message.version,
        "encoding": message.encoding.name.lower(),
        "scale": message.scale,
        "wanted_branches": str(message.wanted_branches),
        "receive_time": str(message.receive_time),
        "send_time": str(message.send_time),
        "decode_us": message.decode_us,
        "encode_us": message.encode_us,
        "data_hex": message.data.hex(),
    }


def main():
    messages = HERE / "messages"
    damaged = messages / "damaged"
    damaged.mkdir(parents=True, exist_ok=True)

    expected = {}
    for name, message in GOOD.items():
        payload = message.encode()
        if TensorMessage.decode(payload) != message:
            sys.exit(f"{name}: reading gives another message than was written")
        (messages / f"{name}.lcpt").write_bytes(payload)
        expected[f"{name}.lcpt"] = description(message)
    (messages / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="ascii")

    for name, payload in damaged_messages().items():
        try:
            TensorMessage.decode(payload)
        except TensorMessageError as error:
            if error.counter != name:
                sys.exit(f"{name}: the decoder reports {error.counter}")
        else:
            sys.exit(f"{name}: the decoder takes it")
        (damaged / f"{name}.lcpt").write_bytes(payload)


if __name__ == "__main__":
    main()
