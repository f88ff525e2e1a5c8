"""The jobs API on the wire: translate, call, translate back."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from google.api import httpbody_pb2

from windlass.jobs.v1 import job_metrics_pb2, job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.filters import parse
from windlass_server.jobs.actions import JobActions
from windlass_server.jobs.array_indices import ArrayIndices
from windlass_server.jobs.array_rpc import JobArraysRpc
from windlass_server.jobs.artifacts import ArtifactsService
from windlass_server.jobs.artifacts_rpc import ArtifactsRpc
from windlass_server.jobs.batch_rpc import JobBatchesRpc, Single
from windlass_server.jobs.batches import JobBatches
from windlass_server.jobs.bulk import BulkActions
from windlass_server.jobs.checkpoint_archive import CONTENT_TYPE
from windlass_server.jobs.damaged_checkpoints import checkpoint_message
from windlass_server.jobs.forecast_message import forecast_message
from windlass_server.jobs.forecasts import Forecasts
from windlass_server.jobs.job_checkpoints import JobCheckpoints
from windlass_server.jobs.logs import JobLogs, LogRequest
from windlass_server.jobs.messages import event_to_proto
from windlass_server.jobs.metrics import JobMetrics
from windlass_server.jobs.metrics_message import metrics_message, shape_of
from windlass_server.jobs.profiles import JobProfiles
from windlass_server.jobs.profiles_rpc import ProfilesRpc
from windlass_server.jobs.reader import JobReader
from windlass_server.jobs.service import JobsService
from windlass_server.jobs.sources import SourcesService
from windlass_server.jobs.sources_rpc import SourcesRpc
from windlass_server.jobs.templated_jobs import TemplatedJobs
from windlass_server.resources.metrics import wanted_of
from windlass_server.rpc.call import Call
from windlass_server.storage.job_pages import check, job_order
from windlass_server.storage.jobs import JobFilter
from windlass_server.timestamps import from_proto, nanos

# Jobs of one page that is acted on.
_BULK_SIZE = 1000


class JobsRpc(ArtifactsRpc, ProfilesRpc, SourcesRpc, JobArraysRpc, JobBatchesRpc):
    """Serves `windlass.jobs.v1.JobsService`."""

    def __init__(
        self,
        jobs: JobsService,
        reader: JobReader,
        logs: JobLogs,
        metrics: JobMetrics,
        checkpoints: JobCheckpoints,
        forecasts: Forecasts,
        actions: JobActions,
        artifacts: ArtifactsService,
        sources: SourcesService,
        batches: JobBatches,
        profiles: JobProfiles,
        single: Single,
        array_indices: ArrayIndices,
        templated: TemplatedJobs,
    ) -> None:
        self._array_indices = array_indices
        self._templated = templated
        self._actions = actions
        self._bulk = BulkActions(actions)
        self._batches = batches
        self._profiles = profiles
        self._single = single
        self._artifacts = artifacts
        self._sources = sources
        self._forecasts = forecasts
        self._checkpoints = checkpoints
        self._jobs = jobs
        self._reader = reader
        self._logs = logs
        self._metrics = metrics

    async def SubmitJob(self, request: pb.SubmitJobRequest, call: Call) -> job_pb2.Job:
        spec, lineage = await self._templated.asked(call.caller, request.job, request.request_id)
        if request.validate_only:
            forecast = await self._forecasts.dry_run(
                call.caller, spec, request_id=request.request_id, lineage=lineage
            )
            message = await self._reader.shown(forecast.job)
            message.forecast.CopyFrom(forecast_message(forecast))
            return message
        job = await self._jobs.submit(
            call.caller, spec, request_id=request.request_id, lineage=lineage
        )
        return await self._reader.shown(job)

    async def ExplainJob(self, request: pb.ExplainJobRequest, call: Call) -> pb.ExplainJobResponse:
        forecast = await self._forecasts.explain(call.caller, request.job_id)
        return pb.ExplainJobResponse(
            job_id=forecast.job.job_id,
            status=forecast.job.status,  # type: ignore[arg-type]
            forecast=forecast_message(forecast),
        )

    async def GetJob(self, request: pb.GetJobRequest, call: Call) -> bytes:
        if request.view == job_pb2.Job.FULL:
            job = await self._reader.full(call.caller, request.job_id)
            if job.status == job_pb2.Job.QUEUED:
                forecast = await self._forecasts.explain(call.caller, request.job_id)
                job.forecast.CopyFrom(forecast_message(forecast))
            return job.SerializeToString()
        return await self._reader.get(call.caller, request.job_id)

    async def ListJobs(self, request: pb.ListJobsRequest, call: Call) -> bytes:
        wanted = _filter(request, request.project or call.caller.default_project)
        return await self._reader.page(
            wanted, size=request.page_size, token=request.page_token, view=request.view
        )

    async def UpdateJobStatus(self, request: pb.UpdateJobStatusRequest, call: Call) -> job_pb2.Job:
        return await self._reader.shown(await self._actions.act(call.caller, request))

    async def UpdateJobStatuses(
        self, request: pb.UpdateJobStatusesRequest, call: Call
    ) -> pb.UpdateJobStatusesResponse:
        wanted = request.filter
        wanted.page_size = wanted.page_size or _BULK_SIZE
        wanted.view = job_pb2.Job.BASIC
        page = pb.ListJobsResponse.FromString(await self.ListJobs(wanted, call))
        return await self._bulk.act(call.caller, page, request)

    async def CancelJob(self, request: pb.CancelJobRequest, call: Call) -> job_pb2.Job:
        job = await self._jobs.cancel(
            call.caller, request.job_id, reason=request.reason, force=request.force
        )
        return await self._reader.shown(job)

    def StreamJobLogs(
        self, request: pb.StreamJobLogsRequest, call: Call
    ) -> AsyncGenerator[job_pb2.JobLogMessage]:
        wanted = LogRequest(
            follow=request.follow,
            tail=request.tail if request.HasField("tail") else None,
            stream=request.stream,
            cursor=request.cursor,
            rank=request.rank if request.HasField("rank") else None,
            since=nanos(request.since) if request.HasField("since") else None,
            until=nanos(request.until) if request.HasField("until") else None,
            grep=request.grep,
            ignore_case=request.grep_ignore_case,
            fixed=request.grep_fixed,
        )
        return self._logs.stream(call.caller, request.job_id, wanted)

    async def GetJobMetrics(
        self, request: job_metrics_pb2.GetJobMetricsRequest, call: Call
    ) -> job_metrics_pb2.GetJobMetricsResponse:
        found = await self._metrics.get(
            call.caller, request.job_id, wanted_of(request), shape_of(request)
        )
        return metrics_message(found)

    async def ListJobCheckpoints(
        self, request: pb.ListJobCheckpointsRequest, call: Call
    ) -> pb.ListJobCheckpointsResponse:
        rows, token = await self._checkpoints.list(
            call.caller, request.job_id, size=request.page_size, token=request.page_token
        )
        return pb.ListJobCheckpointsResponse(
            checkpoints=[checkpoint_message(row, row.saved_at) for row in rows],
            next_page_token=token,
        )

    async def DownloadJobCheckpoint(
        self, request: pb.DownloadJobCheckpointRequest, call: Call
    ) -> AsyncGenerator[httpbody_pb2.HttpBody]:
        archive = await self._checkpoints.archive(
            call.caller, request.job_id, request.checkpoint_id
        )
        call.response_metadata |= {
            "content-disposition": f'attachment; filename="{archive.row.checkpoint_id}.tar"',
            "etag": f'"{archive.row.checkpoint_id}"',
            "x-content-length": str(archive.size),
        }
        async with aclosing(self._checkpoints.pieces(archive)) as pieces:
            async for piece in pieces:
                yield httpbody_pb2.HttpBody(content_type=CONTENT_TYPE, data=piece)

    async def ListJobEvents(
        self, request: pb.ListJobEventsRequest, call: Call
    ) -> pb.ListJobEventsResponse:
        events, token = await self._jobs.events(
            call.caller, request.job_id, size=request.page_size, token=request.page_token
        )
        return pb.ListJobEventsResponse(
            events=[event_to_proto(event) for event in events], next_page_token=token
        )


def _pair(label: str) -> tuple[str, str]:
    key, _, value = label.partition("=")
    return key, value


def _filter(request: pb.ListJobsRequest, project: str) -> JobFilter:
    expression = parse(request.filter)
    check(expression)
    return JobFilter(
        project=project,
        statuses=tuple(sorted(set(request.status))),
        queue=request.queue,
        user=request.user,
        name=request.name,
        labels=tuple(_pair(label) for label in sorted(request.labels)),
        created_after=from_proto(request.created_after)
        if request.HasField("created_after")
        else None,
        created_before=from_proto(request.created_before)
        if request.HasField("created_before")
        else None,
        expression=expression,
        order=job_order(request.order_by),
        array_job_id=request.array_job_id,
    )
