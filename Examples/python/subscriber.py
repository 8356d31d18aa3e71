#!/usr/bin/env python3
"""Prints the predictions of a pipeline, one line for each, from lcp/PIPELINE/prediction/+.

Needs paho-mqtt 1.6 or later.
"""

import argparse
import json
import os
import sys

import paho.mqtt.client as mqtt


class Subscriber:
    """Prints what comes, until `count` predictions came; 0 goes on for ever."""

    def __init__(self, topic, count, prints_json):
        self.topic = topic
        self.count = count
        self.prints_json = prints_json
        self.seen = 0
        self.failure = None
        if hasattr(mqtt, "CallbackAPIVersion"):  # paho-mqtt 2
            self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        else:
            self.client = mqtt.Client()
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message

    def run(self, host, port):
        try:
            self.client.connect(host, port, keepalive=30)
        except OSError as error:
            raise SystemExit(f"There is no MQTT broker at {host}:{port}: {error.strerror or error}.") from None
        self.client.loop_forever()
        if self.failure:
            raise SystemExit(f"The broker at {host}:{port} refuses the connection: {self.failure}.")

    def on_connect(self, client, userdata, flags, reason, properties=None):
        # paho-mqtt 1 passes a number, 2 an object that compares with one.
        if reason != 0:
            text = mqtt.connack_string(reason) if isinstance(reason, int) else str(reason)
            self.failure = text.replace("Connection Refused: ", "").rstrip(".")
            client.disconnect()
            return
        # Here, so that the subscription comes back with every new connection.
        client.subscribe(self.topic)

    def on_message(self, client, userdata, message):
        if self.count and self.seen >= self.count:
            return
        try:
            line = message.payload.decode() if self.prints_json else summary(json.loads(message.payload))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            print(f"{message.topic}: not a prediction: {error!r}", file=sys.stderr)
            return
        print(line, flush=True)
        self.seen += 1
        if self.count and self.seen >= self.count:
            client.disconnect()


def summary(prediction):
    """A prediction in one line for people."""
    if "probabilities" in prediction:
        probability = prediction["probabilities"][prediction["class"]]
    else:  # models with more than 100 classes list the ten most probable
        probability = prediction["top"][0]["probability"]
    used, missing = prediction["branches"], prediction["missing"]
    parts = [
        f"{prediction['sensor']} frame {prediction['frame']}: {prediction['label']} ({100 * probability:.1f} %)",
        f"{len(used)} of {len(used) + len(missing)} branches",
        f"compute {prediction['compute_ms']:.3f} ms",
    ]
    if "latency_ms" in prediction:
        parts.append(f"latency {prediction['latency_ms']:.3f} ms")
    if "truth" in prediction:
        parts.append("right" if prediction["truth"] == prediction["class"] else f"wrong: class {prediction['truth']}")
    return ", ".join(parts)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="localhost", help="the broker (default: %(default)s)")
    parser.add_argument("--port", type=int, default=1883, help="the broker's port (default: %(default)s)")
    parser.add_argument("--pipeline", default="demo", help="the pipeline (default: %(default)s)")
    parser.add_argument("--count", type=int, default=0, help="end after so many predictions; 0 goes on for ever")
    parser.add_argument("--json", action="store_true", help="print the JSON as it came")
    arguments = parser.parse_args()

    subscriber = Subscriber(f"lcp/{arguments.pipeline}/prediction/+", arguments.count, arguments.json)
    try:
        subscriber.run(arguments.host, arguments.port)
    except KeyboardInterrupt:
        subscriber.client.disconnect()
    except BrokenPipeError:
        # Whoever read the lines has gone, as in "subscriber.py | head".
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
