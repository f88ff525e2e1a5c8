"""New jobs as their callers ask for them, and what is known of each before it is accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from windlass.jobs.v1 import job_pb2
from windlass_server.access import quota_use
from windlass_server.access.policy import Caller, absent, require
from windlass_server.errors import Conflict, WindlassError
from windlass_server.idempotency import Asked, earlier_answers
from windlass_server.jobs.holding import require_known
from windlass_server.jobs.lineage import Lineage
from windlass_server.jobs.notifying import require_webhooks
from windlass_server.jobs.queue_rules import unknown
from windlass_server.jobs.secret_references import require_secrets
from windlass_server.jobs.sources import require_source
from windlass_server.resources.pooling import PoolRules, rules_of
from windlass_server.scheduler.quota import Use
from windlass_server.storage.tables import JobRow, QueueRow
from windlass_server.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job that a caller asks for.

    Attributes:
        full: the job, with what the caller left out.
        asked: the request for it.
        lineage: the job that it retries, if it does.
        given: the fields that the caller gave a value.
    """

    full: job_pb2.Job
    asked: Asked
    lineage: Lineage
    given: frozenset[str]

    def live(self, tx: Transaction) -> JobRow | None:
        """A job that is the answer instead of a new one."""
        return self.lineage.live(tx, self.asked, self.full)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a wanted job.

    Attributes:
        earlier: the job that the same request has made before; else None.
        pools: the pools that there are.
        use: what its project has, and those that it lends to and borrows from.
        queue: the queue that it names; None, which it has when there is an earlier job.
    """

    earlier: JobRow | None
    pools: Sequence[PoolRules]
    use: Use
    queue: QueueRow | None = None


def look(tx: Transaction, who: Caller, wanted: Sequence[Wanted]) -> list[Seen | WindlassError]:
    """What is known of jobs that a caller asks for, all in one way; of each that cannot be, why not.

    NotFound: its project, its queue, a job that it waits for, a secret, or a webhook that it names is not there.
    InvalidInput: it cannot wait for those jobs, or have those secrets. Denied: its caller may not use secrets.
    Conflict: its request id was used for another job.
    """
    pools = rules_of(tx.pools.all())
    queues = {one.queue_id: one for one in tx.queues.all()}
    uses: dict[str, Use | WindlassError] = {}
    seen: list[Seen | WindlassError] = []
    for one, earlier in zip(wanted, earlier_jobs(tx, [one.asked for one in wanted]), strict=True):
        project = one.full.project
        if project not in uses:
            there = tx.access.has_project(project)
            uses[project] = quota_use.use_in(tx, project) if there else absent("project", project)
        use = uses[project]
        if isinstance(earlier, Conflict):
            seen.append(earlier)
        elif earlier is not None:
            seen.append(Seen(earlier, pools, use if isinstance(use, Use) else Use(())))
        elif isinstance(use, WindlassError):
            seen.append(use)
        else:
            try:
                queue = _found(queues, one.full.queue)
                require_known(tx, who, one.full)
                require_secrets(tx, who, one.full)
                _require_debug(who, one.full)
                require_source(tx, one.full)
                require_webhooks(tx, one.full)
            except WindlassError as error:
                seen.append(error)
            else:
                seen.append(Seen(None, pools, use, queue))
    return seen


def _found(queues: Mapping[str, QueueRow], name: str) -> QueueRow:
    if name not in queues:
        raise unknown(name, queues)
    return queues[name]


def _require_debug(who: Caller, full: job_pb2.Job) -> None:
    if full.debug_mode:
        require(who, "jobs.debug", full.project)


def earlier_jobs(tx: Transaction, asked: Sequence[Asked]) -> list[JobRow | Conflict | None]:
    """The jobs that requests have made already, if any; Conflict of each that made another one."""
    answers = earlier_answers(tx, asked)
    ids = [one for one in answers if isinstance(one, str)]
    jobs = {job.job_id: job for job in tx.jobs.of_ids(ids)} if ids else {}
    return [jobs.get(one) if isinstance(one, str) else one for one in answers]
