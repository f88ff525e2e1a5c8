"""Submitting jobs and following them to their end."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias, cast

import grpc
from google.api import httpbody_pb2
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration

from windlass.jobs.v1 import (
    job_array_pb2,
    job_batch_pb2,
    job_content_pb2,
    job_metrics_pb2,
    job_notification_pb2,
    job_pb2,
    job_retry_pb2,
    job_spread_pb2,
    jobs_service_pb2,
    jobs_service_pb2_grpc,
)
from windlass.types.v1 import topology_pb2, types_pb2
from windlass_client import logs
from windlass_client.arrays import ArrayCalls
from windlass_client.calls import (
    AsyncGroup,
    Call,
    Pages,
    SyncGroup,
    built,
    listing,
    operation,
    unary,
)
from windlass_client.connect import AioTransport, BlockingTransport
from windlass_client.errors import DeadlineExceeded, InvalidArgument, WindlassError
from windlass_client.profiles import PATIENCE_SECONDS, PROFILE, aggregate_of, profile_request
from windlass_client.quantities import (
    parse_bytes,
    parse_cpu_millis,
    parse_duration,
    parse_gpu_share,
)
from windlass_client.resuming import OnBreak
from windlass_client.retries import Deadline
from windlass_client.rpc_errors import from_status

Job = job_pb2.Job
Status = job_pb2.Job.Status

STATUS_NAMES = tuple(value.name for value in Status.DESCRIPTOR.values if value.number)
FINAL = frozenset(
    {
        Job.SUCCEEDED,
        Job.FAILED,
        Job.CANCELLED,
        Job.TIMED_OUT,
        Job.OUT_OF_MEMORY,
        Job.DEADLINE_EXCEEDED,
    }
)

_Stub = jobs_service_pb2_grpc.JobsServiceStub
# Submit always carries a request_id; the contract makes a repeated cancel change nothing.
SUBMIT = unary(_Stub, lambda stub: stub.SubmitJob, idempotent=True)
SUBMIT_MANY = unary(_Stub, lambda stub: stub.BatchSubmitJobs, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetJob, idempotent=True)
METRICS = unary(_Stub, lambda stub: stub.GetJobMetrics, idempotent=True)
LIST = unary(_Stub, lambda stub: stub.ListJobs, idempotent=True)
CANCEL = unary(_Stub, lambda stub: stub.CancelJob, idempotent=True)
# A retry always carries a request_id, and what else is done to a status changes nothing when repeated.
ACT = unary(_Stub, lambda stub: stub.UpdateJobStatus, idempotent=True)
# A retry of one that has not ended is the answer to the same again.
ACT_ON_MANY = unary(_Stub, lambda stub: stub.UpdateJobStatuses, idempotent=True)
CHECKPOINTS = unary(_Stub, lambda stub: stub.ListJobCheckpoints, idempotent=True)
EXPLAIN = unary(_Stub, lambda stub: stub.ExplainJob, idempotent=True)
EVENTS = unary(_Stub, lambda stub: stub.ListJobEvents, idempotent=True)


def is_final(job: job_pb2.Job) -> bool:
    """Whether the job has reached a status that never changes."""
    return job.status in FINAL


def exit_code(job: job_pb2.Job) -> int:
    """What a shell would have said of the job: its own code, 128 + signal, else 0 or 1."""
    if job.HasField("exit_code"):
        failed_without_code = job.exit_code == 0 and job.status != Job.SUCCEEDED
        return 1 if failed_without_code else job.exit_code
    if job.HasField("exit_signal"):
        return 128 + job.exit_signal
    return 0 if job.status == Job.SUCCEEDED else 1


def parse_status(name: str) -> Status:
    """The status of a name in any case. Raises InvalidArgument."""
    if name.upper() not in STATUS_NAMES:
        raise InvalidArgument(
            f"{name!r} is not a status; there are {', '.join(STATUS_NAMES)}", reason="BAD_STATUS"
        )
    return cast("Status", Status.Value(name.upper()))


def refusal(result: job_batch_pb2.BatchSubmitJobsResponse.Result) -> WindlassError | None:
    """What a job of a batch was refused with; None when it was accepted."""
    return from_status(result.error) if result.HasField("error") else None


def job_of(given: job_pb2.Job | Mapping[str, Any]) -> job_pb2.Job:
    """A copy of a job, or the one that a mapping is. Raises InvalidArgument."""
    job = job_pb2.Job()
    if isinstance(given, job_pb2.Job):
        job.CopyFrom(given)
        return job
    try:
        return json_format.ParseDict(dict(given), job)
    except json_format.ParseError as error:
        raise InvalidArgument(f"that is no job: {error}", reason="BAD_JOB") from None


def _view(full: bool) -> job_pb2.Job.View | None:
    return Job.FULL if full else None


def _way(name: str) -> job_pb2.Dependency.Type:
    """In which way a job waits for another. Raises InvalidArgument."""
    if name not in job_pb2.Dependency.Type.keys():  # noqa: SIM118 - an enum, no mapping
        raise InvalidArgument(f"a job cannot wait for another {name!r}", reason="BAD_DEPENDENCY")
    return cast("job_pb2.Dependency.Type", job_pb2.Dependency.Type.Value(name))


def parse_secrets(
    texts: Mapping[str, str], *, file: bool = False
) -> dict[str, job_pb2.SecretReference]:
    """Secrets by variable, each `NAME` or `NAME@VERSION`; with `file` as files. Raises InvalidArgument."""
    found = {}
    for variable, text in texts.items():
        name, at, version = text.partition("@")
        if not name or (at and not (version.isascii() and version.isdigit())):
            message = f"{text!r} is no secret: write NAME or NAME@VERSION"
            raise InvalidArgument(message, reason="BAD_SECRET")
        found[variable] = job_pb2.SecretReference(name=name, version=int(version or 0), file=file)
    return found


def parse_node_label(text: str, *, preferred: bool = False) -> job_pb2.NodeLabelRule:
    """What is asked of a label of nodes: `KEY=A,B`, `KEY!=A,B`, `KEY` or `!KEY`. Raises InvalidArgument."""
    rule = job_pb2.NodeLabelRule(preferred=preferred)
    key, equals, values = text.partition("=")
    if equals:
        refused = key.endswith("!")
        rule.key = key.removesuffix("!")
        rule.operator = job_pb2.NodeLabelRule.NOT_IN if refused else job_pb2.NodeLabelRule.IN
        rule.values.extend(values.split(","))
    else:
        rule.key = text.removeprefix("!")
        absent = text.startswith("!")
        rule.operator = job_pb2.NodeLabelRule.ABSENT if absent else job_pb2.NodeLabelRule.EXISTS
    if not rule.key:
        message = f"{text!r} is none of KEY=A,B, KEY!=A,B, KEY and !KEY"
        raise InvalidArgument(message, reason="BAD_NODE_LABEL")
    return rule


def parse_action(name: str) -> jobs_service_pb2.UpdateJobStatusRequest.Action:
    """The action of a name in any case. Raises InvalidArgument."""
    actions = jobs_service_pb2.UpdateJobStatusRequest.Action
    known = actions.keys()[1:]
    if name.upper() not in known:
        message = f"{name!r} is no action; there are {', '.join(known)}"
        raise InvalidArgument(message, reason="BAD_ACTION")
    return actions.Value(name.upper())  # type: ignore[return-value]


def _acted(
    action: jobs_service_pb2.UpdateJobStatusRequest.Action, job_id: str, reason: str
) -> Call[jobs_service_pb2.UpdateJobStatusRequest, job_pb2.Job]:
    request = jobs_service_pb2.UpdateJobStatusRequest(job_id=job_id, action=action, reason=reason)
    return Call(ACT, request)


class JobCalls(ArrayCalls):
    """Requests of the jobs API."""

    @operation
    def submit(
        self,
        command: Sequence[str] = (),
        *,
        script: str = "",
        source: job_content_pb2.JobSource | None = None,
        python: job_content_pb2.PythonEnvironment | None = None,
        name: str = "",
        project: str | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        secret_files: Mapping[str, str] | None = None,
        working_directory: str = "",
        gpus: int = 0,
        gpu_type: str = "",
        gpu_profile: str = "",
        gpu_memory: int | str = 0,
        gpu_share: float | str = 0,
        cpus: float | str = 0,
        memory: int | str = 0,
        queue: str = "",
        priority: int | None = None,
        time_limit: timedelta | float | str | None = None,
        grace_period: timedelta | float | str | None = None,
        min_isolation: "types_pb2.Isolation.Level | None" = None,
        pool: str = "",
        dependencies: Mapping[str, str] | None = None,
        follow_retries: bool = False,
        singleton: bool = False,
        retry: job_retry_pb2.RetryPolicy | None = None,
        start_after: datetime | None = None,
        deadline: datetime | None = None,
        gpu_types: Sequence[str] = (),
        exclusive_node: bool = False,
        spread: job_spread_pb2.Spread | None = None,
        reservation_id: str = "",
        node_labels: Sequence[str] = (),
        preferred_node_labels: Sequence[str] = (),
        nodes: int = 0,
        min_nodes: int = 0,
        topology: topology_pb2.Topology | None = None,
        preemptible: bool | None = None,
        array: job_array_pb2.JobArray | None = None,
        notifications: Sequence[job_notification_pb2.JobNotification] = (),
        debug_mode: bool = False,
        validate_only: bool = False,
        request_id: str | None = None,
    ) -> Call[jobs_service_pb2.SubmitJobRequest, job_pb2.Job]:
        """Submit a command; answered when the job is on disk.

        Args:
            command: program and arguments; no shell reads them.
            script: instead of a command text that its first line names the program for, else `/bin/sh`.
            source: the files that it starts among, such as `JobSource(source_id=…)` of `sources.upload`.
            python: the packages that it finds, such as `PythonEnvironment(requirements=["numpy>=2"])`.
            name: for people; the command's last path segment by default.
            project: the project; the client's by default.
            labels: to select by.
            annotations: notes that nothing selects by.
            env: environment variables of the command.
            secrets: by variable the secrets of the project that it is given when it starts, as "NAME", or
                "NAME@VERSION" for another than the newest.
            secret_files: the same, but the variables name files.
            working_directory: absolute path; a fresh private directory by default.
            gpus: GPUs, whole ones unless a kind is said.
            gpu_type: such as `H100`; any by default.
            gpu_profile: instances of divided cards instead of whole ones, of this MIG profile, such as
                "1g.10gb"; one of them if `gpus` says nothing.
            gpu_memory: bytes or such as "20GiB" that each GPU has at least: the smallest that do, whole
                cards or instances; one if `gpus` says nothing.
            gpu_share: instead of whole GPUs a share of one that others use too, such as 0.25.
            cpus: cores, such as 0.5 or "250m"; one by default.
            memory: bytes or such as "4GiB"; 256 MiB by default.
            queue: the queue that it waits in; it says what the job gets that is not said here.
            priority: -1000 to 1000, higher runs first; that of its queue by default, or 0.
            time_limit: seconds, a timedelta or such as "1h30m"; that of its queue by default, or none.
            grace_period: time between SIGTERM and SIGKILL; 10 s by default.
            min_isolation: the weakest isolation that the job may run with.
            pool: only nodes of this pool; of any that the project may use by default.
            dependencies: what it waits for: by the ids of other jobs "AFTER", "AFTER_OK", "AFTER_NOT_OK"
                or "AFTER_ANY".
            follow_retries: when one that it is to run AFTER_OK fails, it waits for a retry of that.
            singleton: it waits until all earlier jobs of its name and user in its project have ended.
            retry: when it runs again by itself, such as `RetryPolicy(max_attempts=3)`; never by default.
            start_after: it does not start before; at once by default.
            deadline: when it must have ended; never by default.
            gpu_types: instead of `gpu_type` types that will do, the best first.
            exclusive_node: it has its node alone and whole; the resources are the least that that must have.
            reservation_id: it runs inside this reservation alone.
            spread: how it is kept away from others, such as `Spread(job_label="app", max_per_domain=1)`.
            node_labels: what the labels of its nodes must be: such as "zone=eu", "zone=eu,us" for one of
                these, "zone!=eu", "zone" for any value, "!zone" for none.
            preferred_node_labels: the same of nodes that are only better than others.
            nodes: how many nodes it gets, all at once, each with these resources; one by default.
            min_nodes: with how many it makes do; `nodes` by default.
            topology: how near to each other they are to be, such as `Topology(required="RACK")`.
            preemptible: it may be stopped, and wait again, where a policy lets jobs of higher priority
                take places.
            debug_mode: its nodes keep the folders of its runs for a while, and tell in its log what they do.
            array: the command runs once for each of many indices, such as `JobArray(count=1000, parallel=50)`.
            notifications: webhooks that are told of it, such as `JobNotification(webhook_id=…, on=["FAILED"])`.
            validate_only: check everything and write nothing.
            request_id: makes the call idempotent; a fresh one by default.

        Raises:
            InvalidArgument: with every field violation, or when no node could ever hold the job.
            Aborted: `request_id` was used for another job.
        """
        resources = types_pb2.ResourceRequest(
            cpu_millis=parse_cpu_millis(cpus),
            memory_bytes=parse_bytes(memory),
            gpu_count=gpus,
            gpu_type=gpu_type,
            mig_profile=gpu_profile,
            gpu_memory_bytes=parse_bytes(gpu_memory),
            gpu_millis=parse_gpu_share(gpu_share),
        )
        job = job_pb2.Job(
            project=self.project if project is None else project,
            name=name,
            labels=labels or {},
            annotations=annotations or {},
            queue=queue,
            priority=priority,
            command=command,
            script=script,
            source=source,
            python=python,
            environment=job_pb2.Environment(
                variables=env or {},
                working_directory=working_directory,
                secrets=parse_secrets(secrets or {}) | parse_secrets(secret_files or {}, file=True),
            ),
            resources=resources,
            time_limit=_duration(time_limit),
            grace_period=_duration(grace_period),
            min_isolation=min_isolation,
            pool=pool,
            dependencies=[
                job_pb2.Dependency(
                    job_id=job_id,
                    type=_way(way),
                    follow_retries=follow_retries and way == "AFTER_OK",
                )
                for job_id, way in (dependencies or {}).items()
            ]
            + [job_pb2.Dependency(type=job_pb2.Dependency.SINGLETON)] * singleton,
            retry=retry,
            start_after=start_after,
            deadline=deadline,
            gpu_types=gpu_types,
            exclusive_node=exclusive_node,
            spread=spread,
            reservation_id=reservation_id,
            constraints=job_pb2.Constraints(
                node_labels=[
                    *(parse_node_label(text) for text in node_labels),
                    *(parse_node_label(text, preferred=True) for text in preferred_node_labels),
                ]
            ),
            nodes=nodes,
            min_nodes=min_nodes,
            topology=topology,
            preemptible=preemptible,
            array=array,
            notifications=notifications,
            debug_mode=debug_mode,
        )
        return Call(
            SUBMIT,
            jobs_service_pb2.SubmitJobRequest(
                job=job, request_id=request_id or uuid.uuid4().hex, validate_only=validate_only
            ),
        )

    @operation
    def submit_job(
        self,
        job: job_pb2.Job | Mapping[str, Any],
        *,
        validate_only: bool = False,
        request_id: str | None = None,
    ) -> Call[jobs_service_pb2.SubmitJobRequest, job_pb2.Job]:
        """Submit a job as the contract has it; as `submit` otherwise.

        Args:
            job: a message, or a mapping as the REST API takes it, such as
                `{"command": ["true"], "resources": {"gpu_count": 1}}`; in the client's project unless it
                says another.
            validate_only: check everything and write nothing.
            request_id: makes the call idempotent; a fresh one by default.
        """
        asked = job_of(job)
        asked.project = asked.project or self.project
        request = jobs_service_pb2.SubmitJobRequest(
            job=asked, request_id=request_id or uuid.uuid4().hex, validate_only=validate_only
        )
        return Call(SUBMIT, request)

    @operation
    def submit_many(
        self,
        jobs: Sequence[job_pb2.Job | Mapping[str, Any]],
        *,
        request_id: str | None = None,
    ) -> Call[job_batch_pb2.BatchSubmitJobsRequest, job_batch_pb2.BatchSubmitJobsResponse]:
        """Submit up to 1,000 jobs in one call; answered when all that are accepted are on disk.

        The answer has a result for each, in their order: its `job`, or the `error` that it was refused
        with, of which `refusal` makes an exception. What is wrong with one keeps none of the others out.

        Args:
            jobs: each a message, or a mapping as the REST API takes it, such as
                `{"command": ["true"], "resources": {"gpu_count": 1}}`; in the client's project unless it
                says another.
            request_id: makes the call idempotent; a fresh one by default.

        Raises:
            InvalidArgument: there are none, or more, or a mapping is no job.
        """
        batch = [job_of(one) for one in jobs]
        for job in batch:
            job.project = job.project or self.project
        request_id = request_id or uuid.uuid4().hex
        return Call(
            SUBMIT_MANY,
            job_batch_pb2.BatchSubmitJobsRequest(jobs=batch, request_id=request_id),
        )

    @operation
    def get(
        self, job_id: str, *, full: bool = False
    ) -> Call[jobs_service_pb2.GetJobRequest, job_pb2.Job]:
        """Read a job; with `full` also its conditions, ranks, lineage, cost and forecast. Raises NotFound."""
        return Call(GET, jobs_service_pb2.GetJobRequest(job_id=job_id, view=_view(full)))

    @operation
    def explain(
        self, job_id: str
    ) -> Call[jobs_service_pb2.ExplainJobRequest, jobs_service_pb2.ExplainJobResponse]:
        """Ask why a job waits, and what would let it start at once. Raises NotFound."""
        return Call(EXPLAIN, jobs_service_pb2.ExplainJobRequest(job_id=job_id))

    @operation
    def metrics(
        self,
        job_id: str,
        *,
        fields: Sequence[str] = (),
        metrics: Sequence[str] = (),
        aggregate: str = "",
        by_step: bool = False,
        start: datetime | None = None,
        end: datetime | None = None,
        resolution: timedelta | float | str | None = None,
    ) -> Call[job_metrics_pb2.GetJobMetricsRequest, job_metrics_pb2.GetJobMetricsResponse]:
        """Read what a job's runs used over time, and what they said of themselves. Raises NotFound.

        Args:
            job_id: the job.
            fields: such as "gpu_power_watts", answered by columns; none means all, unless there
                are metrics.
            metrics: such as "cpu", "gpu_utilization" or "custom.loss", answered by points.
            aggregate: of metrics one series of all ranks: "mean", "min", "max" or "sum".
            by_step: of custom metrics along their steps.
            start: from when on; by default its beginning.
            end: until when; by default its end, or now.
            resolution: width of the buckets, as seconds, a timedelta or such as "1m"; by default as
                fits into 300 of them.
        """
        kinds = job_metrics_pb2.GetJobMetricsRequest
        request = kinds(
            job_id=job_id,
            field=fields,
            metrics=metrics,
            aggregate=aggregate_of(aggregate),
            x_axis=kinds.STEP if by_step else kinds.TIME,
            start_time=start,
            end_time=end,
        )
        if resolution is not None:
            request.resolution.FromTimedelta(parse_duration(resolution))
        return Call(METRICS, request)

    @operation
    def cancel(
        self, job_id: str, *, reason: str = "", force: bool = False
    ) -> Call[jobs_service_pb2.CancelJobRequest, job_pb2.Job]:
        """Stop a job; cancelling it again changes nothing, but `force` kills it at once.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it has ended already.
        """
        request = jobs_service_pb2.CancelJobRequest(job_id=job_id, reason=reason, force=force)
        return Call(CANCEL, request)

    @operation
    def hold(
        self, job_id: str, *, reason: str = ""
    ) -> Call[jobs_service_pb2.UpdateJobStatusRequest, job_pb2.Job]:
        """Keep a QUEUED job from starting until it is released.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it does not wait any more.
        """
        return _acted(jobs_service_pb2.UpdateJobStatusRequest.HOLD, job_id, reason)

    @operation
    def release(
        self, job_id: str, *, reason: str = ""
    ) -> Call[jobs_service_pb2.UpdateJobStatusRequest, job_pb2.Job]:
        """Let a job start that was held; raises as `hold`."""
        return _acted(jobs_service_pb2.UpdateJobStatusRequest.RELEASE, job_id, reason)

    @operation
    def act_on_many(
        self,
        action: jobs_service_pb2.UpdateJobStatusRequest.Action,
        *,
        project: str | None = None,
        status: Sequence[Status] = (),
        queue: str = "",
        user: str = "",
        name: str = "",
        labels: Mapping[str, str] | None = None,
        where: str = "",
        array_job_id: str = "",
        reason: str = "",
        force: bool = False,
        validate_only: bool = False,
        page_token: str = "",
    ) -> Call[
        jobs_service_pb2.UpdateJobStatusesRequest, jobs_service_pb2.UpdateJobStatusesResponse
    ]:
        """Do one thing to all jobs that `list` would show, up to 1,000 of them in a call.

        Args:
            action: such as `UpdateJobStatusRequest.CANCEL`.
            project: the project; the client's by default.
            status: only jobs in one of these statuses.
            queue: only of this queue.
            user: only of this principal.
            name: only of this name.
            labels: only with all of these.
            where: only where this holds, as for `list`.
            array_job_id: the jobs of this array's indices, instead of all others.
            reason: why, for the jobs' events.
            force: with CANCEL: kill them at once.
            validate_only: change nothing, and say what would become of each.
            page_token: `next_page_token` of the answer before.
        """
        request = jobs_service_pb2.UpdateJobStatusesRequest(
            filter=jobs_service_pb2.ListJobsRequest(
                project=self.project if project is None else project,
                status=status,
                queue=queue,
                user=user,
                name=name,
                labels=[f"{key}={value}" for key, value in (labels or {}).items()],
                filter=where,
                array_job_id=array_job_id,
                page_token=page_token,
            ),
            action=action,
            reason=reason,
            force=force,
            validate_only=validate_only,
        )
        # Of an empty filter, too.
        request.filter.SetInParent()
        return Call(ACT_ON_MANY, request)

    @operation
    def suspend(
        self, job_id: str, *, reason: str = "", freeze: bool = False
    ) -> Call[jobs_service_pb2.UpdateJobStatusRequest, job_pb2.Job]:
        """Take a job's place away until it is resumed; it saves its work in its grace period.

        Args:
            job_id: the job.
            reason: why, for its events.
            freeze: stop its processes where they are instead; it keeps its place, and is charged for it.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it has no place here; or it cannot be frozen.
        """
        actions = jobs_service_pb2.UpdateJobStatusRequest
        call = _acted(actions.SUSPEND, job_id, reason)
        if freeze:
            call.request.mode = actions.FREEZE
        return call

    @operation
    def resume(
        self, job_id: str, *, reason: str = ""
    ) -> Call[jobs_service_pb2.UpdateJobStatusRequest, job_pb2.Job]:
        """Queue a suspended job again, or let a frozen one go on; raises as `suspend`."""
        return _acted(jobs_service_pb2.UpdateJobStatusRequest.RESUME, job_id, reason)

    @operation
    def retry(
        self,
        job_id: str,
        *,
        reason: str = "",
        overrides: job_pb2.Job | None = None,
        replace: Sequence[str] = (),
        from_scratch: bool = False,
        request_id: str | None = None,
    ) -> Call[jobs_service_pb2.UpdateJobStatusRequest, job_pb2.Job]:
        """Submit a job that has ended again; answers the new job, which names it in `retry_of`.

        Args:
            job_id: the job.
            reason: why, for the events of both.
            overrides: what is to be otherwise: messages field by field, maps key by key, lists as a whole.
            replace: fields of a job, such as "environment", that are taken from `overrides` as a whole.
            from_scratch: begin anew, not with the newest checkpoint.
            request_id: makes the call idempotent; a fresh one by default.

        Raises:
            NotFound: there is no such job.
            FailedPrecondition: it has not ended.
            InvalidArgument: with the overrides it is no valid job.
        """
        request = jobs_service_pb2.UpdateJobStatusRequest(
            job_id=job_id,
            action=jobs_service_pb2.UpdateJobStatusRequest.RETRY,
            reason=reason,
            overrides=overrides,
            from_scratch=from_scratch,
            request_id=request_id or uuid.uuid4().hex,
        )
        if replace:
            request.update_mask.paths.extend(replace)
        return Call(ACT, request)

    @listing
    def list(
        self,
        *,
        project: str | None = None,
        status: Sequence[Status] = (),
        queue: str = "",
        user: str = "",
        name: str = "",
        labels: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        where: str = "",
        order_by: str = "",
        array_job_id: str = "",
        page_size: int = 0,
        full: bool = False,
    ) -> Pages[jobs_service_pb2.ListJobsRequest, jobs_service_pb2.ListJobsResponse, job_pb2.Job]:
        """Iterate over the jobs of a project, newest first unless `order_by` says otherwise.

        With `full` each has its conditions, ranks, lineage and cost.
        The jobs of an array's indices are among them only where `array_job_id` asks for them.
        """
        request = jobs_service_pb2.ListJobsRequest(
            project=self.project if project is None else project,
            status=status,
            queue=queue,
            user=user,
            name=name,
            labels=[f"{key}={value}" for key, value in (labels or {}).items()],
            created_after=created_after,
            created_before=created_before,
            filter=where,
            order_by=order_by,
            array_job_id=array_job_id,
            page_size=page_size,
            view=_view(full),
        )
        return Pages(LIST, request, lambda page: page.jobs)

    @listing
    def events(
        self, job_id: str, *, page_size: int = 0
    ) -> Pages[
        jobs_service_pb2.ListJobEventsRequest,
        jobs_service_pb2.ListJobEventsResponse,
        job_pb2.JobEvent,
    ]:
        """Iterate over what happened to a job, oldest first."""
        request = jobs_service_pb2.ListJobEventsRequest(job_id=job_id, page_size=page_size)
        return Pages(EVENTS, request, lambda page: page.events)

    @listing
    def checkpoints(
        self, job_id: str, *, page_size: int = 0
    ) -> Pages[
        jobs_service_pb2.ListJobCheckpointsRequest,
        jobs_service_pb2.ListJobCheckpointsResponse,
        job_pb2.Checkpoint,
    ]:
        """Iterate over what a job has saved for its next attempts, newest first."""
        request = jobs_service_pb2.ListJobCheckpointsRequest(job_id=job_id, page_size=page_size)
        return Pages(CHECKPOINTS, request, lambda page: page.checkpoints)


class Jobs(JobCalls, SyncGroup):
    """The jobs API, blocking."""

    def __init__(self, transport: BlockingTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    def logs(
        self,
        job_id: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        stream: "job_pb2.LogChunk.Stream | None" = None,
        cursor: str = "",
        rank: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        grep: str = "",
        ignore_case: bool = False,
        fixed: bool = False,
        on_break: OnBreak | None = None,
    ) -> Iterator[job_pb2.JobLogMessage]:
        """Iterate over a job's output: messages with a `chunk`, then one with an `end`.

        A broken stream is opened again behind the last message, so that no line is lost or doubled.

        Args:
            job_id: the job.
            follow: go on until the job has ended and its log is complete.
            tail: start with the last so many lines; `cursor` wins over it.
            stream: only this stream of the command.
            cursor: start behind this position, the `cursor` of an earlier message.
            rank: only this rank of a job of several nodes.
            since: start with the first output of this time or later; `cursor` wins over it.
            until: end before the first output of this time or later.
            grep: only lines in which this expression of RE2 matches; `tail` counts these alone.
            ignore_case: `grep` finds letters in capitals and in small.
            fixed: `grep` is the text to look for, and no expression.
            on_break: told when the stream broke and in how many seconds it is opened again.

        Raises:
            NotFound: there is no such job.
            Unavailable: the server stayed away for longer than `RetryPolicy.resume_for`.
        """
        times = built(_log_times, since, until)
        request = built(_log_request, job_id, follow, tail, stream, cursor, rank)
        request.MergeFrom(times)
        request.MergeFrom(built(_log_lines, grep, ignore_case, fixed))
        reader = logs.LogReader(request, self._wire.manner, on_break)
        return logs.read(self._wire, reader)

    def download_checkpoint(self, job_id: str, checkpoint_id: str) -> Iterator[bytes]:
        """Iterate over the pieces of a tar archive of a checkpoint.

        Raises:
            NotFound: there is no such job or checkpoint, or not all of it is there any more.
        """
        for piece in self._wire.stream(_download, built(_download_request, job_id, checkpoint_id)):
            yield piece.data

    def profile(
        self,
        job_id: str,
        *,
        rank: int = 0,
        duration: timedelta | float | str = "10s",
        format: str = "FLAMEGRAPH",  # noqa: A002 - as the field is called
    ) -> bytes:
        """Look into a running task of Python for a while; returns what it does as a file.

        Args:
            job_id: the job.
            rank: which of its tasks.
            duration: for how long, from 1 s to 60 s: seconds, a timedelta or such as "10s".
            format: "FLAMEGRAPH" (SVG), "SPEEDSCOPE" (JSON) or "RAW" (text).

        Raises:
            NotFound: there is no such job, or no such task of it.
            FailedPrecondition: it does not run, is not Python's, or its node cannot look into it.
            Aborted: somebody has it looked into already.
            Unavailable: its node is not there.
        """
        request = built(profile_request, job_id, rank, duration, format)
        answer = self._wire.patient(PATIENCE_SECONDS).send(Call(PROFILE, request))
        return bytes(answer.data)

    def wait(
        self, job_id: str, *, timeout: float | None = None, on_change: "OnChange | None" = None
    ) -> job_pb2.Job:
        """Block until the job has reached a final status.

        Args:
            job_id: the job.
            timeout: seconds to wait at most; for ever by default.
            on_change: called with the job at first and whenever its etag has changed.

        Raises:
            NotFound: there is no such job.
            DeadlineExceeded: it had not ended within `timeout`; it goes on all the same.
        """
        watch = _Watch(job_id, timeout, self._wire.manner.clock, on_change)
        while (delay := watch.see(self.get(job_id))) is not None:
            time.sleep(delay)
        return watch.job


class AsyncJobs(JobCalls, AsyncGroup):
    """The jobs API for asyncio."""

    def __init__(self, transport: AioTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    def logs(
        self,
        job_id: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        stream: "job_pb2.LogChunk.Stream | None" = None,
        cursor: str = "",
        rank: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        grep: str = "",
        ignore_case: bool = False,
        fixed: bool = False,
        on_break: OnBreak | None = None,
    ) -> AsyncIterator[job_pb2.JobLogMessage]:
        """Iterate over a job's output; see `Jobs.logs`."""
        times = built(_log_times, since, until)
        request = built(_log_request, job_id, follow, tail, stream, cursor, rank)
        request.MergeFrom(times)
        request.MergeFrom(built(_log_lines, grep, ignore_case, fixed))
        reader = logs.LogReader(request, self._wire.manner, on_break)
        return logs.read_async(self._wire, reader)

    async def download_checkpoint(self, job_id: str, checkpoint_id: str) -> AsyncIterator[bytes]:
        """Iterate over the pieces of a tar archive; see `Jobs.download_checkpoint`."""
        request = built(_download_request, job_id, checkpoint_id)
        async for piece in self._wire.stream(_download, request):
            yield piece.data

    async def profile(
        self,
        job_id: str,
        *,
        rank: int = 0,
        duration: timedelta | float | str = "10s",
        format: str = "FLAMEGRAPH",  # noqa: A002 - as the field is called
    ) -> bytes:
        """Look into a running task; see `Jobs.profile`."""
        request = built(profile_request, job_id, rank, duration, format)
        answer = await self._wire.patient(PATIENCE_SECONDS).send(Call(PROFILE, request))
        return bytes(answer.data)

    async def wait(
        self, job_id: str, *, timeout: float | None = None, on_change: "OnChange | None" = None
    ) -> job_pb2.Job:
        """Wait until the job has reached a final status; see `Jobs.wait`."""
        watch = _Watch(job_id, timeout, self._wire.manner.clock, on_change)
        # ASYNC110 asks for an event, but what changes is on the server.
        while (delay := watch.see(await self.get(job_id))) is not None:  # noqa: ASYNC110
            await asyncio.sleep(delay)
        return watch.job


