"""Profiles of tasks that run: asked of their node, and handed to who asked."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from windlass.agents.v1 import profile_pb2 as pb
from windlass.types.v1.profile_pb2 import ProfileFormat
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.errors import Conflict, NotFound, Unavailable, WindlassError, WrongState
from windlass_server.ids import IdSource
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow, RunRow

DEFAULT_SECONDS = 10
# Beyond its duration: for py-spy to find its way into the process, to draw, and for the way here.
_PATIENCE_SECONDS = 30.0
_RETRY_SECONDS = 5.0

Send = Callable[[str, pb.ProfileDirective], bool]
Outcome = pb.UploadProfileRequest

_REASONS: Mapping[int, str] = {
    Outcome.NOT_RUNNING: "JOB_NOT_RUNNING",
    Outcome.NOT_PYTHON: "NOT_A_PYTHON_PROCESS",
    Outcome.PROFILER_MISSING: "PROFILER_MISSING",
    Outcome.PROFILER_FORBIDDEN: "PROFILER_FORBIDDEN",
    Outcome.BUSY: "PROFILE_IN_PROGRESS",
    Outcome.TOO_LARGE: "PROFILE_TOO_LARGE",
    Outcome.PROFILER_FAILED: "PROFILER_FAILED",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which profile is asked for; of so many whole seconds."""

    rank: int
    seconds: int
    format: ProfileFormat.Kind


@dataclass(frozen=True, slots=True)
class _Waiting:
    node_id: str
    outcome: "asyncio.Future[Outcome]"


class JobProfiles:
    """Has profiles taken.

    Args:
        send: asks a node for a profile; False when this process has no session of it.
    """

    def __init__(self, database: Database, send: Send, ids: IdSource) -> None:
        self._database = database
        self._send = send
        self._ids = ids
        self._waiting: dict[str, _Waiting] = {}
        self._running: set[str] = set()

    async def take(self, who: Caller, job_id: str, wanted: Wanted) -> bytes:
        """A profile of one of a job's tasks, when it has been taken.

        Raises:
            NotFound: no such job, or foreign; no such rank.
            WrongState: it does not run here, is none of Python's, or its node cannot look into it.
            Conflict: one of the same task is being taken.
            Unavailable: its node is not connected here, or does not answer.
        """
        job, runs = await self._database.read(
            lambda tx: (tx.jobs.get(job_id), tx.runs.of_job(job_id))
        )
        if job is None:
            raise absent("job", job_id)
        require_object(who, "jobs.profile", job.project, kind="job", object_id=job_id)
        run = _run_of(job, runs, wanted.rank)
        if run.run_id in self._running:
            raise _in_progress(run.run_id)
        self._running.add(run.run_id)
        try:
            outcome = await self._ask(run, wanted)
        finally:
            self._running.discard(run.run_id)
        if outcome.failure:
            raise _failed(outcome, run.run_id)
        return outcome.data

    def upload(self, node_id: str, outcome: Outcome) -> None:
        """Take in what became of a profile.

        Raises:
            NotFound: nobody waits for it, of this node.
        """
        waiting = self._waiting.get(outcome.profile_id)
        if waiting is None or waiting.node_id != node_id:
            raise NotFound("nobody waits for this profile", reason="PROFILE_NOT_FOUND")
        if not waiting.outcome.done():
            waiting.outcome.set_result(outcome)

    async def _ask(self, run: RunRow, wanted: Wanted) -> Outcome:
        profile_id = self._ids.new("profile")
        directive = pb.ProfileDirective(
            profile_id=profile_id,
            run_id=run.run_id,
            epoch=run.epoch,
            duration=Duration(seconds=wanted.seconds),
            format=wanted.format,
        )
        waiting = _Waiting(run.node_id, asyncio.get_running_loop().create_future())
        self._waiting[profile_id] = waiting
        try:
            if not self._send(run.node_id, directive):
                message = f"the node of {run.run_id} is not connected to this server"
                raise Unavailable(
                    message, reason="NODE_NOT_CONNECTED", retry_seconds=_RETRY_SECONDS
                )
            async with asyncio.timeout(wanted.seconds + _PATIENCE_SECONDS):
                return await waiting.outcome
        except TimeoutError:
            message = (
                f"the node of {run.run_id} has sent no profile; it may be of an older windlass"
            )
            raise Unavailable(
                message, reason="PROFILE_TIMED_OUT", retry_seconds=_RETRY_SECONDS
            ) from None
        finally:
            del self._waiting[profile_id]


def _run_of(job: JobRow, runs: Sequence[RunRow], rank: int) -> RunRow:
    """The running task of a rank."""
    if job.cluster:
        message = f"job {job.job_id} runs in another cluster: ask that one"
        raise WrongState(message, reason="RUNS_ELSEWHERE", subject=job.job_id)
    running = {run.rank: run for run in runs if run.active and run.started_at is not None}
    if not running:
        message = f"job {job.job_id} does not run"
        raise WrongState(message, reason="JOB_NOT_RUNNING", subject=job.job_id)
    if rank not in running:
        message = f"job {job.job_id} has no running task of rank {rank}"
        raise NotFound(message, reason="RANK_NOT_FOUND")
    return running[rank]


def _in_progress(run_id: str) -> Conflict:
    message = f"a profile of {run_id} is being taken"
    return Conflict(message, reason="PROFILE_IN_PROGRESS")


def _failed(outcome: Outcome, run_id: str) -> WindlassError:
    if outcome.failure == Outcome.BUSY:
        return _in_progress(run_id)
    reason = _REASONS.get(outcome.failure, "PROFILER_FAILED")
    message = outcome.message or "the profile could not be taken"
    return WrongState(message, reason=reason, subject=run_id)
