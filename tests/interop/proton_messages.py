"""Messages in Qpid Proton, to and from lines of JSON as README.md beside this file describes them."""
import struct
import uuid

from proton import (UNDESCRIBED, Array, Data, Described, Message, byte, char, decimal32, decimal64, decimal128, float32,
                    int32, short, symbol, timestamp, ubyte, uint, ulong, ushort)

INTEGERS = {"ubyte": ubyte, "ushort": ushort, "uint": uint, "ulong": ulong, "byte": byte, "short": short,
            "int": int32, "long": int, "timestamp": timestamp}
BITS = {"decimal32": (decimal32, ">I"), "decimal64": (decimal64, ">Q")}
TEXTS = {"string": str, "symbol": symbol}
CLASSES = {**INTEGERS, **TEXTS, "bool": bool, "float": float32, "double": float, "decimal32": decimal32,
           "decimal64": decimal64, "decimal128": decimal128, "char": char, "uuid": uuid.UUID, "binary": bytes,
           "list": list, "map": dict}
NAMES = {kind: name for name, kind in CLASSES.items()} | {memoryview: "binary"}
ARRAY_TYPES = {"bool": Data.BOOL, "ubyte": Data.UBYTE, "ushort": Data.USHORT, "uint": Data.UINT, "ulong": Data.ULONG,
               "byte": Data.BYTE, "short": Data.SHORT, "int": Data.INT, "long": Data.LONG, "float": Data.FLOAT,
               "double": Data.DOUBLE, "char": Data.CHAR, "timestamp": Data.TIMESTAMP, "uuid": Data.UUID,
               "binary": Data.BINARY, "string": Data.STRING, "symbol": Data.SYMBOL, "list": Data.LIST,
               "map": Data.MAP, "array": Data.ARRAY}

# Our names of the header's and the properties' fields -> (Proton's name, AMQP type, its value where absent)
HEADER = {"durable": ("durable", "bool", False), "priority": ("priority", "ubyte", 4), "ttl": ("ttl", "uint", 0),
          "first_acquirer": ("first_acquirer", "bool", False), "delivery_count": ("delivery_count", "uint", 0)}
PROPERTIES = {"message_id": ("id", None, None), "user_id": ("user_id", "binary", b""), "to": ("address", "string", None),
              "subject": ("subject", "string", None), "reply_to": ("reply_to", "string", None),
              "correlation_id": ("correlation_id", None, None),
              # Proton 0.40 shows an absent symbol as the text "None".
              "content_type": ("content_type", "symbol", "None"),
              "content_encoding": ("content_encoding", "symbol", "None"),
              "absolute_expiry_time": ("expiry_time", "timestamp", 0),
              "creation_time": ("creation_time", "timestamp", 0), "group_id": ("group_id", "string", None),
              "group_sequence": ("group_sequence", "uint", 0), "reply_to_group_id": ("reply_to_group_id", "string", None)}
SECONDS = {"ttl", "expiry_time", "creation_time"}  # Proton's Python API counts these in seconds
MAPS = {"delivery_annotations": "instructions", "message_annotations": "annotations", "application_properties": "properties"}


def to_json(value):
    """A Python value of an AMQP type, written as [type, text]."""
    if value is None:
        return ["null"]
    if isinstance(value, Described):
        return ["described", to_json(value.descriptor), to_json(value.value)]
    if isinstance(value, Array):
        elements = [to_json(element) for element in value.elements]
        if value.descriptor is not UNDESCRIBED:
            elements = [["described", to_json(value.descriptor), element] for element in elements]
        return ["array", elements]
    name = next(NAMES[kind] for kind in type(value).__mro__ if kind in NAMES)
    if name == "bool":
        return [name, value]
    if name in INTEGERS:
        return [name, str(int(value))]
    if name == "float":
        return [name, struct.pack(">f", value).hex()]
    if name == "double":
        return [name, struct.pack(">d", value).hex()]
    if name in BITS:
        return [name, struct.pack(BITS[name][1], value).hex()]
    if name in ("binary", "decimal128"):
        return [name, bytes(value).hex()]
    if name == "char":
        return [name, str(ord(value))]
    if name == "list":
        return [name, [to_json(element) for element in value]]
    if name == "map":
        return [name, pairs_to_json(value)]
    return [name, str(value)]


