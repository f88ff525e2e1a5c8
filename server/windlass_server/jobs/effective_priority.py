"""By which priority a waiting job is served, and why that is not its own."""

from dataclasses import dataclass

from windlass_server.jobs.states import Status
from windlass_server.resources.pooling import rules_of, usable
from windlass_server.resources.scheduling_policies import SchedulingPolicies
from windlass_server.scheduler.policies import Aging, Policies
from windlass_server.scheduler.wording import span_text
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

_MINUTE = 60


@dataclass(frozen=True, slots=True)
class EffectivePriority:
    """The number that the order goes by, and why it differs from the job's own; empty: it does not."""

    priority: int
    message: str


def inherited(job: JobRow) -> EffectivePriority:
    """What a job is served by without its age: its own priority, or that of one that waits for it."""
    if job.asked_priority is None:
        return EffectivePriority(job.priority, "")
    message = f"{job.priority} is that of a job that waits for it"
    return EffectivePriority(job.priority, message)


def effective(job: JobRow, aging: Aging, now: int) -> EffectivePriority:
    """The same with what its age has added, as `scheduler/order.py` counts it."""
    served = inherited(job)
    since = max(job.eligible_at or job.created_at, job.start_after or 0)
    gained = 0 if job.held else aging.gained(now - since)
    if not gained:
        return served
    waited = _waited_text(now - since)
    aged = f"{gained} of at most {aging.boost} were added for {waited} of waiting"
    message = f"{served.message}; {aged}" if served.message else aged
    return EffectivePriority(served.priority + gained, message)


def _waited_text(micros: int) -> str:
    seconds = micros // 1_000_000
    return f"{seconds}s" if seconds < _MINUTE else span_text(micros)


class Priorities:
    """Knows the aging of each queue and pool."""

    def __init__(self) -> None:
        self._policies = SchedulingPolicies()

    def of_waiting(self, tx: Transaction, job_id: str, now: int) -> EffectivePriority | None:
        """Of a job that waits, where age may add to its priority; else None, as `inherited` says it all."""
        policies = self._policies.load(tx)
        if not _ages(policies):
            return None
        job = tx.jobs.get(job_id)
        if job is None or job.status != Status.QUEUED:
            return None
        return effective(job, aging_of(tx, job, policies), now)


def aging_of(tx: Transaction, job: JobRow, policies: Policies) -> Aging:
    """What holds for a job, by its queue and the pools that it can run in."""
    pools = usable(job.project, job.pool, rules_of(tx.pools.all()))
    return policies.of_job(job.queue, pools).aging


def _ages(policies: Policies) -> bool:
    every = policies.cluster, *policies.queues.values(), *policies.pools.values()
    return any(one.aging is not None and one.aging.boost for one in every)
