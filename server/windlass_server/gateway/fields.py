"""Dotted paths into a message: resolved once by descriptor, then read and assigned."""

from dataclasses import dataclass
from typing import Any

from protobuf import DescField, DescMessage, Message

from windlass_server.gateway.schema import FieldInfo, Schema, Shape

# Messages in messages; what protobuf's own parsers take.
DEPTH_LIMIT = 100


class UnknownField(LookupError):
    """A dotted path that leads to no field."""


class OneofConflict(ValueError):
    """An assignment to a oneof that holds another member; the text names that member."""


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A field below a message.

    Attributes:
        name: dotted path in proto names.
        parents: the messages on the way, outermost first.
        leaf: the field itself.
    """

    name: str
    parents: tuple[FieldInfo, ...]
    leaf: FieldInfo


def resolve(schema: Schema, message: DescMessage, dotted: str) -> FieldPath:
    """Find a field by its dotted path of proto or JSON names; raises UnknownField."""
    infos: list[FieldInfo] = []
    owner: DescMessage | None = message
    for part in dotted.split("."):
        info = schema.fields(owner).get(part) if owner is not None else None
        if info is None or len(infos) >= DEPTH_LIMIT:
            raise UnknownField(dotted)
        infos.append(info)
        owner = info.object if info.shape is Shape.ONE else None
    return FieldPath(".".join(info.field.name for info in infos), tuple(infos[:-1]), infos[-1])


def assign(message: Message, path: FieldPath, value: Any) -> None:
    """Set the field, making the messages on the way; raises OneofConflict."""
    owner = message
    for parent in path.parents:
        refuse_other_member(owner, parent)
        child = owner[parent.field]
        if child is None:
            child = parent.object.type() if parent.object else None
            owner[parent.field] = child
            child = owner[parent.field]
        owner = child
    if path.leaf.oneof is not None:
        refuse_other_member(owner, path.leaf)
    owner[path.leaf.field] = value


def lookup(message: Message, path: FieldPath) -> Any:
    """The field's value; None when it, or a message on the way, is not set."""
    owner: Any = message
    for parent in path.parents:
        owner = owner[parent.field]
        if owner is None:
            return None
    if path.leaf.field not in owner:
        return None
    return owner[path.leaf.field]


def refuse_other_member(owner: Message, info: FieldInfo) -> None:
    """Raise OneofConflict when the field's oneof holds another member."""
    if info.oneof is None:
        return
    for member in _members(info.field):
        if member is not info.field and member in owner:
            raise OneofConflict(member.name)


def _members(field: DescField) -> list[DescField]:
    """All members of the oneof that the field belongs to."""
    oneof = getattr(field.value, "oneof", None)
    return list(oneof.fields) if oneof is not None else []
