#!/usr/bin/env python3
"""azure-eventhub, Microsoft's client, against the emulator.

    eventhubs_client.py CONNECTION_STRING HUB properties
    eventhubs_client.py CONNECTION_STRING HUB send [--count N] [--size BYTES] [--batch] [--partition-id P | --partition-key K]
    eventhubs_client.py CONNECTION_STRING HUB receive COUNT [--group G] [--bodies]

`properties` prints the hub's and its partitions' as one JSON object. `send` publishes events 0..N, one by one or as one batch, and
prints {"sent": N}. `receive` reads all partitions from the earliest event and prints one JSON object an event, or only its body.
"""
import argparse
import base64
import json
import logging
import sys
import threading

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.amqp import AmqpMessageBodyType

CLIENT_OPTIONS = {"retry_total": 1, "auth_timeout": 20}


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def to_json(value):
    """Times become milliseconds since 1970; octets that are no text become {"base64": ...}."""
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1000)
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {text(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def numbered_event(number, size):
    """Event `number`: the number at the start of a body of `size` octets, and properties of several types."""
    body = f"event {number} ".ljust(size, ".")[:max(size, 1)]
    event = EventData(body)
    event.properties = {"number": number, "text": f"text {number} \u65e5\u672c", "even": number % 2 == 0, "half": number / 2}
    event.message_id = f"id-{number}"
    event.correlation_id = f"correlation-{number}"
    event.content_type = "text/plain"
    return event


def send(producer, arguments):
    target = {"partition_id": arguments.partition_id, "partition_key": arguments.partition_key}
    target = {name: value for name, value in target.items() if value is not None}
    events = (numbered_event(number, arguments.size) for number in range(arguments.count))
    if not arguments.batch:
        for event in events:
            producer.send_event(event, **target)
    else:
        batch = producer.create_batch(**target)
        for event in events:
            batch.add(event)  # raises ValueError when the batch is full
        producer.send_batch(batch)
    print(json.dumps({"sent": arguments.count}), flush=True)


def properties(client):
    hub = to_json(client.get_eventhub_properties())
    hub["partitions"] = [to_json(client.get_partition_properties(partition)) for partition in hub["partition_ids"]]
    print(json.dumps(hub), flush=True)


def event_body(event):
    if event.body_type == AmqpMessageBodyType.DATA:
        return b"".join(event.body)
    return list(event.body) if event.body_type == AmqpMessageBodyType.SEQUENCE else event.body


def event_to_json(partition, event):
    return {
        "partition": partition,
        "offset": event.offset,
        "sequence_number": event.sequence_number,
        "enqueued_time": to_json(event.enqueued_time),
        "partition_key": to_json(event.partition_key),
        "message_id": to_json(event.message_id),
        "correlation_id": to_json(event.correlation_id),
        "content_type": to_json(event.content_type),
        "properties": to_json(event.properties or {}),
        "system_properties": to_json(event.system_properties),
        "body": to_json(event_body(event)),
    }


def receive(consumer, arguments):
    """Print events until there were COUNT of them; fail when the time is over before."""
    left = arguments.count
    done = threading.Event()
    failures = []
    printing = threading.Lock()

    def on_events(context, events):
        nonlocal left
        with printing:
            for event in events[:left]:
                body = to_json(event_body(event))
                print(body if arguments.bodies else json.dumps(event_to_json(context.partition_id, event)))
                left -= 1
            if left == 0:
                done.set()

    def on_error(context, error):
        failures.append(f"partition {context.partition_id if context else '?'}: {error}")
        done.set()

    def run():
        consumer.receive_batch(on_event_batch=on_events, on_error=on_error, starting_position="-1", max_batch_size=1000,
                               max_wait_time=1)

    threading.Thread(target=run, daemon=True).start()
    in_time = done.wait(arguments.timeout)
    consumer.close()
    sys.stdout.flush()
    if failures or not in_time:
        sys.exit("eventhubs_client: " + "; ".join(failures or [f"time-out with {left} events missing"]))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("connection_string")
    parser.add_argument("hub")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for `receive`")
    parser.add_argument("--verbose", action="store_true", help="log frames to stderr")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("properties")
    sending = verbs.add_parser("send")
    sending.add_argument("--count", type=int, default=1)
    sending.add_argument("--size", type=int, default=100)
    sending.add_argument("--batch", action="store_true")
    sending.add_argument("--partition-id")
    sending.add_argument("--partition-key")
    receiving = verbs.add_parser("receive")
    receiving.add_argument("count", type=int)
    receiving.add_argument("--group", default="$Default")
    receiving.add_argument("--bodies", action="store_true")
    return parser.parse_args()


def main():
    arguments = parse()
    if arguments.verbose:
        logging.basicConfig(level=logging.DEBUG)
    options = {"eventhub_name": arguments.hub, "logging_enable": arguments.verbose, **CLIENT_OPTIONS}
    if arguments.verb == "receive":
        group = arguments.group
        receive(EventHubConsumerClient.from_connection_string(arguments.connection_string, group, **options), arguments)
        return
    with EventHubProducerClient.from_connection_string(arguments.connection_string, **options) as client:
        if arguments.verb == "send":
            send(client, arguments)
        else:
            properties(client)


try:
    main()
except Exception as error:  # one line for the test that reads it, not a traceback
    sys.exit(f"eventhubs_client: {type(error).__name__}: {error}")
