"""A quota as the API shows it: what was said of it, and what is had."""

from windlass.access.v1 import quota_pb2
from windlass_server.access.quota_fields import spec_of
from windlass_server.access.quota_use import is_exceeded
from windlass_server.access.quotas import QuotaView
from windlass_server.scheduler.quota import AMOUNTS, Dimension, Quota
from windlass_server.scheduler.quota_words import amount_text, owner_text
from windlass_server.storage.tables import EventRow
from windlass_server.timestamps import to_proto


def quota_message(view: QuotaView) -> quota_pb2.Quota:
    """The message."""
    row, quota = view.row, view.quota
    message = spec_of(row)
    message.quota_id = row.quota_id
    message.etag = str(row.version)
    message.create_time.CopyFrom(to_proto(row.created_at))
    message.update_time.CopyFrom(to_proto(row.updated_at))
    message.use.SetInParent()
    for dimension in Dimension:
        setattr(message.use, dimension, quota.used[dimension])
    for dimension in quota.guaranteed:
        setattr(message.borrowed, dimension, _borrowed(quota, dimension))
        setattr(message.borrowable, dimension, _borrowable(view, dimension))
    message.exceeded = is_exceeded(quota)
    if message.exceeded:
        message.status_message = _exceeded_text(quota)
    return message


def quota_event_message(row: EventRow) -> quota_pb2.QuotaEvent:
    """What happened to a quota once."""
    return quota_pb2.QuotaEvent(
        sequence=row.sequence,
        quota_id=row.object_id,
        time=to_proto(row.at),
        actor=row.actor,
        reason=row.reason,
        message=row.message,
    )


def _borrowed(quota: Quota, dimension: Dimension) -> int:
    return max(0, quota.used[dimension] - quota.guaranteed[dimension])


def _borrowable(view: QuotaView, dimension: Dimension) -> int:
    """What others leave, as far as the quota lets its owner have it."""
    quota, idle = view.quota, view.use.borrowable(view.quota, dimension)
    most = quota.most(dimension)
    if most is None:
        return idle
    # What it is guaranteed it need not borrow.
    return max(0, min(idle, most - max(quota.used[dimension], quota.guaranteed[dimension])))


def _exceeded_text(quota: Quota) -> str:
    """As in `project ml has 12 GPUs, 4 GPUs more than its quota allows; nothing new starts until …`."""
    parts = []
    for dimension in (*AMOUNTS, Dimension.RUNNING, Dimension.ARTIFACTS):
        used, most = quota.used[dimension], quota.most(dimension)
        if most is not None and used > most:
            has, more = (amount_text(one, dimension, quota.gpu_type) for one in (used, used - most))
            parts.append(f"{has}, {more} more than its quota allows")
    return (
        f"{owner_text(quota)} has {' and '.join(parts)}; nothing new starts until enough has ended"
    )
