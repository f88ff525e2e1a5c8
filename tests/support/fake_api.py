"""A small control plane in memory, served over real gRPC on loopback, that a test can make fail.

Jobs run in no time: `["exit", "3"]` ends with 3, `["forever"]` runs until it is cancelled, anything
else succeeds; each prints `line 1` to `line 5`, the fourth on standard error.
"""

# ruff: noqa: N802 - gRPC methods are CamelCase

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

import grpc
from google.api import httpbody_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.support.fake_artifacts import FakeArtifacts
from tests.support.fake_drains import FakeDrains
from tests.support.fake_reservations import FakeReservations
from tests.support.fake_sources import FakeSources
from windlass.access.v1 import (
    access_pb2,
    access_service_pb2,
    access_service_pb2_grpc,
    event_pb2,
    quota_pb2,
    secret_pb2,
    webhook_pb2,
)
from windlass.jobs.v1 import (
    job_array_indices_pb2,
    job_batch_pb2,
    job_forecast_pb2,
    job_metrics_pb2,
    job_pb2,
    job_profile_pb2,
    job_template_pb2,
    job_templates_service_pb2,
    job_templates_service_pb2_grpc,
    jobs_service_pb2,
    jobs_service_pb2_grpc,
    queue_pb2,
    queues_service_pb2,
    queues_service_pb2_grpc,
)
from windlass.resources.v1 import (
    allocation_pb2,
    cluster_pb2,
    drain_pb2,
    node_metrics_pb2,
    node_pb2,
    pool_pb2,
    price_pb2,
    reservation_pb2,
    resources_service_pb2,
    resources_service_pb2_grpc,
    scheduling_policy_pb2,
    usage_pb2,
)
from windlass.system.v1 import system_service_pb2, system_service_pb2_grpc
from windlass.types.v1 import types_pb2

Job = job_pb2.Job
TOKEN = "wl_test"
T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Failure:
    """What the next call of a method fails with."""

    code: grpc.StatusCode
    message: str = "no"
    reason: str = "TEST"
    violations: Sequence[tuple[str, str]] = ()
    retry_after: float | None = None

    def status(self) -> status_pb2.Status:
        """The `google.rpc.Status` on the wire."""
        status = status_pb2.Status(code=code_pb2.Code.Value(self.code.name), message=self.message)
        details: list[Any] = [
            error_details_pb2.ErrorInfo(
                reason=self.reason, domain="windlass", metadata={"why": "scripted"}
            )
        ]
        if self.violations:
            bad = error_details_pb2.BadRequest()
            for name, description in self.violations:
                bad.field_violations.add(field=name, description=description)
            details.append(bad)
        if self.retry_after is not None:
            delay = Duration()
            delay.FromMilliseconds(int(self.retry_after * 1000))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        for detail in details:
            status.details.add().Pack(detail)
        return status


@dataclass
class FakeState:
    """What the fake knows, and what a test tells it to do wrong.

    Attributes:
        failures: for each RPC, what its next calls fail with, in order.
        breaks: for each coming log stream, after how many messages it breaks and how: `abort`,
            `silent` (ends as if all were well) or `error` (says so in the stream).
        incomplete: what the end of a log stream says is missing.
        silent: RPCs that are never answered.
        calls: names of the RPCs that were called, in order.
        requests: the requests by RPC.
        drains_to: the state that a node is in when its drain was asked for.
    """

    token: str | None = TOKEN
    jobs: dict[str, job_pb2.Job] = field(default_factory=dict)
    request_ids: dict[str, str] = field(default_factory=dict)
    logs: dict[str, list[job_pb2.LogChunk]] = field(default_factory=dict)
    checkpoints: list[job_pb2.Checkpoint] = field(default_factory=list)
    failures: dict[str, list[Failure]] = field(default_factory=lambda: defaultdict(list))
    breaks: list[tuple[int, str]] = field(default_factory=list)
    incomplete: list[job_pb2.IncompleteLog] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    requests: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    nodes: list[node_pb2.Node] = field(default_factory=list)
    node_events: list[node_pb2.NodeEvent] = field(default_factory=list)
    job_metrics: job_metrics_pb2.GetJobMetricsResponse = field(
        default_factory=job_metrics_pb2.GetJobMetricsResponse
    )
    live: list[node_metrics_pb2.TelemetryMessage] = field(default_factory=list)
    # What each stream of events tells, in turn.
    events_told: list[list[event_pb2.EventMessage]] = field(default_factory=list)
    metrics: node_metrics_pb2.GetNodeMetricsResponse = field(
        default_factory=node_metrics_pb2.GetNodeMetricsResponse
    )
    allocations: list[allocation_pb2.Allocation] = field(default_factory=list)
    clusters: dict[str, cluster_pb2.Cluster] = field(default_factory=dict)
    prices: list[price_pb2.Price] = field(default_factory=list)
    quotas: list[quota_pb2.Quota] = field(default_factory=list)
    secrets: dict[str, secret_pb2.Secret] = field(default_factory=dict)
    templates: dict[str, list[job_template_pb2.JobTemplate]] = field(default_factory=dict)
    queues: list[queue_pb2.Queue] = field(default_factory=list)
    webhooks: list[webhook_pb2.Webhook] = field(default_factory=list)
    drains: dict[str, drain_pb2.Drain] = field(default_factory=dict)
    reservations: dict[str, reservation_pb2.Reservation] = field(default_factory=dict)
    usage: usage_pb2.Usage = field(default_factory=usage_pb2.Usage)
    pools: dict[str, pool_pb2.Pool] = field(default_factory=dict)
    policies: dict[str, scheduling_policy_pb2.SchedulingPolicy] = field(default_factory=dict)
    shares: scheduling_policy_pb2.Shares = field(default_factory=scheduling_policy_pb2.Shares)
    drains_to: Any = node_pb2.Maintenance.DRAINED
    keys: list[access_pb2.ApiKey] = field(default_factory=list)
    projects: list[str] = field(default_factory=lambda: ["default"])


