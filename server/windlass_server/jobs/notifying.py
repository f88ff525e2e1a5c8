"""Which webhooks a job has told of itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1.job_notification_pb2 import JobNotification
from windlass_server.access.policy import absent
from windlass_server.jobs.states import Status
from windlass_server.storage.transaction import Transaction

# Of getting which status each moment tells.
_STATUSES: Mapping[int, Sequence[Status]] = {
    JobNotification.STARTED: (Status.RUNNING,),
    JobNotification.SUCCEEDED: (Status.SUCCEEDED,),
    JobNotification.FAILED: (
        Status.FAILED,
        Status.TIMED_OUT,
        Status.OUT_OF_MEMORY,
        Status.DEADLINE_EXCEEDED,
    ),
    JobNotification.CANCELLED: (Status.CANCELLED,),
    JobNotification.SUSPENDED: (Status.SUSPENDED,),
}
_ENDS = (JobNotification.SUCCEEDED, JobNotification.FAILED, JobNotification.CANCELLED)


def told_of(notifications: Iterable[JobNotification]) -> Iterator[tuple[str, int]]:
    """Each webhook with each status of which it is told, once."""
    yield from sorted(
        {
            (one.webhook_id, int(status))
            for one in notifications
            for moment in (one.on or _ENDS)
            for status in _STATUSES[moment]
        }
    )


def require_webhooks(tx: Transaction, full: job_pb2.Job) -> None:
    """Do nothing when a job's project has the webhooks that it names. Raises NotFound."""
    wanted = [one.webhook_id for one in full.notifications]
    there = tx.webhooks.there(full.project, wanted) if wanted else set()
    for one in wanted:
        if one not in there:
            raise absent("webhook", one)


def with_webhooks_there(tx: Transaction, stored: job_pb2.Job) -> job_pb2.Job:
    """A job of before, naming only webhooks that are still there."""
    there = tx.webhooks.there(stored.project, [one.webhook_id for one in stored.notifications])
    kept = [one for one in stored.notifications if one.webhook_id in there]
    del stored.notifications[:]
    stored.notifications.extend(kept)
    return stored
