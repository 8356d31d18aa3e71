#!/usr/bin/env python3
"""A sensor: publishes frames of 28x28 grey pixels to lcp/PIPELINE/input/NAME.

Without --file every frame is random noise. With --file every frame is that file:
  784 raw bytes   are sent as tensor messages, each with its own frame number and capture time;
  a PNG or JPEG   is sent as it is, and the workers decode it.

Needs paho-mqtt 1.6 or later.
"""

import argparse
import os
import secrets
import socket
import sys
import threading
import time

import paho.mqtt.client as mqtt

from tensor_message import Kind, TensorMessage

SHAPE = (28, 28, 1)
PIXELS = 28 * 28
IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


class Connection:
    """A connection to the broker that comes back by itself."""

    def __init__(self, host, port):
        self.address = f"{host}:{port}"
        self._answered = threading.Event()
        self._refusal = None
        if hasattr(mqtt, "CallbackAPIVersion"):  # paho-mqtt 2
            self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        else:
            self.client = mqtt.Client()
        self.client.on_connect = self._on_connect
        self.client.on_socket_open = self._on_socket_open
        try:
            self.client.connect(host, port, keepalive=30)
        except OSError as error:
            raise SystemExit(f"There is no MQTT broker at {self.address}: {error.strerror or error}.") from None
        self.client.loop_start()
        if not self._answered.wait(timeout=10):
            self.close()
            raise SystemExit(f"What listens at {self.address} does not answer as an MQTT broker.")
        if self._refusal:
            self.close()
            raise SystemExit(f"The broker at {self.address} refuses the connection: {self._refusal}.")

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, client, userdata, flags, reason, properties=None):
        # paho-mqtt 1 passes a number, 2 an object that compares with one.
        if reason != 0:
            text = mqtt.connack_string(reason) if isinstance(reason, int) else str(reason)
            self._refusal = text.replace("Connection Refused: ", "").rstrip(".")
        self._answered.set()

    @staticmethod
    def _on_socket_open(client, userdata, connection):
        # Without this a frame may wait 40 ms for the acknowledgement of the one before.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def read_file(path):
    """The bytes of a file that can be a frame."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) != PIXELS and not content.startswith(IMAGE_SIGNATURES):
        raise SystemExit(f"{path} is neither a PNG, a JPEG nor {PIXELS} raw bytes: it has {len(content)} bytes.")
    return content


def publish_frames(connection, arguments, content):
    """Publishes until the count is reached. Returns the number of frames that were handed to the connection."""
    topic = f"lcp/{arguments.pipeline}/input/{arguments.name}"
    session = secrets.randbelow(2**64 - 1) + 1
    interval = 1 / arguments.rate
    due = time.monotonic()
    frame = published = 0
    print(f"publishes on {topic}, Ctrl-C stops", file=sys.stderr)
    try:
        while arguments.count == 0 or frame < arguments.count:
            time.sleep(max(0, due - time.monotonic()))
            if content is not None and content.startswith(IMAGE_SIGNATURES):
                payload = content
            else:
                pixels = os.urandom(PIXELS) if content is None else content
                payload = TensorMessage(
                    kind=Kind.INPUT, dtype="UINT8", shape=SHAPE, data=pixels, session=session, frame=frame,
                    capture_time=time.time_ns()).encode()
            result = connection.client.publish(topic, payload)
            if result.rc == mqtt.MQTT_ERR_SUCCESS:
                published += 1
            frame += 1
            due += interval
            # After a pause nobody wants the missed frames in one burst.
            if time.monotonic() - due > 1:
                due = time.monotonic()
    except KeyboardInterrupt:
        pass
    return published, frame


def positive(text):
    value = float(text)
    if not 0 < value <= 100_000:
        raise argparse.ArgumentTypeError("a rate has more than 0 and at most 100,000 frames per second")
    return value


def not_negative(text):
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("a count is 0 or more")
    return value


def topic_level(text):
    if not text or len(text.encode()) > 128 or any(character in "/+# " or character < " " for character in text):
        raise argparse.ArgumentTypeError("use 1 to 128 bytes without spaces, /, + and #")
    return text


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="localhost", help="the broker (default: %(default)s)")
    parser.add_argument("--port", type=int, default=1883, help="the broker's port (default: %(default)s)")
    parser.add_argument("--pipeline", type=topic_level, default="demo", help="the pipeline (default: %(default)s)")
    parser.add_argument("--name", type=topic_level, default="python", help="the sensor's name (default: %(default)s)")
    parser.add_argument("--count", type=not_negative, default=0, help="end after so many frames; 0 goes on for ever")
    parser.add_argument("--rate", type=positive, default=10, help="frames per second (default: %(default)s)")
    parser.add_argument("--file", help="send this PNG, JPEG or file of 784 raw bytes in place of noise")
    arguments = parser.parse_args()

    content = None if arguments.file is None else read_file(arguments.file)
    try:
        connection = Connection(arguments.host, arguments.port)
    except KeyboardInterrupt:
        return
    published, frames = publish_frames(connection, arguments, content)
    connection.close()
    lost = f", lost without a connection: {frames - published}" if published < frames else ""
    print(f"frames published: {published}{lost}", file=sys.stderr)


if __name__ == "__main__":
    main()
