"""Jobs of which one runs at a time: those of one name and user of a project that depend on SINGLETON.

Such a job waits for the last one of its name before it that has not ended; when that ends, for the one before
that, until there is none. Then it takes the turn, which one job has at a time: the turn is a row, which is locked
while anybody decides on it, so that of two who find at once that nobody is before them the second sees the first.
That also holds for two servers whose clocks differ, and so do not agree on who came first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.dependency_rules import Edge, Kind, State
from windlass_server.jobs.states import FINAL
from windlass_server.storage.singletons import SingletonKey
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction


def key_of(columns: Mapping[str, Any], spec: job_pb2.Job) -> SingletonKey | None:
    """Of what a new job is a singleton; None: it is none."""
    if all(one.type != job_pb2.Dependency.SINGLETON for one in spec.dependencies):
        return None
    return SingletonKey(columns["project"], columns["user"], columns["name"])


class Turns:
    """The turns of jobs that are added together, or, unless they are held, what they would be."""

    def __init__(self, tx: Transaction, keys: Sequence[SingletonKey] = ()) -> None:
        self._tx = tx
        self._keys = frozenset(keys)
        # The last job of each key that is added, too.
        self._last: dict[SingletonKey, str] = {}

    @classmethod
    def held(cls, tx: Transaction, keys: Sequence[SingletonKey | None]) -> "Turns":
        """Those of keys on which nobody else decides until the transaction ends."""
        wanted = [key for key in keys if key is not None]
        tx.singletons.lock(wanted)
        return cls(tx, wanted)

    def edges(self, columns: Mapping[str, Any], spec: job_pb2.Job) -> list[Edge]:
        """For whom a job waits as a singleton; where that is nobody, it has the turn from now on."""
        key = SingletonKey(columns["project"], columns["user"], columns["name"])
        job_id, last = columns["job_id"], self._last.get(key)
        if key in self._keys:
            self._last[key] = job_id
        if key_of(columns, spec) is None:
            return []
        awaited = last or _awaited(self._tx, key, job_id)
        if awaited:
            return [Edge(awaited, Kind.SINGLETON, State.OPEN)]
        if key in self._keys:
            self._tx.singletons.give(key, job_id)
        return []


def hold_turns(tx: Transaction, job_ids: Sequence[str]) -> None:
    """Keep others from deciding on the turns of singletons; before their rows are locked, as who adds one does."""
    if job_ids:
        tx.singletons.lock([_key(row) for row in tx.jobs.of_ids(job_ids)])


def pass_on(tx: Transaction, awaited_id: str, waiting: Sequence[JobRow]) -> set[str]:
    """Let singletons that waited for a job, which has ended, wait for the next one, or have their turn.

    Args:
        tx: the transaction, which holds their turns.
        awaited_id: the job.
        waiting: the singletons.

    Returns:
        Those that go on waiting.
    """
    keys = {row.job_id: _key(row) for row in waiting}
    others = {job_id: _awaited(tx, keys[job_id], job_id) for job_id in sorted(keys)}
    for job_id, other in others.items():
        if other:
            tx.dependencies.turn(job_id, awaited_id, other)
        else:
            tx.singletons.give(keys[job_id], job_id)
    return {job_id for job_id, other in others.items() if other}


def _key(row: JobRow) -> SingletonKey:
    return SingletonKey(row.project, row.user, row.name)


def _awaited(tx: Transaction, key: SingletonKey, job_id: str) -> str:
    """For which job one of a key waits; empty: its turn has come."""
    before = tx.singletons.before(key, job_id)
    if before:
        return before
    holder = tx.singletons.holder(key)
    head = tx.dependencies.heads([holder]).get(holder) if holder not in ("", job_id) else None
    return "" if head is None or head.status in FINAL else holder
