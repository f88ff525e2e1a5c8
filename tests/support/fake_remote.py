"""Another installation as a link to it shows it: the test says what it has and how it fails."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from windlass.access.v1 import access_service_pb2
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import node_pb2
from windlass_server.federation.link import LinkDown, Refused
from windlass_server.resources.remote_policy import ORIGIN_LABEL

Job = job_pb2.Job
DONE = {Job.SUCCEEDED, Job.FAILED, Job.CANCELLED, Job.TIMED_OUT, Job.OUT_OF_MEMORY}


def refusal(code: grpc.StatusCode, reason: str, **metadata: str) -> Refused:
    """A no, as a server says it."""
    return Refused(code, reason, f"says {reason}", metadata)


class FakeRemote:
    """Has jobs as a server has them: one for each user and request id, unless it is told otherwise.

    Attributes:
        jobs: all that it was ever given, by their ids.
        user: as whom the caller is known; request ids are each user's own.
        fails: what a call raises instead of doing anything, by its name.
        loses: what a call raises when it has done what it was asked.
        blocks: calls that never answer; `blocked` is set when one waits.
        output: what each job prints.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.user = "guest"
        self.fails: dict[str, Exception] = {}
        self.loses: dict[str, Exception] = {}
        self.blocks: set[str] = set()
        self.output: dict[str, list[str]] = {}
        self.nodes_shown: list[node_pb2.Node] = []
        self.calls: list[str] = []
        self.closed = False
        self.blocked = asyncio.Event()
        self._requests: dict[tuple[str, str], str] = {}
        self._closing = asyncio.Event()

    def add_node(self, *, gpus: int = 8, gpu_type: str = "H100") -> None:
        """A node with nothing on it."""
        amount = node_pb2.Capacity(cpu_millis=64_000, memory_bytes=1 << 40, gpu_count=gpus)
        node = node_pb2.Node(node_id=f"node-{len(self.nodes_shown)}", capacity=amount)
        node.available.CopyFrom(amount)
        node.status = node_pb2.Node.READY
        node.isolation.level = 3  # type: ignore[assignment]
        for number in range(gpus):
            node.gpus.add(uuid=f"GPU-{number}", gpu_type=gpu_type, health="HEALTHY")
        self.nodes_shown.append(node)

    def set(self, status: int, reason: str = "REASON", **values: Any) -> None:
        """Let every job that has not ended be in this status."""
        for job in self.jobs.values():
            if job.status in DONE:
                continue
            job.MergeFrom(Job(status_reason=reason, status_message="in its words", **values))
            job.status = status  # type: ignore[assignment]
            job.etag += "x"

    async def caller(self) -> access_service_pb2.CallerInfo:
        await self._enter("caller")
        return access_service_pb2.CallerInfo(user=self.user)

    async def version(self) -> str:
        await self._enter("version")
        return "0.1.0"

    async def nodes(self) -> Sequence[node_pb2.Node]:
        await self._enter("nodes")
        return self.nodes_shown

    async def submit(self, job: Job, request_id: str) -> Job:
        await self._enter("submit")
        key = self.user, request_id
        earlier = self._requests.get(key)
        if earlier is not None and self.jobs[earlier].project != job.project:
            raise refusal(grpc.StatusCode.ABORTED, "REQUEST_ID_REUSED", earlier=earlier)
        if earlier is None:
            made = Job()
            made.CopyFrom(job)
            made.job_id = f"job-{len(self.jobs)}"
            made.status = Job.QUEUED
            self.jobs[made.job_id] = made
            earlier = self._requests[key] = made.job_id
        self._leave("submit")
        return self.jobs[earlier]

    async def get(self, job_id: str) -> Job:
        await self._enter("get")
        if job_id not in self.jobs:
            raise refusal(grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
        return self.jobs[job_id]

    async def labelled(self, project: str, label: str) -> Job | None:
        await self._enter("labelled")
        for job in self.jobs.values():
            if f"{ORIGIN_LABEL}={job.labels[ORIGIN_LABEL]}" == label and job.project == project:
                return job
        return None

    async def cancel(self, job_id: str, reason: str) -> Job:
        await self._enter("cancel")
        job = self.jobs[job_id]
        if job.status in DONE - {Job.CANCELLED}:
            raise refusal(grpc.StatusCode.FAILED_PRECONDITION, "JOB_WRONG_STATE")
        job.status = Job.CANCELLED if job.status == Job.QUEUED else Job.CANCELLING
        job.status_reason = "CANCEL_REQUESTED"
        job.etag += "x"
        self._leave("cancel")
        return job

    async def log(self, job_id: str, cursor: str) -> AsyncIterator[job_pb2.JobLogMessage]:
        await self._enter("log")
        lines = self.output.setdefault(job_id, [])
        told = int(cursor or 0)
        while told < len(lines):
            message = job_pb2.JobLogMessage(cursor=str(told + 1))
            message.chunk.text, message.chunk.stream = lines[told], job_pb2.LogChunk.STDOUT
            message.chunk.time.seconds = 1_800_000_000 + told
            told += 1
            yield message
            # As over a network, one after the other.
            await asyncio.sleep(0)
        if self.jobs[job_id].status not in DONE:
            # It would go on; the link is cut instead.
            cut = "the link is cut"
            raise LinkDown(cut)
        end = job_pb2.LogEnd(status=self.jobs[job_id].status)
        yield job_pb2.JobLogMessage(cursor=str(len(lines)), end=end)

    async def close(self) -> None:
        self.closed = True
        self._closing.set()

    async def _enter(self, name: str) -> None:
        self.calls.append(name)
        if name in self.blocks:
            self.blocked.set()
            await self._closing.wait()
            message = "the channel is closed"
            raise LinkDown(message)
        for known in (name, "every"):
            if known in self.fails:
                raise self.fails[known]

    def _leave(self, name: str) -> None:
        if name in self.loses:
            raise self.loses[name]
