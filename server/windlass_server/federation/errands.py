"""What is done at a cluster for the jobs that it has or is to have: submit, look, cancel."""

from dataclasses import dataclass
from typing import Any

import grpc

from windlass.jobs.v1 import job_pb2
from windlass_server.federation.link import Calls, Refused
from windlass_server.jobs import remote_rules
from windlass_server.jobs.remote_rules import State
from windlass_server.jobs.remote_runs import RemoteRunsService
from windlass_server.resources.remote_policy import ORIGIN_LABEL

_NOT_LET_IN = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_REASON_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Known:
    """A job as it was last seen at its cluster: its status there, and the etag of that."""

    status: int
    etag: str


class Errands:
    """The errands at one cluster. Each may raise LinkDown, or Refused when we are not let in.

    Attributes:
        known: the jobs by their runs, as they were last seen.
        ended: how many were seen to end.
    """

    def __init__(self, cluster_id: str, link: Calls, runs: RemoteRunsService, project: str) -> None:
        self._cluster_id = cluster_id
        self._link = link
        self._runs = runs
        self._project = project
        self.known: dict[str, Known] = {}
        self.ended = 0

    def forget(self) -> None:
        """Tell of every job anew, as after a time in which nothing was heard."""
        self.known.clear()

    async def attend(self, run: Any) -> None:
        """Do what is to be done for a run, a row of `RemoteRunStore.open_at`."""
        if run.state <= State.SUBMITTED:
            await self._submit(run)
        elif run.active:
            await self._look(run)

    def holds_nothing_yet(self, run: Any) -> bool:
        """Whether what the run will take is still free in the cluster's words on its nodes."""
        known = self.known.get(run.run_id)
        waits = known is None or known.status == int(job_pb2.Job.QUEUED)
        return bool(run.active) and waits

    async def _submit(self, run: Any) -> None:
        doubt_until = await self._runs.submitting(run.run_id)
        if doubt_until is None:
            return
        if run.state == State.SUBMITTED:
            # The request id finds it again, but only for the same user and in the same words.
            label = f"{ORIGIN_LABEL}={run.run_id}"
            earlier = await self._link.labelled(self._project, label)
            if earlier is not None:
                await self._accepted(run, earlier)
                return
        try:
            remote = await self._link.submit(
                outgoing(run.spec, run.run_id, self._project), run.run_id
            )
        except Refused as refused:
            if refused.code is grpc.StatusCode.UNAUTHENTICATED:
                raise
            if refused.reason == "REQUEST_ID_REUSED":
                remote = await self._link.get(refused.metadata["earlier"])
            else:
                await self._runs.refused(
                    run.run_id, refused.reason, refused.message, doubt_until=doubt_until
                )
                return
        await self._accepted(run, remote)

    async def _accepted(self, run: Any, remote: job_pb2.Job) -> None:
        await self._runs.accepted(run.run_id, remote)
        self.known[run.run_id] = Known(remote.status, remote.etag)

    async def _look(self, run: Any) -> None:
        try:
            remote = await self._link.get(run.remote_job_id)
            if run.stop and not remote_rules.is_final(remote.status):
                remote = await self._cancel(run, remote)
        except Refused as refused:
            if refused.code in _NOT_LET_IN:
                raise
            await self._is_unknown(run, refused)
            return
        known = Known(remote.status, remote.etag)
        if self.known.get(run.run_id) != known:
            await self._runs.report(run.run_id, remote)
            self.known[run.run_id] = known
            self.ended += remote_rules.is_final(remote.status)

    async def _cancel(self, run: Any, remote: job_pb2.Job) -> job_pb2.Job:
        if remote.status == job_pb2.Job.CANCELLING:
            return remote
        try:
            return await self._link.cancel(run.remote_job_id, run.job_message[:_REASON_LENGTH])
        except Refused as refused:
            if refused.code is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
            # It has ended meanwhile: the next look tells how.
            return remote

    async def _is_unknown(self, run: Any, refused: Refused) -> None:
        self.known.pop(run.run_id, None)
        words = (
            f"cluster {self._cluster_id} does not know job {run.remote_job_id} any more: {refused}"
        )
        if run.stop:
            await self._runs.lost(run.run_id, words)
        else:
            await self._runs.hold(run.run_id, remote_rules.UNKNOWN, words)


def outgoing(spec: bytes, run_id: str, project: str) -> job_pb2.Job:
    """A job in the words in which another installation is asked for it."""
    job = job_pb2.Job.FromString(spec)
    job.project = project
    # It has waited for them here, and nobody knows them there.
    job.ClearField("dependencies")
    job.ClearField("start_after")
    # Another installation has queues of its own, whatever they are called.
    job.ClearField("queue")
    # What a template of here has made is a whole job.
    job.ClearField("template")
    # These are kept here.
    job.ClearField("deadline")
    job.ClearField("notifications")
    job.labels[ORIGIN_LABEL] = run_id
    return job