async def _refuse(context: Any, failure: Failure) -> NoReturn:
    await context.abort_with_status(rpc_status.to_status(failure.status()))
    raise AssertionError("abort raises")


class _Service:
    def __init__(self, state: FakeState) -> None:
        self.state = state

    async def enter(self, name: str, request: Any, context: Any, *, public: bool = False) -> None:
        """Note the call, fail if a test asked for it, check the credential."""
        self.state.calls.append(name)
        self.state.requests[name].append(request)
        if name in self.state.silent:
            await asyncio.Event().wait()
        if self.state.failures[name]:
            await _refuse(context, self.state.failures[name].pop(0))
        sent = dict(context.invocation_metadata()).get("authorization")
        if self.state.token and not public and sent != f"Bearer {self.state.token}":
            await _refuse(
                context,
                Failure(grpc.StatusCode.UNAUTHENTICATED, "a credential is needed", "NO_CREDENTIAL"),
            )

    async def job(self, job_id: str, context: Any) -> job_pb2.Job:
        if job_id not in self.state.jobs:
            await _refuse(
                context, Failure(grpc.StatusCode.NOT_FOUND, f"no job {job_id}", "JOB_NOT_FOUND")
            )
        return self.state.jobs[job_id]


def a_forecast() -> job_forecast_pb2.Forecast:
    """Of a job that asks for too many GPUs."""
    forecast = job_forecast_pb2.Forecast(
        verdict=job_forecast_pb2.Forecast.WAITS,
        reason="INSUFFICIENT_GPUS",
        message="needs 8 GPUs",
        jobs_ahead=3,
        nodes=4,
    )
    forecast.effective_priority = 12
    forecast.priority_message = "12 of at most 100 were added for 2h of waiting"
    forecast.start_time_p50.FromSeconds(1_800_000_000)
    forecast.start_time_p90.FromSeconds(1_800_003_600)
    forecast.constraints.add(
        constraint="INSUFFICIENT_GPUS",
        field="resources.gpu_count",
        nodes_when_empty=2,
        nodes_now=4,
    )
    withheld = forecast.withheld.add(message="2 jobs would be stopped for it, but not yet")
    for job_id in ("job-7", "job-7", ""):
        withheld.victims.add(job_id=job_id, node_id="node-1")
    forecast.changes.add(field="resources.gpu_count", asked="8", enough="5")
    forecast.changes.add(field="pool", asked="big")
    forecast.cost.currency, forecast.cost.per_hour, forecast.cost.at_most = "EUR", "2.5", "5"
    return forecast


