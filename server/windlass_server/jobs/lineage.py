"""What a job has from the one that it retries: its place in the lineage, its checkpoint, and who waited for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from windlass.jobs.v1 import job_pb2
from windlass_server.idempotency import Asked
from windlass_server.jobs.damaged_checkpoints import shown
from windlass_server.jobs.dependency_rules import Edge
from windlass_server.jobs.following import require_no_cycle
from windlass_server.storage.checkpoints import State
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

_SUBMIT, _RETRY = "jobs.submit", "jobs.retry"
# As many retries of one job are looked at for one that is the same; more are not answered for another.
_LOOKED_AT = 100


class Lineage(Protocol):
    """Where a new job comes from."""

    def asked(self, user: str, request_id: str, spec: job_pb2.Job) -> Asked:
        """As what the caller's request is remembered."""

    def live(self, tx: Transaction, asked: Asked, spec: job_pb2.Job) -> JobRow | None:
        """A job that is the answer instead of a new one."""

    def require_waits(self, tx: Transaction, spec: job_pb2.Job, edges: Sequence[Edge]) -> None:
        """Refuse, as InvalidInput, that the new job waits for one that waits for it."""

    def columns(self, tx: Transaction) -> dict[str, Any]:
        """What of the new job's columns follows from where it comes from."""

    @property
    def message(self) -> str:
        """What the new job's first event says."""

    @property
    def resumes(self) -> bool:
        """Whether the jobs of an array's indices begin with the checkpoints of those that they retry."""

    def follow(self, tx: Transaction, job: JobRow) -> bool:
        """Let others know of the new job, which `tx` has added; whether anybody waits for it."""


class First(Lineage):
    """A job that retries none."""

    def asked(self, user: str, request_id: str, spec: job_pb2.Job) -> Asked:
        return Asked(user, _SUBMIT, request_id, spec)

    def live(self, tx: Transaction, asked: Asked, spec: job_pb2.Job) -> JobRow | None:
        return None

    def require_waits(self, tx: Transaction, spec: job_pb2.Job, edges: Sequence[Edge]) -> None:
        """Nobody waits for what is not there yet."""

    def columns(self, tx: Transaction) -> dict[str, Any]:
        return {}

    @property
    def message(self) -> str:
        return "the job was accepted"

    @property
    def resumes(self) -> bool:
        return False

    def follow(self, tx: Transaction, job: JobRow) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class FromTemplate(First):
    """A job that a template makes.

    Attributes:
        said: the job as its caller says it: the same words are the same request, whatever the template is by then.
        template: its name.
        version: which one.
    """

    said: Message
    template: str
    version: int

    def asked(self, user: str, request_id: str, spec: job_pb2.Job) -> Asked:
        return Asked(user, _SUBMIT, request_id, self.said)

    @property
    def message(self) -> str:
        return f"the job was accepted, made by template {self.template} version {self.version}"


@dataclass(frozen=True, slots=True)
class Again(Lineage):
    """A retry of a job that has ended.

    Attributes:
        source: the job.
        request: what was asked for, without its request id.
        reason: why, in the caller's words; empty for none.
        from_scratch: it does not begin with a checkpoint.
    """

    source: JobRow
    request: Message
    reason: str
    from_scratch: bool

    def asked(self, user: str, request_id: str, spec: job_pb2.Job) -> Asked:
        return Asked(user, _RETRY, request_id, self.request)

    def live(self, tx: Transaction, asked: Asked, spec: job_pb2.Job) -> JobRow | None:
        """A retry that is the same and has not ended; who gives a request id wants one of its own."""
        if asked.request_id:
            return None
        # So that of two that come at once the second sees the first.
        tx.jobs.lock(self.source.job_id)
        for row in tx.jobs.live_retries_of(self.source.job_id, _LOOKED_AT):
            if row.user == asked.user and job_pb2.Job.FromString(row.spec) == spec:
                return row
        return None

    def require_waits(self, tx: Transaction, spec: job_pb2.Job, edges: Sequence[Edge]) -> None:
        """Those that follow retries wait for this one before it is there."""
        require_no_cycle(tx, self.source, spec, edges)

    def columns(self, tx: Transaction) -> dict[str, Any]:
        source = self.source
        values = {
            "retry_of": source.job_id,
            "root_job_id": source.root_job_id or source.job_id,
            "attempt": source.attempt,
        }
        if self.from_scratch or source.checkpoint is None:
            return values
        newest = job_pb2.Checkpoint.FromString(source.checkpoint)
        saved = tx.checkpoints.get(newest.checkpoint_id)
        # What nobody needed any more may have been removed.
        if saved is None or saved.status != State.SAVED:
            return values
        at = saved.saved_at or saved.created_at
        return values | {"checkpoint": shown(saved, at), "checkpoint_of": saved.job_id}

    @property
    def message(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"a retry of {self.source.job_id}{why}"

    @property
    def resumes(self) -> bool:
        return not self.from_scratch

    def follow(self, tx: Transaction, job: JobRow) -> bool:
        """Note with the old job that it is retried, and let those that wait for it wait for the new one."""
        source = self.source
        why = f": {self.reason}" if self.reason else ""
        tx.events.record(
            project=source.project,
            object_id=source.job_id,
            at=job.created_at,
            actor=job.user,
            status=source.status,
            reason="RETRIED",
            message=f"retried as {job.job_id}{why}",
            run_id=source.run_id,
        )
        return tx.dependencies.follow(source.job_id, job.job_id)
