"""Whether the Durations and Timestamps of a message are any.

Protobuf takes every pair of integers for them, and the rules in the protos compare such a pair only with
their bounds: five seconds less a nanosecond passes, and so do two billion nanoseconds. JSON has no form
for these, so that a stored one would break every later answer that contains it.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.timestamps import duration_from_proto, from_proto

_READERS: dict[str, Callable[[Any], int]] = {
    "google.protobuf.Duration": duration_from_proto,
    "google.protobuf.Timestamp": from_proto,
}


_Values = Callable[[Any, str], Iterable[tuple[str, Message]]]


def malformed_times(message: Message) -> list[FieldViolation]:
    """One violation for each time or duration in the message, however deep, that is none."""
    found: list[FieldViolation] = []
    _look(message, "", found)
    return found


def _look(message: Message, prefix: str, found: list[FieldViolation]) -> None:
    for name, values_of, read in _ways_to_times(message.DESCRIPTOR):
        for path, value in values_of(message, name):
            if read is None:
                _look(value, f"{prefix}{path}.", found)
                continue
            try:
                read(value)
            except InvalidInput as error:
                found.append(FieldViolation(f"{prefix}{path}", error.message, error.reason))


def _single(message: Any, name: str) -> Iterable[tuple[str, Message]]:
    return ((name, getattr(message, name)),) if message.HasField(name) else ()


def _repeated(message: Any, name: str) -> Iterable[tuple[str, Message]]:
    return ((f"{name}[{index}]", value) for index, value in enumerate(getattr(message, name)))


def _mapped(message: Any, name: str) -> Iterable[tuple[str, Message]]:
    held = getattr(message, name)
    return ((f"{name}[{key}]", held[key]) for key in held)


@cache
def _ways_to_times(
    message: Descriptor,
) -> tuple[tuple[str, _Values, Callable[[Any], int] | None], ...]:
    """The fields that are times or hold some further down: name, values with paths, reader of times."""
    ways = []
    for field in message.fields:
        if _leads_to_times(field, frozenset()) and not _checked_later(field):
            entry = _entry_value(field)
            inner = entry or field.message_type
            assert inner is not None
            values = _mapped if entry else _repeated if field.is_repeated else _single
            ways.append((field.name, values, _READERS.get(inner.full_name)))
    return tuple(ways)


def _checked_later(field: FieldDescriptor) -> bool:
    """Whether the contract leaves the elements of a field to whoever takes them one by one."""
    rules: validate_pb2.FieldRules = field.GetOptions().Extensions[validate_pb2.field]  # type: ignore[index]
    return bool(rules.repeated.items.ignore == validate_pb2.IGNORE_ALWAYS)


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
