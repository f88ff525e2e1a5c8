"""Whether the Durations and Timestamps of a message are any.

Protobuf takes every pair of integers for them, and the rules in the protos compare such a pair only with
their bounds: five seconds less a nanosecond passes, and so do two billion nanoseconds. JSON has no form
for these, so that a stored one would break every later answer that contains it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.timestamps import duration_from_proto, from_proto

_READERS: dict[str, Callable[[Any], int]] = {
    "google.protobuf.Duration": duration_from_proto,
    "google.protobuf.Timestamp": from_proto,
}


def malformed_times(message: Message) -> list[FieldViolation]:
    """One violation for each time or duration in the message, however deep, that is none."""
    return list(_look(message, ""))


def _look(message: Message, prefix: str) -> Iterator[FieldViolation]:
    for field in _leading_to_times(message.DESCRIPTOR):
        for path, value in _values(message, field):
            read = _READERS.get(value.DESCRIPTOR.full_name)
            if read is None:
                yield from _look(value, f"{prefix}{path}.")
                continue
            try:
                read(value)
            except InvalidInput as error:
                yield FieldViolation(f"{prefix}{path}", error.message, error.reason)


def _values(message: Any, field: FieldDescriptor) -> list[tuple[str, Message]]:
    """The messages in a field, with their paths."""
    held = getattr(message, field.name)
    if _entry_value(field) is not None:
        return [(f"{field.name}[{key}]", held[key]) for key in held]
    if field.is_repeated:
        return [(f"{field.name}[{index}]", value) for index, value in enumerate(held)]
    return [(field.name, held)] if message.HasField(field.name) else []


@cache
def _leading_to_times(message: Descriptor) -> tuple[FieldDescriptor, ...]:
    """The fields that are times or hold some further down."""
    return tuple(field for field in message.fields if _leads_to_times(field, frozenset()))


def _leads_to_times(field: FieldDescriptor, above: frozenset[str]) -> bool:
    inner = _entry_value(field) or field.message_type
    if inner is None or inner.full_name in above:
        return False
    if inner.full_name in _READERS:
        return True
    return any(_leads_to_times(each, above | {inner.full_name}) for each in inner.fields)


def _entry_value(field: FieldDescriptor) -> Descriptor | None:
    """The message that a map's values are; None for other fields, and for maps of scalars."""
    entry = field.message_type
    if entry is None or not entry.GetOptions().map_entry:
        return None
    value: Descriptor | None = entry.fields_by_name["value"].message_type
    return value
