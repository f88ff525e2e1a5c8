"""Holds queues to their bounds, in the transaction in which jobs come to wait in them or get a place."""

from collections.abc import Callable, Iterable, Sequence

from windlass_server.errors import Conflict, Exhausted
from windlass_server.jobs.queue_rules import (
    Queue,
    queued_bounds,
    require_open,
    running_bounds,
    said_of,
    unknown,
)
from windlass_server.scheduler.queue_limits import (
    WAITING,
    Bounds,
    Excess,
    QueueState,
    QueueUse,
)
from windlass_server.scheduler.queue_words import excess_text, paused_text
from windlass_server.storage.tables import JobRow, QueueRow
from windlass_server.storage.transaction import Transaction

# When to try again is when another job has left the queue, of which nothing is known.
_RETRY_SECONDS = 60.0


def that_hold(tx: Transaction) -> tuple[QueueState, ...]:
    """The queues that let not all of their jobs start, as the scheduler sees them."""
    return _running(tx, tx.queues.all())


def paused(tx: Transaction) -> frozenset[str]:
    """The queues of which nothing starts, by name."""
    return frozenset(one.queue_id for one in tx.queues.all() if _is_paused(said_of(one)))


def take_places(tx: Transaction, jobs: Sequence[JobRow]) -> None:
    """Find that all of these jobs, which wait, may have a place, and keep others from taking it.

    Raises:
        Conflict: QUEUE_PAUSED or QUEUE_LIMIT.
    """
    names = {job.queue for job in jobs}
    use = QueueUse(_running(tx, _held(tx, names, running_bounds)))
    for job in jobs:
        if use.is_paused(job.queue):
            raise Conflict(paused_text(job.queue), reason="QUEUE_PAUSED", queue=job.queue)
        if (excess := use.excess(job.queue, job.user)) is not None:
            raise Conflict(excess_text(excess), reason="QUEUE_LIMIT", queue=job.queue)
        use.take(job.queue, job.user)


def take_waiting(tx: Transaction, jobs: Sequence[tuple[str, str]]) -> None:
    """Find that new jobs may wait, and keep others from coming in between.

    Args:
        tx: in which they are added behind this.
        jobs: the queue and the user of each.

    Raises:
        NotFound: there is no such queue any more.
        WrongState: it takes no more jobs.
        Exhausted: QUEUE_LIMIT, as many wait as may.
    """
    names = {queue for queue, _ in jobs}
    _let_in(tx, jobs, _held(tx, names, queued_bounds))


def require_waiting(tx: Transaction, queue: str, user: str) -> None:
    """Look, before anything is written, whether `take_waiting` would refuse a job now. Raises as that."""
    _let_in(tx, [(queue, user)], tx.queues.named({queue}))


def _let_in(tx: Transaction, jobs: Sequence[tuple[str, str]], rows: Sequence[QueueRow]) -> None:
    said = {row.queue_id: said_of(row) for row in rows}
    use = QueueUse(_waiting(tx, rows))
    for queue, user in jobs:
        if queue not in said:
            raise unknown(queue, {row.queue_id for row in tx.queues.all()})
        require_open(queue, said[queue])
        if (excess := use.excess(queue, user)) is not None:
            raise _full(excess)
        use.take(queue, user)


def _full(excess: Excess) -> Exhausted:
    """The error that says what does not let a job in."""
    metadata = {"queue": excess.queue, "dimension": "queued_jobs", "bound": str(excess.most)}
    if excess.user:
        metadata |= {"dimension": "queued_jobs_per_user", "user": excess.user}
    return Exhausted(
        excess_text(excess),
        reason="QUEUE_LIMIT",
        retry_seconds=_RETRY_SECONDS,
        used=str(excess.jobs),
        **metadata,
    )


def _held(
    tx: Transaction, names: set[str], bounds: Callable[[Queue], Bounds]
) -> Sequence[QueueRow]:
    """These queues, which nobody changes, and to which nobody else adds where they are bounded."""
    ids = sorted(names)
    if any(bounds(said_of(row)) for row in tx.queues.named(names)):
        return tx.queues.lock_all(ids)
    return tx.queues.hold_all(ids)


def _running(tx: Transaction, rows: Iterable[QueueRow]) -> tuple[QueueState, ...]:
    states = []
    for row in rows:
        said = said_of(row)
        bounds = running_bounds(said)
        if bounds or _is_paused(said):
            jobs = tx.queues.running(row.queue_id) if bounds else {}
            states.append(QueueState(row.queue_id, _is_paused(said), bounds, jobs))
    return tuple(states)


def _waiting(tx: Transaction, rows: Iterable[QueueRow]) -> Iterable[QueueState]:
    for row in rows:
        if bounds := queued_bounds(said_of(row)):
            jobs = tx.queues.queued(row.queue_id)
            yield QueueState(row.queue_id, bounds=bounds, jobs=jobs, what=WAITING)


def _is_paused(said: Queue) -> bool:
    return said.state == Queue.PAUSED
