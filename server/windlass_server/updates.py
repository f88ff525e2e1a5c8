"""Which fields of a resource an update changes (AIP-134), and whether it is as it was read. Pure."""

import json
from collections.abc import Collection, Sequence
from typing import TypeVar

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from windlass_server.errors import Conflict, FieldViolation, InvalidInput

M = TypeVar("M", bound=Message)

EVERYTHING = "*"
# What is told of each side of a change at most.
_SHOWN = 2000


def merged(stored: M, wanted: M, mask: Sequence[str], changeable: Collection[str]) -> M:
    """The stored message with the masked fields of the wanted one.

    Args:
        stored: as it is; not changed.
        wanted: as it shall be.
        mask: names of fields; none: those that `wanted` has values for; `*` alone: all that can
            change.
        changeable: the fields that an update may change; none of the others is taken over.

    Raises:
        InvalidInput: the mask names a field that cannot be changed, or that there is not, or is
            none.
    """
    result = type(stored)()
    result.CopyFrom(stored)
    for name in sorted(_masked(wanted, mask, changeable)):
        result.ClearField(name)
        one = type(stored)()
        one.CopyFrom(wanted)
        for other in one.DESCRIPTOR.fields:
            if other.name != name:
                one.ClearField(other.name)
        result.MergeFrom(one)
    # No rule bounds what the contract does not know.
    result.DiscardUnknownFields()
    return result


def _masked(wanted: Message, mask: Sequence[str], changeable: Collection[str]) -> set[str]:
    if not mask:
        return {field.name for field, _ in wanted.ListFields()} & set(changeable)
    if set(mask) == {EVERYTHING}:
        return set(changeable)
    if EVERYTHING in mask:
        raise _refused("`*` means all fields and stands alone", "BAD_UPDATE_MASK")
    if "" in mask:
        raise _refused("the name of a field is empty", "BAD_UPDATE_MASK")
    unknown = sorted(set(mask) - set(changeable))
    if unknown:
        text = f"cannot be changed: {', '.join(unknown)}; what can: {', '.join(changeable)}"
        raise _refused(text, "FIELD_NOT_CHANGEABLE")
    return set(mask)


def _refused(text: str, reason: str) -> InvalidInput:
    violation = FieldViolation("update_mask", text, reason)
    return InvalidInput(text, reason=reason, violations=(violation,))


def require_same(
    before: Message, wanted: Message, mask: Sequence[str], kept: Sequence[str], what: str
) -> None:
    """Do nothing unless an update without a mask says something else of what stays as it is.

    Args:
        before: the resource as callers see it.
        wanted: as it shall be.
        mask: as for `merged`: who names fields means no others.
        kept: the fields that callers set when they make it, and that stay.
        what: the field of the request that `wanted` is.

    Raises:
        InvalidInput: FIELD_NOT_CHANGEABLE, naming all of them.
    """
    if mask:
        return
    given = {field.name for field, _ in wanted.ListFields()}
    other = [
        name for name in kept if name in given and getattr(wanted, name) != getattr(before, name)
    ]
    if other:
        text = "stays as it was made"
        reason = "FIELD_NOT_CHANGEABLE"
        violations = tuple(FieldViolation(f"{what}.{name}", text, reason) for name in other)
        message = f"cannot be changed: {', '.join(other)}"
        raise InvalidInput(message, reason=reason, violations=violations)


def require_etag(kind: str, version: int, etag: str) -> None:
    """Do nothing when a caller's etag, if it gave one, is that of the version. Raises Conflict."""
    if etag and etag != str(version):
        message = f"the {kind} was changed since it was read; its etag is {version}"
        raise Conflict(message, reason="ETAG_MISMATCH", etag=str(version))


def difference(
    before: Message, after: Message, names: Sequence[str], untold: Collection[str] = ()
) -> str:
    """Which of these fields are different, one after the other: from what to what, as JSON has it.

    Args:
        before: as it was.
        after: as it is.
        names: of the fields.
        untold: those of which only that is told, since what they have may be secret.
    """
    parts = []
    for name in names:
        if name in untold:
            if getattr(before, name) != getattr(after, name):
                parts.append(f"{name} changed")
            continue
        old, new = (_said(message, name) for message in (before, after))
        if old != new:
            parts.append(f"{name}: {old} -> {new}")
    return "; ".join(parts) or "nothing is different"


def _said(message: Message, name: str) -> str:
    values = MessageToDict(message, preserving_proto_field_name=True)
    if name not in values:
        return "unset"
    # Entries of maps come in any order.
    text = json.dumps(values[name], ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
