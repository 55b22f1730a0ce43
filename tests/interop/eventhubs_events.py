"""What the two programs on azure-eventhub share: their command line, numbered events, events as JSON.

    PROGRAM [--websocket] [--endpoint URL] [--ca FILE] CONNECTION_STRING HUB properties
    PROGRAM ... send [--count N] [--size BYTES] [--batch] [--types] [--partition-id P | --partition-key K] [--pause MS]
    PROGRAM ... receive COUNT [--group G] [--partition P] [--from POSITION] [--inclusive] [--owner-level N] [--bodies]
    PROGRAM ... process NAME... --blobs CONNECTION_STRING --container C [--group G]

`properties` prints the hub's and its partitions' as one JSON object. `send` publishes events 0..N, one by one or as one batch, and
prints {"sent": N} after each acknowledgement. `receive` reads one partition or all, and prints one JSON object an event, or only its
body; positions are earliest, latest, offset:O, sequence:N and time:MILLISECONDS. `process` runs one processor a NAME over a
checkpoint store in blobs and prints what each claims, reads and loses; a name on stdin stops that one, the end of stdin all.
"""
import argparse
import base64
import datetime
import decimal
import json
import logging
import threading
import uuid

from azure.eventhub import EventData, TransportType
from azure.eventhub.amqp import AmqpMessageBodyType
from azure.eventhub._pyamqp.types import AMQPTypes, TYPE, VALUE

CLIENT_OPTIONS = {"retry_total": 4, "retry_backoff_factor": 0.1, "auth_timeout": 20}
# Short, so that a test sees partitions move within seconds.
BALANCING_OPTIONS = {
    "load_balancing_interval": 1,
    "partition_ownership_expiration_interval": 6,
    "load_balancing_strategy": "balanced",
}
PRINTING = threading.Lock()


def show(line):
    """One line for the test that reads it, at once."""
    with PRINTING:
        print(line if isinstance(line, str) else json.dumps(line), flush=True)


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


def event_of_every_type():
    """Event 0 with a property of each AMQP type that the client can write, named after the type.

    An application gives plain values. Those that Python does not tell apart need the client's own notation for typed ones.
    """
    event = EventData("event 0 ")
    event.message_id = "id-0"
    typed = {
        "ubyte": 2**8 - 1, "ushort": 2**16 - 1, "uint": 2**32 - 1, "ulong": 2**64 - 1,
        "byte": -(2**7), "short": -(2**15), "int": -(2**31), "long": -(2**63), "float": 1.5, "symbol": "a-symbol",
    }
    event.properties = {name: {TYPE: getattr(AMQPTypes, name), VALUE: value} for name, value in typed.items()}
    event.properties |= {
        "null": None, "bool": True, "double": -0.1, "string": "k\u00e4se", "binary": bytes([0, 1, 254, 255]),
        "uuid": uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
        "timestamp": datetime.datetime.fromtimestamp(1_700_000_000.123, datetime.timezone.utc),
        "decimal128": decimal.Decimal("12.5"),
    }
    return event


def events_to_send(arguments):
    if arguments.types:
        return [event_of_every_type()]
    return (numbered_event(number, arguments.size) for number in range(arguments.count))


def route(arguments):
    chosen = {"partition_id": arguments.partition_id, "partition_key": arguments.partition_key}
    return {name: value for name, value in chosen.items() if value is not None}


def position(words):
    kind, _, value = words.partition(":")
    return {
        "earliest": lambda: "-1",
        "latest": lambda: "@latest",
        "offset": lambda: value,
        "sequence": lambda: int(value),
        "time": lambda: datetime.datetime.fromtimestamp(int(value) / 1000, datetime.timezone.utc),
    }[kind]()


def receive_options(arguments):
    return {
        "partition_id": arguments.partition,
        "owner_level": arguments.owner_level,
        "starting_position": position(arguments.position),
        "starting_position_inclusive": arguments.inclusive,
        "max_batch_size": 1000,
        "max_wait_time": 1,
    }


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


def show_event(arguments, partition, event):
    show(to_json(event_body(event)) if arguments.bodies else event_to_json(partition, event))


def client_options(arguments):
    options = {"eventhub_name": arguments.hub, "logging_enable": arguments.verbose, **CLIENT_OPTIONS}
    if arguments.websocket:
        options["transport_type"] = TransportType.AmqpOverWebsocket
    if arguments.endpoint:
        options["custom_endpoint_address"] = arguments.endpoint
    if arguments.ca:
        options["connection_verify"] = arguments.ca
    return options


def parse(description):
    parser = argparse.ArgumentParser(
        description=f"{description}\n{__doc__}", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("connection_string")
    parser.add_argument("hub")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for `receive`")
    parser.add_argument("--websocket", action="store_true")
    parser.add_argument("--endpoint", help="where to dial instead, such as https://localhost:5671")
    parser.add_argument("--ca", help="file of root certificates")
    parser.add_argument("--verbose", action="store_true", help="log frames to stderr")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("properties")
    sending = verbs.add_parser("send")
    sending.add_argument("--count", type=int, default=1)
    sending.add_argument("--size", type=int, default=100)
    sending.add_argument("--batch", action="store_true")
    sending.add_argument("--types", action="store_true", help="one event with properties of every type")
    sending.add_argument("--partition-id")
    sending.add_argument("--partition-key")
    sending.add_argument("--pause", type=float, default=0, help="milliseconds between two events")
    receiving = verbs.add_parser("receive")
    receiving.add_argument("count", type=int)
    receiving.add_argument("--group", default="$Default")
    receiving.add_argument("--partition")
    receiving.add_argument("--from", dest="position", default="earliest")
    receiving.add_argument("--inclusive", action="store_true")
    receiving.add_argument("--owner-level", type=int)
    receiving.add_argument("--bodies", action="store_true")
    processing = verbs.add_parser("process")
    processing.add_argument("names", nargs="+")
    processing.add_argument("--group", default="$Default")
    processing.add_argument("--blobs", required=True)
    processing.add_argument("--container", required=True)
    arguments = parser.parse_args()
    if arguments.verbose:
        logging.basicConfig(level=logging.DEBUG)
    return arguments