def pairs_to_json(mapping):
    return [[to_json(key), to_json(value)] for key, value in mapping.items()]


def array_from_json(elements):
    descriptor = UNDESCRIBED
    if elements[0][0] == "described":
        descriptor = from_json(elements[0][1])
        elements = [element[2] for element in elements]
    return Array(descriptor, ARRAY_TYPES[elements[0][0]], *(from_json(element) for element in elements))


def from_json(typed):
    """The inverse of to_json."""
    name, *rest = typed
    if name == "null":
        return None
    if name == "described":
        return Described(from_json(rest[0]), from_json(rest[1]))
    content = rest[0]
    if name == "array":
        return array_from_json(content)
    if name == "list":
        return [from_json(element) for element in content]
    if name == "map":
        return {from_json(key): from_json(value) for key, value in content}
    if name == "bool":
        return content
    if name in INTEGERS:
        return INTEGERS[name](int(content))
    if name in TEXTS:
        return TEXTS[name](content)
    if name == "char":
        return char(chr(int(content)))
    if name == "uuid":
        return uuid.UUID(content)
    octets = bytes.fromhex(content)
    if name == "float":
        return float32(struct.unpack(">f", octets)[0])
    if name == "double":
        return struct.unpack(">d", octets)[0]
    if name in BITS:
        return BITS[name][0](struct.unpack(BITS[name][1], octets)[0])
    return decimal128(octets) if name == "decimal128" else octets


def fields_to_json(message, fields):
    typed = {}
    for ours, (theirs, name, default) in fields.items():
        value = getattr(message, theirs)
        if value is None or value == default:
            continue
        if theirs in SECONDS:
            value = round(value * 1000)
        if name is None:
            typed[ours] = to_json(ulong(value) if type(value) is int else value)
        elif name in INTEGERS:
            typed[ours] = [name, str(int(value))]
        else:
            typed[ours] = to_json(CLASSES[name](value))
    return typed


def message_to_json(message):
    described = {"header": fields_to_json(message, HEADER), "properties": fields_to_json(message, PROPERTIES)}
    for ours, theirs in MAPS.items():
        described[ours] = sorted(pairs_to_json(getattr(message, theirs) or {}))
    if not message.inferred:
        described["body"] = ["value", to_json(message.body)]
    elif isinstance(message.body, list):
        described["body"] = ["sequence", [to_json(element) for element in message.body]]
    else:
        described["body"] = ["data", bytes(message.body).hex()]
    return {section: content for section, content in described.items() if content}


def message_from_json(described):
    kind, content = described["body"]
    message = Message(inferred=kind != "value")
    if kind == "value":
        message.body = from_json(content)
    elif kind == "sequence":
        message.body = [from_json(element) for element in content]
    else:
        message.body = bytes.fromhex(content)
    for section, fields in (("header", HEADER), ("properties", PROPERTIES)):
        for ours, typed in described.get(section, {}).items():
            theirs = fields[ours][0]
            value = from_json(typed)
            setattr(message, theirs, value / 1000 if theirs in SECONDS else value)
    for ours, theirs in MAPS.items():
        if ours in described:
            setattr(message, theirs, {from_json(key): from_json(value) for key, value in described[ours]})
    return message


PATTERN = bytes(range(251))


def pattern(number, size):
    """The body of message `number`: `size` octets that depend on it."""
    start = number % 251
    return (PATTERN * (size // 251 + 2))[start:start + size]


def numbered(number, size):
    return Message(id=ulong(number), inferred=True, body=pattern(number, size))


def number_of(message, size):
    """The number of such a message, whose body must be that of its number."""
    if bytes(message.body) != pattern(message.id, size):
        raise ValueError(f"the body of message {message.id} is not what was sent")
    return {"number": int(message.id)}
