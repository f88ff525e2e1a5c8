"""The jobs API on the wire: translate, call, translate back."""

from collections.abc import AsyncIterator

from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.jobs.logs import JobLogs, LogRequest
from windlass_server.jobs.service import JobsService
from windlass_server.rpc.call import Call
from windlass_server.storage.jobs import JobFilter
from windlass_server.storage.tables import EventRow, JobRow
from windlass_server.timestamps import from_proto


class JobsRpc:
    """Serves `windlass.jobs.v1.JobsService`."""

    def __init__(self, jobs: JobsService, logs: JobLogs) -> None:
        self._jobs = jobs
        self._logs = logs

    async def SubmitJob(self, request: pb.SubmitJobRequest, call: Call) -> job_pb2.Job:
        job = await self._jobs.submit(
            call.caller,
            request.job,
            request_id=request.request_id,
            validate_only=request.validate_only,
        )
        return to_proto(job)

    async def GetJob(self, request: pb.GetJobRequest, call: Call) -> job_pb2.Job:
        return to_proto(await self._jobs.get(call.caller, request.job_id))

    async def ListJobs(self, request: pb.ListJobsRequest, call: Call) -> pb.ListJobsResponse:
        wanted = _filter(request, request.project or call.caller.default_project)
        jobs, token = await self._jobs.list(
            wanted, size=request.page_size, token=request.page_token
        )
        return pb.ListJobsResponse(jobs=[to_proto(job) for job in jobs], next_page_token=token)

    async def UpdateJobStatus(self, request: pb.UpdateJobStatusRequest, call: Call) -> job_pb2.Job:
        # Validation lets no other action pass than CANCEL.
        job = await self._jobs.cancel(call.caller, request.job_id, reason=request.reason)
        return to_proto(job)

    async def CancelJob(self, request: pb.CancelJobRequest, call: Call) -> job_pb2.Job:
        job = await self._jobs.cancel(call.caller, request.job_id, reason=request.reason)
        return to_proto(job)

    async def StreamJobLogs(
        self, request: pb.StreamJobLogsRequest, call: Call
    ) -> AsyncIterator[job_pb2.JobLogMessage]:
        wanted = LogRequest(
            follow=request.follow,
            tail=request.tail if request.HasField("tail") else None,
            stream=request.stream,
            cursor=request.cursor,
        )
        async for message in self._logs.stream(call.caller, request.job_id, wanted):
            yield message

    async def ListJobEvents(
        self, request: pb.ListJobEventsRequest, call: Call
    ) -> pb.ListJobEventsResponse:
        events, token = await self._jobs.events(
            call.caller, request.job_id, size=request.page_size, token=request.page_token
        )
        return pb.ListJobEventsResponse(
            events=[_event_to_proto(event) for event in events], next_page_token=token
        )


def to_proto(row: JobRow) -> job_pb2.Job:
    """A job on the wire: its stored spec, and the columns that changed since."""
    job = job_pb2.Job.FromString(row.spec)
    job.job_id = row.job_id
    job.status = row.status  # type: ignore[assignment]
    job.status_reason = row.status_reason
    job.status_message = row.status_message
    job.user = row.user
    job.attempt = row.attempt
    job.etag = f"{row.version:x}"
    created = job.create_time
    created.seconds, created.nanos = _split(row.created_at)
    if row.exit_code is not None:
        job.exit_code = row.exit_code
    if row.exit_signal is not None:
        job.exit_signal = row.exit_signal
    if row.run_id:
        placement = job.placement
        placement.run_id = row.run_id
        placement.node_id = row.node_id
        if row.gpu_uuids:
            placement.gpu_uuids.extend(row.gpu_uuids.split(","))
    if row.started_at is not None:
        job.start_time.seconds, job.start_time.nanos = _split(row.started_at)
        job.isolation.MergeFromString(row.isolation)
    if row.ended_at is not None:
        job.end_time.seconds, job.end_time.nanos = _split(row.ended_at)
    return job


def _split(micros: int) -> tuple[int, int]:
    """Seconds and nanoseconds. Rows hold only times that a Timestamp can say."""
    seconds, rest = divmod(micros, 1_000_000)
    return seconds, rest * 1000


def _event_to_proto(row: EventRow) -> job_pb2.JobEvent:
    event = job_pb2.JobEvent(
        sequence=row.sequence,
        job_id=row.object_id,
        actor=row.actor,
        status=row.status,  # type: ignore[arg-type]
        reason=row.reason,
        message=row.message,
        run_id=row.run_id,
    )
    event.time.seconds, event.time.nanos = _split(row.at)
    return event


def _pair(label: str) -> tuple[str, str]:
    key, _, value = label.partition("=")
    return key, value


def _filter(request: pb.ListJobsRequest, project: str) -> JobFilter:
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
    )
