#!/usr/bin/env python3
"""Qpid Proton as a codec: each line of FILE is {"octets": HEX, "value": TYPED}, an encoding and the value that it stands for.

    proton_codec.py FILE

Prints a line of JSON for each: {"read": what Proton reads in the octets, "again": Proton's octets for that,
"written": Proton's octets for the value}, or {"error": ...}. README.md beside this file says how a typed value is written.
"""
import json
import struct
import sys
import uuid

from proton import Data

NUMBERS = ("ubyte", "ushort", "uint", "ulong", "byte", "short", "int", "long", "timestamp")
BITS = {"float": ">f", "double": ">d", "decimal32": ">I", "decimal64": ">Q"}
TYPES = {name: getattr(Data, name.upper()) for name in (
    "null", "bool", "char", "uuid", "decimal128", "binary", "string", "symbol", "list", "map", "array", *NUMBERS, *BITS)}
NAMES = {number: name for name, number in TYPES.items()}


def write(data, typed):
    """Appends a value at the cursor."""
    name, *rest = typed
    if name == "null":
        data.put_null()
    elif name == "described":
        data.put_described()
        within(data, lambda: [write(data, part) for part in rest])
    elif name == "list":
        data.put_list()
        within(data, lambda: [write(data, element) for element in rest[0]])
    elif name == "map":
        data.put_map()
        within(data, lambda: [write(data, part) for pair in rest[0] for part in pair])
    elif name == "array":
        write_array(data, rest[0])
    else:
        getattr(data, "put_" + name)(scalar(name, rest[0]))


def within(data, act):
    data.enter()
    result = act()
    data.exit()
    return result


def write_array(data, elements):
    """The elements of an array of described values share one descriptor, which comes first."""
    descriptors = [element[1] for element in elements if element[0] == "described"]
    if descriptors:
        elements = [element[2] for element in elements]
    data.put_array(bool(descriptors), TYPES[elements[0][0]] if elements else Data.NULL)
    within(data, lambda: [write(data, element) for element in descriptors[:1] + elements])


def scalar(name, content):
    if name in NUMBERS:
        return int(content)
    if name in BITS:
        return struct.unpack(BITS[name], bytes.fromhex(content))[0]
    if name in ("binary", "decimal128"):
        return bytes.fromhex(content)
    if name == "char":
        return chr(int(content))
    return uuid.UUID(content) if name == "uuid" else content


def read(data):
    """The value at the cursor."""
    if data.is_described():
        return ["described", *within(data, lambda: read_all(data))]
    name = NAMES[data.type()]
    if name == "null":
        return [name]
    if name == "list":
        return [name, within(data, lambda: read_all(data))]
    if name == "map":
        parts = within(data, lambda: read_all(data))
        return [name, [list(pair) for pair in zip(parts[::2], parts[1::2])]]
    if name == "array":
        return [name, read_array(data)]
    return [name, text_of(name, getattr(data, "get_" + name)())]


def read_all(data):
    values = []
    while data.next() is not None:
        values.append(read(data))
    return values


def read_array(data):
    _, is_described, _ = data.get_array()
    elements = within(data, lambda: read_all(data))
    if not is_described:
        return elements
    return [["described", elements[0], element] for element in elements[1:]]


def text_of(name, content):
    if name in NUMBERS:
        return str(int(content))
    if name in BITS:
        return struct.pack(BITS[name], content).hex()
    if name in ("binary", "decimal128"):
        return bytes(content).hex()
    if name == "char":
        return str(ord(content))
    return content if name == "bool" else str(content)


def answer(octets, value):
    decoded = Data()
    rest = octets
    while rest:
        rest = rest[decoded.decode(rest):]
    decoded.rewind()
    values = read_all(decoded)
    built = Data()
    write(built, value)
    return {"read": values[0] if len(values) == 1 else values, "again": decoded.encode().hex(), "written": built.encode().hex()}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            case = json.loads(line)
            try:
                result = answer(bytes.fromhex(case["octets"]), case["value"])
            except Exception as error:  # reported as the answer, whatever it is
                result = {"error": repr(error)}
            print(json.dumps(result))


if __name__ == "__main__":
    main()
