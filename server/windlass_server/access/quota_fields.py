"""What callers say of a quota: the message, the columns, and what makes no sense."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

from windlass.access.v1 import quota_pb2
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.scheduler.quota import AMOUNTS, Dimension
from windlass_server.storage.tables import QuotaRow

CHANGEABLE = ("cohort", "guaranteed", "borrowing_limit", "limit", "max_priority")
"""What an update may change."""
KEPT = ("project", "user", "gpu_type")
"""What stays as it was made."""

# What the columns of each field begin with, and what it can speak of.
_FIELDS = {
    "guaranteed": ("guaranteed", AMOUNTS),
    "borrowing_limit": ("borrowing", AMOUNTS),
    "limit": ("limit", tuple(Dimension)),
}


def columns_of(spec: quota_pb2.Quota) -> dict[str, Any]:
    """The columns that hold what a caller said."""
    columns: dict[str, Any] = {
        "project": spec.project,
        "user": spec.user,
        "gpu_type": spec.gpu_type,
        "gpu_key": spec.gpu_type.casefold(),
        "cohort": spec.cohort,
        "max_priority": spec.max_priority if spec.HasField("max_priority") else None,
    }
    for name, (prefix, dimensions) in _FIELDS.items():
        said = _said(getattr(spec, name))
        columns |= {f"{prefix}_{one}": said.get(one) for one in dimensions}
    return columns


def spec_of(row: QuotaRow) -> quota_pb2.Quota:
    """What callers said, from its columns."""
    spec = quota_pb2.Quota(
        project=row.project, user=row.user, gpu_type=row.gpu_type, cohort=row.cohort
    )
    if row.max_priority is not None:
        spec.max_priority = row.max_priority
    for name, (prefix, dimensions) in _FIELDS.items():
        for dimension in dimensions:
            value = getattr(row, f"{prefix}_{dimension}")
            if value is not None:
                setattr(getattr(spec, name), dimension, value)
    return spec


def require_sound(spec: quota_pb2.Quota) -> None:
    """Refuse what the rules of single fields cannot say. Raises InvalidInput, with all of it."""
    violations = (*_of_scope(spec), *_of_amounts(spec))
    if violations:
        first = violations[0]
        message = f"{first.field}: {first.description}"
        raise InvalidInput(message, reason=first.reason, violations=violations)


def _of_scope(spec: quota_pb2.Quota) -> Iterator[FieldViolation]:
    """What does not go with whose it is, and of what."""
    bounds = any(_said(getattr(spec, name)) for name in ("guaranteed", "limit"))
    if not bounds and not spec.HasField("max_priority"):
        text = "a quota needs a guarantee or a limit of something"
        yield FieldViolation("quota.limit", text, "SAYS_NOTHING")
    if spec.user:
        yield from (
            FieldViolation(
                f"quota.{name}",
                "is for projects; a user in one has a limit alone",
                "ONLY_OF_PROJECTS",
            )
            for name in ("cohort", "guaranteed", "borrowing_limit")
            if name in {field.name for field, _ in spec.ListFields()}
        )
    if spec.gpu_type and spec.HasField("max_priority"):
        text = "is of jobs, whatever GPUs they are for: set it in a quota without a type"
        yield FieldViolation("quota.max_priority", text, "ONLY_GPUS_HAVE_TYPES")
    if spec.gpu_type:
        yield from (
            FieldViolation(
                f"quota.{name}.{dimension}", "is not had of a type of GPU", "ONLY_GPUS_HAVE_TYPES"
            )
            for name in _FIELDS
            for dimension in _said(getattr(spec, name))
            if dimension != Dimension.GPU
        )


def _of_amounts(spec: quota_pb2.Quota) -> Iterator[FieldViolation]:
    """What contradicts what else it says."""
    guaranteed, borrowing, limit = (_said(getattr(spec, name)) for name in _FIELDS)
    for dimension in borrowing:
        if dimension not in guaranteed:
            text = "nothing is guaranteed beyond which something could be borrowed"
            field = f"quota.borrowing_limit.{dimension}"
            yield FieldViolation(field, text, "NOTHING_GUARANTEED")
    if spec.cohort and not guaranteed and not spec.user:
        text = "nothing is guaranteed that could be lent"
        yield FieldViolation("quota.cohort", text, "NOTHING_GUARANTEED")
    for dimension, amount in guaranteed.items():
        if dimension in limit and limit[dimension] < amount:
            text = f"is less than the {amount} that are guaranteed"
            yield FieldViolation(f"quota.limit.{dimension}", text, "LIMIT_BELOW_GUARANTEE")


def _said(amounts: Message) -> dict[str, int]:
    """Which amounts have a value, also 0."""
    return {field.name: value for field, value in amounts.ListFields()}
