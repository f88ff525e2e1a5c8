"""Pages of jobs beyond the newest first: what a filter asks for, in an order that the caller wants."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from windlass.jobs.v1.job_pb2 import Job
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.filters import Expression
from windlass_server.storage.filtering import (
    Entries,
    Filtered,
    Flag,
    Moment,
    Number,
    Text,
    Word,
    condition,
)
from windlass_server.storage.tables import JobLabelRow, JobRow

_JOBS = JobRow.__table__.c  # type: ignore[attr-defined]
_LABELS = JobLabelRow.__table__.c  # type: ignore[attr-defined]


def _label(key: str, value: ColumnElement[bool] | None) -> ColumnElement[bool]:
    found = select(1).where(_LABELS.job_id == _JOBS.job_id, _LABELS.key == key)
    return (found if value is None else found.where(value)).exists()


# By their paths in a `Job`.
FIELDS: Mapping[str, Filtered] = {
    "job_id": Text(_JOBS.job_id),
    "name": Text(_JOBS.name),
    "user": Text(_JOBS.user),
    "queue": Text(_JOBS.queue),
    "pool": Text(_JOBS.pool),
    "status": Word(_JOBS.status, dict(Job.Status.items()[1:])),
    "status_reason": Text(_JOBS.status_reason),
    "priority": Number(func.coalesce(_JOBS.asked_priority, _JOBS.priority)),
    "attempt": Number(_JOBS.attempt),
    "nodes": Number(_JOBS.nodes),
    "exclusive_node": Flag(_JOBS.exclusive),
    "preemptible": Flag(_JOBS.preemptible),
    "exit_code": Number(_JOBS.exit_code),
    "exit_signal": Number(_JOBS.exit_signal),
    "create_time": Moment(_JOBS.created_at),
    "start_time": Moment(_JOBS.started_at),
    "end_time": Moment(_JOBS.ended_at),
    "labels": Entries(_label, _LABELS.value),
    "resources.cpu_millis": Number(_JOBS.cpu_millis),
    "resources.memory_bytes": Number(_JOBS.memory_bytes),
    "resources.gpu_count": Number(_JOBS.gpu_count),
    "resources.gpu_type": Text(_JOBS.gpu_type),
    "resources.mig_profile": Text(_JOBS.mig_profile),
    "resources.gpu_millis": Number(_JOBS.gpu_millis),
    "placement.run_id": Text(_JOBS.run_id),
    "placement.node_id": Text(_JOBS.node_id),
    "placement.cluster": Text(_JOBS.cluster),
}
# Jobs without the time come before those with it.
_ORDERS: Mapping[str, ColumnElement[Any]] = {
    "create_time": _JOBS.created_at,
    "start_time": func.coalesce(_JOBS.started_at, 0),
    "end_time": func.coalesce(_JOBS.ended_at, 0),
    "priority": func.coalesce(_JOBS.asked_priority, _JOBS.priority),
    "name": _JOBS.name,
    "user": _JOBS.user,
    "status": _JOBS.status,
}


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What a list is ordered by, and behind that by the order of submission, in the same direction."""

    field: str = "create_time"
    descending: bool = True


NEWEST_FIRST = JobOrder()


def job_order(text: str) -> JobOrder:
    """The order of `create_time desc` and the like; empty: the newest first.

    Raises:
        InvalidInput: ORDER_INVALID.
    """
    words = text.split()
    if not words:
        return NEWEST_FIRST
    name, direction = words[0], words[1].lower() if len(words) > 1 else "asc"
    if name not in _ORDERS or direction not in ("asc", "desc") or len(words) > 2:
        known = ", ".join(_ORDERS)
        message = f"order_by is one of {known}, and may be followed by asc or desc"
        violation = FieldViolation("order_by", message, "ORDER_INVALID")
        raise InvalidInput(message, reason="ORDER_INVALID", violations=(violation,))
    return JobOrder(name, direction == "desc")


def check(expression: Expression | None) -> None:
    """Refuse a filter that asks for what there is not; raises InvalidInput."""
    if expression is not None:
        condition(expression, FIELDS)


def select_page(
    base: Select[Any], expression: Expression | None, order: JobOrder, before: str
) -> Select[Any]:
    """The page of `base` that a filter and an order make.

    Args:
        base: jobs, with at least their `job_id`.
        expression: which of them.
        order: their order.
        before: where to go on behind, as `position_of` says; empty: from the first on.
    """
    by = _ORDERS[order.field]
    query = base.add_columns(by.label("place"))
    if expression is not None:
        query = query.where(condition(expression, FIELDS))
    if before:
        place, job_id = json.loads(before)
        if order.descending:
            behind = or_(by < place, and_(by == place, _JOBS.job_id < job_id))
        else:
            behind = or_(by > place, and_(by == place, _JOBS.job_id > job_id))
        query = query.where(behind)
    if order.descending:
        return query.order_by(by.desc(), _JOBS.job_id.desc())
    return query.order_by(by, _JOBS.job_id)


def position_of(head: Any) -> str:
    """Where a page ends that ends with this row of `select_page`."""
    return json.dumps([head.place, head.job_id])
