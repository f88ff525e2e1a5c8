"""Lays what is said of a message over another one. Pure."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def override(target: Message, values: Message) -> None:
    """What has a value replaces what there is: messages field by field, maps key by key, lists as a whole."""
    for field, value in values.ListFields():
        mine = getattr(target, field.name)
        if _is_map(field):
            _put_all(mine, value)
        elif field.is_repeated:
            target.ClearField(field.name)
            getattr(target, field.name).extend(value)
        elif field.message_type is None:
            setattr(target, field.name, value)
        elif field.message_type.full_name.startswith("google."):
            mine.CopyFrom(value)
        else:
            mine.SetInParent()
            override(mine, value)


def _put_all(target: Any, values: Mapping[Any, Any]) -> None:
    """Put what a map has into another, key by key."""
    for key, value in values.items():
        if isinstance(value, Message):
            target[key].CopyFrom(value)
        else:
            target[key] = value


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
