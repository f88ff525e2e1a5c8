"""Random messages of any type, by descriptor: every field kind, with the values that break things."""

from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_TEXTS = ["", "a", "ä€😀", '"\\\n\t\u0000', "</script>\u2028", "x" * 200]
_CHOICES: dict[int, list[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: [0, 1, -1, 2**31 - 1, -(2**31)],
    FieldDescriptor.CPPTYPE_INT64: [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63)],
    FieldDescriptor.CPPTYPE_UINT32: [0, 1, 2**32 - 1],
    FieldDescriptor.CPPTYPE_UINT64: [0, 1, 2**53 + 1, 2**64 - 1],
    FieldDescriptor.CPPTYPE_DOUBLE: [0.0, -1.5, 0.1, 1e300, 5e-324, float("inf"), float("nan")],
    FieldDescriptor.CPPTYPE_FLOAT: [
        *(0.0, -1.5, 0.1, 1 / 3, 16777217, 3.4e38, 1e-45, float("-inf"), float("nan")),
    ],
    FieldDescriptor.CPPTYPE_BOOL: [False, True],
}


def fill(message: Message, random: Random, depth: int = 3) -> None:
    """Set some of the message's fields, nested to at most `depth` messages below it."""
    special = _SPECIAL.get(message.DESCRIPTOR.full_name)
    if special is not None:
        special(message, random)
        return
    for field in message.DESCRIPTOR.fields:
        if random.random() < 0.6:
            _fill_field(message, field, random, depth)


def _fill_field(message: Any, field: Any, random: Random, depth: int) -> None:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        _fill_map(getattr(message, field.name), nested, random, depth)
    elif nested is not None:
        if depth == 0 and nested.full_name not in _SPECIAL:
            return
        if field.is_repeated:
            for _ in range(random.randrange(3)):
                fill(getattr(message, field.name).add(), random, depth - 1)
        else:
            child = getattr(message, field.name)
            child.SetInParent()
            fill(child, random, depth - 1)
    elif field.is_repeated:
        values = [_scalar(field, random) for _ in range(random.randrange(3))]
        getattr(message, field.name).extend(values)
    else:
        setattr(message, field.name, _scalar(field, random))


def _fill_map(entries: Any, entry: Descriptor, random: Random, depth: int) -> None:
    key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for _ in range(random.randrange(3)):
        if value.message_type is None:
            entries[_scalar(key, random)] = _scalar(value, random)
        elif depth > 0:
            fill(entries[_scalar(key, random)], random, depth - 1)


def _scalar(field: Any, random: Random) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return random.choice([*field.enum_type.values_by_number, 77])
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        text = random.choice(_TEXTS)
        return text.encode() + b"\xff" if field.type == FieldDescriptor.TYPE_BYTES else text
    return random.choice(_CHOICES[field.cpp_type])


def _timestamp(message: Any, random: Random) -> None:
    message.seconds = random.choice([0, -62135596800, 253402300799, 1_700_000_000])
    message.nanos = random.choice([0, 1, 1_000, 500_000_000, 999_999_999])


def _duration(message: Any, random: Random) -> None:
    sign = random.choice([1, -1])
    message.seconds = sign * random.choice([0, 1, 3600, 315_576_000_000])
    message.nanos = 0 if abs(message.seconds) > 3600 else sign * random.choice([0, 1, 500_000_000])


def _field_mask(message: Any, random: Random) -> None:
    message.paths.extend(random.choice([[], ["a"], ["a_b.c", "d"]]))


def _struct(message: Any, random: Random) -> None:
    message.update(random.choice([{}, {"a": 1.5, "b": [None, True, {"c": "ä"}]}]))


def _value(message: Any, random: Random) -> None:
    message.string_value = random.choice(_TEXTS)


def _any(message: Any, random: Random) -> None:
    """Stay empty: what an Any may hold depends on the registry."""


_SPECIAL = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _field_mask,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _value,
    "google.protobuf.Any": _any,
}