class JobsService(_Service, FakeArtifacts, FakeSources, jobs_service_pb2_grpc.JobsServiceServicer):
    """Jobs that end at once."""

    def __init__(self, state: FakeState) -> None:
        super().__init__(state)
        FakeArtifacts.__init__(self)
        FakeSources.__init__(self)

    async def BatchSubmitJobs(
        self, request: Any, context: Any
    ) -> job_batch_pb2.BatchSubmitJobsResponse:
        """Refuses jobs without a command; of the others it knows nothing but their ids."""
        await self.enter("BatchSubmitJobs", request, context)
        answer = job_batch_pb2.BatchSubmitJobsResponse()
        for number, job in enumerate(request.jobs, 1):
            if job.command:
                answer.results.add().job.job_id = f"job-{number}"
            else:
                refused = Failure(
                    grpc.StatusCode.INVALID_ARGUMENT, violations=[("job.command", "is required")]
                )
                answer.results.add().error.CopyFrom(refused.status())
        return answer

    async def SubmitJob(self, request: Any, context: Any) -> job_pb2.Job:
        await self.enter("SubmitJob", request, context)
        if request.request_id in self.state.request_ids:
            return self.state.jobs[self.state.request_ids[request.request_id]]
        job = job_pb2.Job()
        job.CopyFrom(request.job)
        if request.validate_only:
            job.forecast.CopyFrom(a_forecast())
            return job
        job.job_id = f"job-{len(self.state.jobs) + 1}"
        job.user, job.etag, job.attempt = "ada", "1", 1
        job.project = job.project or "default"
        job.create_time.FromDatetime(T0)
        job.start_time.FromDatetime(T0)
        job.isolation.level = types_pb2.Isolation.SANDBOX
        run_to_its_end(job)
        self.state.jobs[job.job_id] = job
        self.state.request_ids[request.request_id] = job.job_id
        self.state.logs[job.job_id] = [
            job_pb2.LogChunk(
                stream=job_pb2.LogChunk.STDERR if n == 4 else job_pb2.LogChunk.STDOUT,
                text=f"line {n}\n",
            )
            for n in range(1, 6)
        ]
        return job

    async def GetJob(self, request: Any, context: Any) -> job_pb2.Job:
        await self.enter("GetJob", request, context)
        return await self.job(request.job_id, context)

    async def ExplainJob(self, request: Any, context: Any) -> jobs_service_pb2.ExplainJobResponse:
        await self.enter("ExplainJob", request, context)
        job = await self.job(request.job_id, context)
        return jobs_service_pb2.ExplainJobResponse(
            job_id=job.job_id, status=job.status, forecast=a_forecast()
        )

    async def ListJobs(self, request: Any, context: Any) -> jobs_service_pb2.ListJobsResponse:
        await self.enter("ListJobs", request, context)
        jobs = [
            job
            for job in reversed(self.state.jobs.values())
            if (not request.status or job.status in request.status)
            and (not request.project or job.project == request.project)
        ]
        start, size = int(request.page_token or 0), request.page_size or 50
        rest = start + size < len(jobs)
        return jobs_service_pb2.ListJobsResponse(
            jobs=jobs[start : start + size], next_page_token=str(start + size) if rest else ""
        )

    async def CancelJob(self, request: Any, context: Any) -> job_pb2.Job:
        await self.enter("CancelJob", request, context)
        job = await self.job(request.job_id, context)
        if job.status in (Job.SUCCEEDED, Job.FAILED):
            message = f"{job.job_id} has ended"
            await _refuse(
                context, Failure(grpc.StatusCode.FAILED_PRECONDITION, message, "JOB_ENDED")
            )
        job.status, job.etag = Job.CANCELLED, "2"
        return job

    async def UpdateJobStatus(self, request: Any, context: Any) -> job_pb2.Job:
        await self.enter("UpdateJobStatus", request, context)
        job = await self.job(request.job_id, context)
        if request.action != jobs_service_pb2.UpdateJobStatusRequest.RETRY:
            return job
        new = job_pb2.Job()
        new.CopyFrom(job)
        new.job_id = f"job-{len(self.state.jobs) + 1}"
        new.retry_of, new.status = job.job_id, Job.SUCCEEDED
        self.state.jobs[new.job_id] = new
        return new

    async def UpdateJobStatuses(
        self, request: Any, context: Any
    ) -> jobs_service_pb2.UpdateJobStatusesResponse:
        await self.enter("UpdateJobStatuses", request, context)
        jobs = [*self.state.jobs.values()]
        at = int(request.filter.page_token or 0)
        outcome = jobs_service_pb2.JobOutcome(
            job_id=jobs[at].job_id, previous_status=jobs[at].status, status=Job.CANCELLED
        )
        if jobs[at].status in (Job.SUCCEEDED, Job.FAILED):
            outcome.error_reason, outcome.error_message = "JOB_WRONG_STATE", "it has ended"
        token = str(at + 1) if at + 1 < len(jobs) else ""
        return jobs_service_pb2.UpdateJobStatusesResponse(outcomes=[outcome], next_page_token=token)

    async def ProfileJob(
        self, request: job_profile_pb2.ProfileJobRequest, context: Any
    ) -> httpbody_pb2.HttpBody:
        await self.enter("ProfileJob", request, context)
        return httpbody_pb2.HttpBody(content_type="image/svg+xml", data=b"<svg/>")

    async def GetJobMetrics(
        self, request: Any, context: Any
    ) -> job_metrics_pb2.GetJobMetricsResponse:
        await self.enter("GetJobMetrics", request, context)
        return self.state.job_metrics

    async def ListJobEvents(
        self, request: Any, context: Any
    ) -> jobs_service_pb2.ListJobEventsResponse:
        await self.enter("ListJobEvents", request, context)
        job = await self.job(request.job_id, context)
        events = [
            job_pb2.JobEvent(sequence=n, job_id=job.job_id, actor=actor, status=status, reason=why)
            for n, (actor, status, why) in enumerate(
                [("ada", Job.QUEUED, "SUBMITTED"), ("scheduler", job.status, "DONE")], 1
            )
        ]
        return jobs_service_pb2.ListJobEventsResponse(events=events)

    async def ListJobArrayIndices(
        self, request: Any, context: Any
    ) -> job_array_indices_pb2.ListJobArrayIndicesResponse:
        """Three indices, of which the second failed, two on a page."""
        await self.enter("ListJobArrayIndices", request, context)
        job = await self.job(request.job_id, context)
        statuses = ("SUCCEEDED", "FAILED", "QUEUED")
        indices = [
            job_array_indices_pb2.ArrayIndex(
                index=index,
                job_id="" if status == "QUEUED" else f"{job.job_id}{index}",
                status=status,
            )
            for index, status in enumerate(statuses)
        ]
        chosen = [
            one
            for one in indices
            if (not request.status or one.status in request.status)
            and (not request.HasField("index") or one.index == request.index)
        ]
        first = int(request.page_token or 0)
        size = min(request.page_size, 2) or 2
        status = job.array_status
        status.total_count, status.parallel = 3, job.array.parallel
        status.succeeded_count = status.failed_count = status.queued_count = 1
        return job_array_indices_pb2.ListJobArrayIndicesResponse(
            indices=chosen[first : first + size],
            next_page_token=str(first + size) if len(chosen) > first + size else "",
            array_status=status,
        )

    async def UpdateJobArray(self, request: Any, context: Any) -> job_pb2.Job:
        await self.enter("UpdateJobArray", request, context)
        job = await self.job(request.job_id, context)
        job.array_status.parallel = request.parallel
        return job

    async def ListJobCheckpoints(
        self, request: Any, context: Any
    ) -> jobs_service_pb2.ListJobCheckpointsResponse:
        await self.enter("ListJobCheckpoints", request, context)
        await self.job(request.job_id, context)
        return jobs_service_pb2.ListJobCheckpointsResponse(checkpoints=self.state.checkpoints)

    async def DownloadJobCheckpoint(
        self, request: Any, context: Any
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        await self.enter("DownloadJobCheckpoint", request, context)
        for piece in (b"a tar ", request.checkpoint_id.encode()):
            yield httpbody_pb2.HttpBody(data=piece)

    async def StreamJobLogs(
        self, request: Any, context: Any
    ) -> AsyncIterator[job_pb2.JobLogMessage]:
        await self.enter("StreamJobLogs", request, context)
        job = await self.job(request.job_id, context)
        chunks = self.state.logs[job.job_id]
        start = int(request.cursor or 0)
        if request.HasField("tail"):
            start = len(chunks) - request.tail
        rest = list(enumerate(chunks, 1))[start:]
        after, how = self.state.breaks.pop(0) if self.state.breaks else (len(rest), "")
        for position, chunk in rest[:after]:
            yield job_pb2.JobLogMessage(cursor=str(position), chunk=chunk)
        if how == "":
            while request.follow and job.status == Job.RUNNING:
                heartbeat = job_pb2.LogHeartbeat()
                yield job_pb2.JobLogMessage(cursor=str(len(chunks)), heartbeat=heartbeat)
                await asyncio.sleep(0.01)
            end = job_pb2.LogEnd(status=job.status, incomplete=self.state.incomplete)
            yield job_pb2.JobLogMessage(cursor=str(len(chunks)), end=end)
        if how == "abort":
            await _refuse(context, Failure(grpc.StatusCode.UNAVAILABLE, "going away", "SHUTDOWN"))
        if how == "error":
            error = job_pb2.LogError(reason="LOG_LOST", message="lost")
            yield job_pb2.JobLogMessage(error=error)


class ResourcesService(
    _Service, FakeDrains, FakeReservations, resources_service_pb2_grpc.ResourcesServiceServicer
):
    """Nodes that a test puts there."""

    async def ListNodes(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListNodesResponse:
        await self.enter("ListNodes", request, context)
        return resources_service_pb2.ListNodesResponse(nodes=self.state.nodes)

    async def GetNode(self, request: Any, context: Any) -> node_pb2.Node:
        await self.enter("GetNode", request, context)
        for node in self.state.nodes:
            if node.node_id == request.node_id:
                return node
        return await _refuse(
            context,
            Failure(grpc.StatusCode.NOT_FOUND, f"no node {request.node_id}", "NODE_NOT_FOUND"),
        )

    async def ListNodeEvents(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListNodeEventsResponse:
        await self.enter("ListNodeEvents", request, context)
        return resources_service_pb2.ListNodeEventsResponse(
            events=[event for event in self.state.node_events if event.node_id == request.node_id]
        )

    async def GetNodeMetrics(
        self, request: Any, context: Any
    ) -> node_metrics_pb2.GetNodeMetricsResponse:
        await self.enter("GetNodeMetrics", request, context)
        return self.state.metrics

    async def StreamTelemetry(
        self, request: Any, context: Any
    ) -> AsyncIterator[node_metrics_pb2.TelemetryMessage]:
        await self.enter("StreamTelemetry", request, context)
        for message in self.state.live:
            yield message

    async def CordonNode(self, request: Any, context: Any) -> node_pb2.Node:
        return await self._kept("CordonNode", node_pb2.Maintenance.CORDONED, request, context)

    async def UncordonNode(self, request: Any, context: Any) -> node_pb2.Node:
        return await self._kept("UncordonNode", node_pb2.Maintenance.OPEN, request, context)

    async def DrainNode(self, request: Any, context: Any) -> node_pb2.Node:
        return await self._kept("DrainNode", self.state.drains_to, request, context)

    async def _kept(self, name: str, state: Any, request: Any, context: Any) -> node_pb2.Node:
        await self.enter(name, request, context)
        (node,) = [node for node in self.state.nodes if node.node_id == request.node_id]
        node.maintenance.state = state
        shown = node_pb2.Maintenance.State.Name(state).replace("OPEN", "READY")
        node.status = getattr(node_pb2.Node, shown)
        return node

    async def Allocate(self, request: Any, context: Any) -> allocation_pb2.Allocation:
        await self.enter("Allocate", request, context)
        made = allocation_pb2.Allocation(
            allocation_id=f"alloc-{len(self.state.allocations) + 1}",
            project=request.project or "default",
            user="ada",
            status=allocation_pb2.Allocation.ACTIVE,
            node_id="node-gpu-1",
            resources=request.resources,
            gpu_uuids=[f"GPU-{number}" for number in range(request.resources.gpu_count)],
            fencing_token=7,
        )
        made.expire_time.FromDatetime(T0)
        self.state.allocations.append(made)
        return made

    async def GetAllocation(self, request: Any, context: Any) -> allocation_pb2.Allocation:
        return await self._allocation("GetAllocation", request, context)

    async def ListAllocations(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListAllocationsResponse:
        await self.enter("ListAllocations", request, context)
        return resources_service_pb2.ListAllocationsResponse(allocations=self.state.allocations)

    async def RenewAllocation(self, request: Any, context: Any) -> allocation_pb2.Allocation:
        return await self._allocation("RenewAllocation", request, context)

    async def ReleaseAllocation(self, request: Any, context: Any) -> allocation_pb2.Allocation:
        found = await self._allocation("ReleaseAllocation", request, context)
        found.status = allocation_pb2.Allocation.RELEASED
        return found

    async def _allocation(self, name: str, request: Any, context: Any) -> allocation_pb2.Allocation:
        await self.enter(name, request, context)
        wanted = request.allocation_id
        return next(one for one in self.state.allocations if one.allocation_id == wanted)

    async def DeleteNode(self, request: Any, context: Any) -> node_pb2.Node:
        await self.enter("DeleteNode", request, context)
        gone = next(node for node in self.state.nodes if node.node_id == request.node_id)
        self.state.nodes.remove(gone)
        return gone

    async def ListClusters(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListClustersResponse:
        await self.enter("ListClusters", request, context)
        return resources_service_pb2.ListClustersResponse(clusters=self.state.clusters.values())

    async def GetCluster(self, request: Any, context: Any) -> cluster_pb2.Cluster:
        await self.enter("GetCluster", request, context)
        return self.state.clusters[request.cluster_id]

    async def CreateCluster(self, request: Any, context: Any) -> cluster_pb2.Cluster:
        await self.enter("CreateCluster", request, context)
        self.state.clusters[request.cluster.cluster_id] = request.cluster
        return cluster_pb2.Cluster.FromString(request.cluster.SerializeToString())

    async def UpdateCluster(self, request: Any, context: Any) -> cluster_pb2.Cluster:
        await self.enter("UpdateCluster", request, context)
        found = self.state.clusters[request.cluster.cluster_id]
        request.update_mask.MergeMessage(request.cluster, found)
        return found

    async def DeleteCluster(self, request: Any, context: Any) -> cluster_pb2.Cluster:
        await self.enter("DeleteCluster", request, context)
        return self.state.clusters.pop(request.cluster_id)

    async def ExportUsage(self, request: Any, context: Any) -> AsyncIterator[httpbody_pb2.HttpBody]:
        await self.enter("ExportUsage", request, context)
        for piece in (b"project,gpu_seconds\r\n", b"a,1.5\r\n"):
            yield httpbody_pb2.HttpBody(data=piece)

    async def ListPrices(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListPricesResponse:
        await self.enter("ListPrices", request, context)
        return resources_service_pb2.ListPricesResponse(prices=self.state.prices[::-1])

    async def SetPrice(self, request: Any, context: Any) -> price_pb2.Price:
        await self.enter("SetPrice", request, context)
        price = price_pb2.Price()
        price.CopyFrom(request.price)
        price.price_id = f"price-{len(self.state.prices) + 1}"
        if not price.HasField("start_time"):
            price.start_time.FromDatetime(T0)
        self.state.prices.append(price)
        return price

    async def DeletePrice(self, request: Any, context: Any) -> price_pb2.Price:
        await self.enter("DeletePrice", request, context)
        gone = next(one for one in self.state.prices if one.price_id == request.price_id)
        self.state.prices.remove(gone)
        return gone

    async def GetUsage(self, request: Any, context: Any) -> usage_pb2.Usage:
        await self.enter("GetUsage", request, context)
        return self.state.usage

    async def ListPools(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListPoolsResponse:
        await self.enter("ListPools", request, context)
        return resources_service_pb2.ListPoolsResponse(pools=self.state.pools.values())

    async def GetPool(self, request: Any, context: Any) -> pool_pb2.Pool:
        await self.enter("GetPool", request, context)
        return self.state.pools[request.pool_id]

    async def CreatePool(self, request: Any, context: Any) -> pool_pb2.Pool:
        await self.enter("CreatePool", request, context)
        self.state.pools[request.pool.pool_id] = request.pool
        return pool_pb2.Pool.FromString(request.pool.SerializeToString())

    async def UpdatePool(self, request: Any, context: Any) -> pool_pb2.Pool:
        await self.enter("UpdatePool", request, context)
        found = self.state.pools[request.pool.pool_id]
        for name in request.update_mask.paths:
            found.ClearField(name)
        request.update_mask.MergeMessage(request.pool, found)
        return found

    async def DeletePool(self, request: Any, context: Any) -> pool_pb2.Pool:
        await self.enter("DeletePool", request, context)
        return self.state.pools.pop(request.pool_id)

    async def Simulate(self, request: Any, context: Any) -> resources_service_pb2.SimulateResponse:
        await self.enter("Simulate", request, context)
        result = {"policy": "fifo", "finished": len(request.jobs), "allocation_percent": 12.34}
        return resources_service_pb2.SimulateResponse(results=[result])

    async def ListSchedulingPolicies(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListSchedulingPoliciesResponse:
        await self.enter("ListSchedulingPolicies", request, context)
        return resources_service_pb2.ListSchedulingPoliciesResponse(
            policies=self.state.policies.values()
        )

    async def GetSchedulingPolicy(
        self, request: Any, context: Any
    ) -> scheduling_policy_pb2.SchedulingPolicy:
        await self.enter("GetSchedulingPolicy", request, context)
        if request.policy_id not in self.state.policies:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no policy")
        return self.state.policies[request.policy_id]

    async def UpdateSchedulingPolicy(
        self, request: Any, context: Any
    ) -> scheduling_policy_pb2.SchedulingPolicy:
        await self.enter("UpdateSchedulingPolicy", request, context)
        stored = scheduling_policy_pb2.SchedulingPolicy()
        stored.CopyFrom(request.policy)
        stored.user = "ada"
        stored.update_time.FromDatetime(T0)
        self.state.policies[stored.policy_id] = stored
        return stored

    async def DeleteSchedulingPolicy(
        self, request: Any, context: Any
    ) -> scheduling_policy_pb2.SchedulingPolicy:
        await self.enter("DeleteSchedulingPolicy", request, context)
        return self.state.policies.pop(request.policy_id)

    async def ListSchedulingPolicyEvents(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListSchedulingPolicyEventsResponse:
        await self.enter("ListSchedulingPolicyEvents", request, context)
        event = scheduling_policy_pb2.SchedulingPolicyEvent(
            sequence=1, policy_id=request.policy_id, actor="ada", reason="POLICY_SET"
        )
        event.time.FromDatetime(T0)
        event.message = 'aging: unset -> {"boost": 5}'
        return resources_service_pb2.ListSchedulingPolicyEventsResponse(events=[event])

    async def GetShares(self, request: Any, context: Any) -> scheduling_policy_pb2.Shares:
        await self.enter("GetShares", request, context)
        return self.state.shares

    async def CreateJoinToken(self, request: Any, context: Any) -> resources_service_pb2.JoinToken:
        await self.enter("CreateJoinToken", request, context)
        token = resources_service_pb2.JoinToken(token="join-me")
        token.expire_time.FromDatetime(T0)
        return token


class AccessService(_Service, access_service_pb2_grpc.AccessServiceServicer):
    """Keys and projects as lists."""

    async def CreateToken(self, request: Any, context: Any) -> access_service_pb2.AccessToken:
        await self.enter("CreateToken", request, context)
        token = access_service_pb2.AccessToken(access_token="jwt", token_type="Bearer")
        token.expire_time.FromDatetime(T0)
        return token

    async def StreamEvents(
        self, request: Any, context: Any
    ) -> AsyncIterator[event_pb2.EventMessage]:
        await self.enter("StreamEvents", request, context)
        for message in self.state.events_told.pop(0):
            yield message

    async def GetCaller(self, request: Any, context: Any) -> access_service_pb2.CallerInfo:
        await self.enter("GetCaller", request, context)
        return access_service_pb2.CallerInfo(user="ada", default_project="default")

    async def ListProjects(
        self, request: Any, context: Any
    ) -> access_service_pb2.ListProjectsResponse:
        await self.enter("ListProjects", request, context)
        projects = [access_pb2.Project(project=name) for name in sorted(self.state.projects)]
        return access_service_pb2.ListProjectsResponse(projects=projects)

    async def CreateProject(self, request: Any, context: Any) -> access_pb2.Project:
        await self.enter("CreateProject", request, context)
        name = request.project.project
        if name in self.state.projects:
            failure = Failure(grpc.StatusCode.ALREADY_EXISTS, f"{name} is taken", "PROJECT_EXISTS")
            await _refuse(context, failure)
        self.state.projects.append(name)
        return access_pb2.Project(project=name, display_name=request.project.display_name)

    async def PutSecret(self, request: Any, context: Any) -> secret_pb2.Secret:
        await self.enter("PutSecret", request, context)
        old = self.state.secrets.get(request.name)
        made = secret_pb2.Secret(
            project=request.project,
            name=request.name,
            version=old.version + 1 if old else 1,
            size_bytes=len(request.data),
            user="ada",
        )
        made.versions.add(version=made.version, size_bytes=made.size_bytes, user="ada")
        self.state.secrets[request.name] = made
        return made

    async def GetSecret(self, request: Any, context: Any) -> secret_pb2.Secret:
        await self.enter("GetSecret", request, context)
        return self.state.secrets[request.name]

    async def ListSecrets(self, request: Any, context: Any) -> secret_pb2.ListSecretsResponse:
        await self.enter("ListSecrets", request, context)
        return secret_pb2.ListSecretsResponse(secrets=self.state.secrets.values())

    async def DeleteSecret(self, request: Any, context: Any) -> secret_pb2.Secret:
        await self.enter("DeleteSecret", request, context)
        return self.state.secrets.pop(request.name)

    async def ListQuotas(self, request: Any, context: Any) -> access_service_pb2.ListQuotasResponse:
        await self.enter("ListQuotas", request, context)
        wanted = [
            one
            for one in self.state.quotas
            if all(
                not getattr(request, name) or getattr(request, name) == getattr(one, name)
                for name in ("project", "user", "gpu_type")
            )
        ]
        return access_service_pb2.ListQuotasResponse(quotas=wanted)

    async def GetQuota(self, request: Any, context: Any) -> quota_pb2.Quota:
        await self.enter("GetQuota", request, context)
        return next(one for one in self.state.quotas if one.quota_id == request.quota_id)

    async def CreateQuota(self, request: Any, context: Any) -> quota_pb2.Quota:
        await self.enter("CreateQuota", request, context)
        made = quota_pb2.Quota()
        made.CopyFrom(request.quota)
        made.quota_id = f"quota-{len(self.state.quotas) + 1}"
        made.use.SetInParent()
        self.state.quotas.append(made)
        return made

    async def UpdateQuota(self, request: Any, context: Any) -> quota_pb2.Quota:
        await self.enter("UpdateQuota", request, context)
        found = next(one for one in self.state.quotas if one.quota_id == request.quota.quota_id)
        mask = request.update_mask
        for name in mask.paths:
            found.ClearField(name)
        mask.MergeMessage(request.quota, found)
        return found

    async def DeleteQuota(self, request: Any, context: Any) -> quota_pb2.Quota:
        await self.enter("DeleteQuota", request, context)
        gone = next(one for one in self.state.quotas if one.quota_id == request.quota_id)
        self.state.quotas.remove(gone)
        return gone

    async def ListQuotaEvents(
        self, request: Any, context: Any
    ) -> access_service_pb2.ListQuotaEventsResponse:
        await self.enter("ListQuotaEvents", request, context)
        event = quota_pb2.QuotaEvent(
            sequence=1, quota_id=request.quota_id, actor="ada", reason="QUOTA_CREATED"
        )
        event.time.FromDatetime(T0)
        event.message = "project vision: guaranteed 8 GPUs"
        return access_service_pb2.ListQuotaEventsResponse(events=[event])

    async def CreateWebhook(self, request: Any, context: Any) -> webhook_pb2.WebhookWithSecret:
        await self.enter("CreateWebhook", request, context)
        made = webhook_pb2.Webhook()
        made.CopyFrom(request.webhook)
        made.webhook_id, made.etag = f"webhook-{len(self.state.webhooks)}", "1"
        made.enabled = request.webhook.enabled or not request.webhook.HasField("enabled")
        self.state.webhooks.append(made)
        return webhook_pb2.WebhookWithSecret(webhook=made, secret="whsec_c2VjcmV0")

    async def RotateWebhookSecret(
        self, request: Any, context: Any
    ) -> webhook_pb2.WebhookWithSecret:
        await self.enter("RotateWebhookSecret", request, context)
        found = await self._webhook(request.webhook_id, context)
        return webhook_pb2.WebhookWithSecret(webhook=found, secret="whsec_bmV3")

    async def GetWebhook(self, request: Any, context: Any) -> webhook_pb2.Webhook:
        await self.enter("GetWebhook", request, context)
        return await self._webhook(request.webhook_id, context)

    async def ListWebhooks(self, request: Any, context: Any) -> webhook_pb2.ListWebhooksResponse:
        await self.enter("ListWebhooks", request, context)
        return webhook_pb2.ListWebhooksResponse(webhooks=self.state.webhooks)

    async def UpdateWebhook(self, request: Any, context: Any) -> webhook_pb2.Webhook:
        await self.enter("UpdateWebhook", request, context)
        found = await self._webhook(request.webhook.webhook_id, context)
        request.update_mask.MergeMessage(request.webhook, found, True, True)
        return found

    async def DeleteWebhook(self, request: Any, context: Any) -> webhook_pb2.Webhook:
        await self.enter("DeleteWebhook", request, context)
        found = await self._webhook(request.webhook_id, context)
        self.state.webhooks.remove(found)
        return found

    async def TestWebhook(self, request: Any, context: Any) -> webhook_pb2.WebhookDelivery:
        await self.enter("TestWebhook", request, context)
        await self._webhook(request.webhook_id, context)
        return self._delivery(request.webhook_id, 1)

    async def ListWebhookDeliveries(
        self, request: Any, context: Any
    ) -> webhook_pb2.ListWebhookDeliveriesResponse:
        await self.enter("ListWebhookDeliveries", request, context)
        some = [self._delivery(request.webhook_id, request.status or 3)]
        return webhook_pb2.ListWebhookDeliveriesResponse(deliveries=some)

    async def GetWebhookDelivery(self, request: Any, context: Any) -> webhook_pb2.WebhookDelivery:
        await self.enter("GetWebhookDelivery", request, context)
        return self._delivery(request.webhook_id, 2)

    async def RedeliverWebhook(self, request: Any, context: Any) -> webhook_pb2.WebhookDelivery:
        await self.enter("RedeliverWebhook", request, context)
        return self._delivery(request.webhook_id, 1)

    def _delivery(self, webhook_id: str, status: int) -> webhook_pb2.WebhookDelivery:
        made = webhook_pb2.WebhookDelivery(
            delivery_id="delivery-1",
            webhook_id=webhook_id,
            type="job.failed",
            object_id="job-1",
            attempt_count=1,
        )
        made.status = status  # type: ignore[assignment]
        made.create_time.FromDatetime(T0)
        made.attempts.add(http_status=200 if status == 2 else 500, answer="ok").time.FromDatetime(
            T0
        )
        return made

    async def _webhook(self, webhook_id: str, context: Any) -> webhook_pb2.Webhook:
        for one in self.state.webhooks:
            if one.webhook_id == webhook_id:
                return one
        failure = Failure(
            grpc.StatusCode.NOT_FOUND, f"there is no webhook {webhook_id!r}", "WEBHOOK_NOT_FOUND"
        )
        await _refuse(context, failure)
        raise AssertionError

    async def CreateApiKey(
        self, request: Any, context: Any
    ) -> access_service_pb2.CreateApiKeyResponse:
        await self.enter("CreateApiKey", request, context)
        key = access_pb2.ApiKey(
            key_id=f"key-{len(self.state.keys) + 1}",
            user=request.user,
            role=request.role,
            project=request.project,
        )
        key.create_time.FromDatetime(T0)
        self.state.keys.append(key)
        return access_service_pb2.CreateApiKeyResponse(api_key=key, secret="wl_secret")

    async def ListApiKeys(
        self, request: Any, context: Any
    ) -> access_service_pb2.ListApiKeysResponse:
        await self.enter("ListApiKeys", request, context)
        return access_service_pb2.ListApiKeysResponse(api_keys=self.state.keys[::-1])

    async def RevokeApiKey(self, request: Any, context: Any) -> access_pb2.ApiKey:
        await self.enter("RevokeApiKey", request, context)
        for key in self.state.keys:
            if key.key_id == request.key_id:
                key.revoke_time.FromDatetime(T0)
                return key
        failure = Failure(grpc.StatusCode.NOT_FOUND, f"no key {request.key_id}", "KEY_NOT_FOUND")
        return await _refuse(context, failure)


class QueuesService(_Service, queues_service_pb2_grpc.QueuesServiceServicer):
    """Queues by name."""

    async def ListQueues(self, request: Any, context: Any) -> queues_service_pb2.ListQueuesResponse:
        await self.enter("ListQueues", request, context)
        return queues_service_pb2.ListQueuesResponse(queues=self.state.queues)

    async def GetQueue(self, request: Any, context: Any) -> queue_pb2.Queue:
        await self.enter("GetQueue", request, context)
        return self._named(request.queue_id)

    async def CreateQueue(self, request: Any, context: Any) -> queue_pb2.Queue:
        await self.enter("CreateQueue", request, context)
        made = queue_pb2.Queue()
        made.CopyFrom(request.queue)
        made.state = made.state or queue_pb2.Queue.OPEN
        self.state.queues.append(made)
        return made

    async def UpdateQueue(self, request: Any, context: Any) -> queue_pb2.Queue:
        await self.enter("UpdateQueue", request, context)
        found = self._named(request.queue.queue_id)
        request.update_mask.MergeMessage(request.queue, found, replace_message_field=True)
        return found

    async def DeleteQueue(self, request: Any, context: Any) -> queue_pb2.Queue:
        await self.enter("DeleteQueue", request, context)
        gone = self._named(request.queue_id)
        self.state.queues.remove(gone)
        return gone

    async def ListQueueEvents(
        self, request: Any, context: Any
    ) -> queues_service_pb2.ListQueueEventsResponse:
        await self.enter("ListQueueEvents", request, context)
        event = queue_pb2.QueueEvent(
            sequence=1, queue_id=request.queue_id, actor="ada", reason="QUEUE_CREATED"
        )
        event.time.seconds = 1_800_000_000
        event.message = "nothing is different"
        return queues_service_pb2.ListQueueEventsResponse(events=[event])

    def _named(self, queue_id: str) -> queue_pb2.Queue:
        return next(one for one in self.state.queues if one.queue_id == queue_id)


class JobTemplatesService(_Service, job_templates_service_pb2_grpc.JobTemplatesServiceServicer):
    """Templates by name, of which each keeps its versions."""

    async def ListJobTemplates(
        self, request: Any, context: Any
    ) -> job_templates_service_pb2.ListJobTemplatesResponse:
        await self.enter("ListJobTemplates", request, context)
        newest = [versions[-1] for versions in self.state.templates.values()]
        return job_templates_service_pb2.ListJobTemplatesResponse(templates=newest)

    async def GetJobTemplate(self, request: Any, context: Any) -> job_template_pb2.JobTemplate:
        await self.enter("GetJobTemplate", request, context)
        versions: list[job_template_pb2.JobTemplate] = self.state.templates[request.name]
        version: int = request.version
        return versions[version - 1]

    async def ListJobTemplateVersions(
        self, request: Any, context: Any
    ) -> job_templates_service_pb2.ListJobTemplateVersionsResponse:
        await self.enter("ListJobTemplateVersions", request, context)
        versions = self.state.templates[request.name][::-1]
        return job_templates_service_pb2.ListJobTemplateVersionsResponse(versions=versions)

    async def CreateJobTemplate(self, request: Any, context: Any) -> job_template_pb2.JobTemplate:
        await self.enter("CreateJobTemplate", request, context)
        return self._added(request.template)

    async def UpdateJobTemplate(self, request: Any, context: Any) -> job_template_pb2.JobTemplate:
        await self.enter("UpdateJobTemplate", request, context)
        return self._added(request.template)

    async def DeleteJobTemplate(self, request: Any, context: Any) -> job_template_pb2.JobTemplate:
        await self.enter("DeleteJobTemplate", request, context)
        gone: list[job_template_pb2.JobTemplate] = self.state.templates.pop(request.name)
        return gone[-1]

    def _added(self, wanted: job_template_pb2.JobTemplate) -> job_template_pb2.JobTemplate:
        versions = self.state.templates.setdefault(wanted.name, [])
        made = job_template_pb2.JobTemplate(version=len(versions) + 1, user="ada")
        made.MergeFrom(wanted)
        made.create_time.seconds = 1_800_000_000
        versions.append(made)
        return made


class SystemService(_Service, system_service_pb2_grpc.SystemServiceServicer):
    """A version."""

    async def GetHealth(self, request: Any, context: Any) -> system_service_pb2.Health:
        await self.enter("GetHealth", request, context, public=True)
        return system_service_pb2.Health(status="ok")

    async def GetSystemInfo(self, request: Any, context: Any) -> system_service_pb2.SystemInfo:
        await self.enter("GetSystemInfo", request, context)
        return system_service_pb2.SystemInfo(version="9.9.9", database="sqlite")

    async def ExportMetrics(
        self, request: Any, context: Any
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        await self.enter("ExportMetrics", request, context)
        yield httpbody_pb2.HttpBody(content_type="text/plain")


def run_to_its_end(job: job_pb2.Job) -> None:
    """Give the job the status that its command stands for."""
    program, *arguments = job.command or ["sh", job.script]
    if program == "forever":
        job.status = Job.RUNNING
        return
    job.exit_code = int(arguments[0]) if program == "exit" else 0
    job.status = Job.FAILED if job.exit_code else Job.SUCCEEDED
    job.end_time.FromDatetime(T0)


def a_node(name: str = "gpu-1") -> node_pb2.Node:
    """A ready node with two GPUs, the first of which a run of job-1 holds."""
    node = node_pb2.Node(
        node_id=f"node-{name}",
        name=name,
        status=node_pb2.Node.READY,
        capacity=node_pb2.Capacity(cpu_millis=8000, memory_bytes=2**34, gpu_count=2),
        available=node_pb2.Capacity(cpu_millis=7500, memory_bytes=2**33, gpu_count=1),
        runs=[node_pb2.NodeRun(run_id="run-1", job_id="job-1", gpu_uuids=["GPU-0"])],
    )
    node.last_seen_time.FromDatetime(T0)
    node.create_time.FromDatetime(T0)
    for index in range(2):
        gpu = node.gpus.add(
            uuid=f"GPU-{index}",
            index=index,
            gpu_type="H100",
            health=node_pb2.Gpu.HEALTHY,
            memory_total_bytes=80 * 2**30,
        )
        gpu.sample_time.FromDatetime(T0)
    busy = node.gpus[0]
    busy.run_id, busy.utilization_percent, busy.memory_used_bytes = "run-1", 93, 40 * 2**30
    busy.temperature_celsius, busy.power_watts, busy.power_limit_watts = 71, 640, 700
    return node


class FakeControlPlane:
    """Serves a `FakeState` from a thread of its own, so that blocking clients can be tested too."""

    def __init__(self) -> None:
        self.state = FakeState()
        self.jobs = JobsService(self.state)
        self.address = ""
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fake control plane")

    def __enter__(self) -> "FakeControlPlane":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = grpc.aio.server()
        jobs_service_pb2_grpc.add_JobsServiceServicer_to_server(self.jobs, server)
        resources_service_pb2_grpc.add_ResourcesServiceServicer_to_server(
            ResourcesService(self.state), server
        )
        access_service_pb2_grpc.add_AccessServiceServicer_to_server(
            AccessService(self.state), server
        )
        queues_service_pb2_grpc.add_QueuesServiceServicer_to_server(
            QueuesService(self.state), server
        )
        job_templates_service_pb2_grpc.add_JobTemplatesServiceServicer_to_server(
            JobTemplatesService(self.state), server
        )
        system_service_pb2_grpc.add_SystemServiceServicer_to_server(
            SystemService(self.state), server
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self.address = f"127.0.0.1:{port}"
        self._started.set()
        await self._stop.wait()
        await server.stop(grace=None)
