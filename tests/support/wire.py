"""What is on the wire, field by field."""

from collections.abc import Iterator
from typing import Any

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5


def fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The number, wire type and bytes of each field of a serialized message, as they stand."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, end = _varint(data, at)
        elif kind == _LENGTH:
            length, at = _varint(data, at)
            end = at + length
        else:
            end = at + {_FIXED_64: 8, _FIXED_32: 4}[kind]
        yield number, kind, data[at:end]
        at = end


def twice(data: bytes, descriptor: Any) -> list[str]:
    """The singular fields that come twice, which Envoy refuses, here and in the messages within."""
    found, seen = list[str](), set[int]()
    for number, kind, value in fields(data):
        field = descriptor.fields_by_number[number]
        if number in seen and not field.is_repeated:
            found.append(field.full_name)
        seen.add(number)
        if kind == _LENGTH and field.message_type is not None:
            found += twice(value, field.message_type)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