_Download: TypeAlias = "grpc.UnaryStreamMultiCallable[jobs_service_pb2.DownloadJobCheckpointRequest, httpbody_pb2.HttpBody]"
OnChange = Callable[[job_pb2.Job], None]


class _Watch:
    """Polls ever more slowly, from 50 ms to 1 s: short jobs are seen at once, long ones cost little."""

    def __init__(
        self,
        job_id: str,
        timeout: float | None,
        clock: Callable[[], float],
        on_change: OnChange | None,
    ) -> None:
        self.job = job_pb2.Job(job_id=job_id)
        self._deadline = None if timeout is None else Deadline.after(timeout, clock)
        self._on_change = on_change
        self._delay = 0.05

    def see(self, job: job_pb2.Job) -> float | None:
        """Note the job; seconds until the next look, or None when it has ended."""
        if self._on_change and (job.etag, job.status) != (self.job.etag, self.job.status):
            self._on_change(job)
        self.job = job
        if is_final(job):
            return None
        left = self._deadline.left() if self._deadline else self._delay
        if left <= 0:
            status = Status.Name(job.status)
            raise DeadlineExceeded(f"{job.job_id} is still {status}", reason="JOB_NOT_ENDED")
        delay, self._delay = min(self._delay, left), min(self._delay * 1.5, 1.0)
        return delay


