"""Which fields of a resource an update changes (AIP-134). Pure."""

from collections.abc import Collection, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from windlass_server.errors import FieldViolation, InvalidInput

M = TypeVar("M", bound=Message)

EVERYTHING = "*"


def merged(stored: M, wanted: M, mask: Sequence[str], changeable: Collection[str]) -> M:
    """The stored message with the masked fields of the wanted one.

    Args:
        stored: as it is; not changed.
        wanted: as it shall be.
        mask: names of fields; none: those that `wanted` has values for; `*`: all that can change.
        changeable: the fields that an update may change; none of the others is taken over.

    Raises:
        InvalidInput: the mask names a field that cannot be changed, or that there is not.
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
    if EVERYTHING in mask:
        return set(changeable)
    unknown = sorted(set(mask) - set(changeable))
    if unknown:
        message = f"cannot be changed: {', '.join(unknown)}; what can: {', '.join(changeable)}"
        violation = FieldViolation("update_mask", message, "FIELD_NOT_CHANGEABLE")
        raise InvalidInput(message, reason=violation.reason, violations=(violation,))
    return set(mask)