def _download_request(
    job_id: str, checkpoint_id: str
) -> jobs_service_pb2.DownloadJobCheckpointRequest:
    return jobs_service_pb2.DownloadJobCheckpointRequest(job_id=job_id, checkpoint_id=checkpoint_id)


def _download(channel: grpc.Channel) -> "_Download":
    return _Stub(channel).DownloadJobCheckpoint


def _log_request(
    job_id: str,
    follow: bool,
    tail: int | None,
    stream: "job_pb2.LogChunk.Stream | None",
    cursor: str,
    rank: int | None,
) -> jobs_service_pb2.StreamJobLogsRequest:
    return jobs_service_pb2.StreamJobLogsRequest(
        job_id=job_id, follow=follow, tail=tail, stream=stream, cursor=cursor, rank=rank
    )


def _log_times(
    since: datetime | None, until: datetime | None
) -> jobs_service_pb2.StreamJobLogsRequest:
    return jobs_service_pb2.StreamJobLogsRequest(since=since, until=until)


def _log_lines(grep: str, ignore_case: bool, fixed: bool) -> jobs_service_pb2.StreamJobLogsRequest:
    return jobs_service_pb2.StreamJobLogsRequest(
        grep=grep, grep_ignore_case=ignore_case, grep_fixed=fixed
    )


def _duration(value: timedelta | float | str | None) -> Duration | None:
    if value is None:
        return None
    duration = Duration()
    duration.FromTimedelta(parse_duration(value))
    return duration
