"""A connection to another installation, which is spoken to as by any user: through its public API."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from windlass.access.v1 import access_service_pb2, access_service_pb2_grpc
from windlass.jobs.v1 import job_pb2, jobs_service_pb2, jobs_service_pb2_grpc
from windlass.resources.v1 import node_pb2, resources_service_pb2, resources_service_pb2_grpc
from windlass.system.v1 import system_service_pb2, system_service_pb2_grpc
from windlass_server.resources.endpoints import Endpoint

T = TypeVar("T")

_CALL_SECONDS = 10.0
# For the question whether it answers at all.
_GREETING_SECONDS = 5.0
_PAGE = 1000
_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A connection that died silently is noticed by the calls' deadlines, and by these for streams.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.primary_user_agent", "windlass-federation"),
]
# What the other side has decided, when it says why. After anything else, such as the word of a proxy
# on the way, it may or may not have done what was asked.
_DECIDED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
}


class LinkDown(Exception):
    """No answer: nothing is known of what the call did."""


class Refused(Exception):
    """The other side's answer is no.

    Attributes:
        code: gRPC's status code.
        reason: its UPPER_SNAKE word.
        message: its sentence.
        metadata: what varies in the sentence.
    """

    def __init__(
        self, code: grpc.StatusCode, reason: str, message: str, metadata: Mapping[str, str]
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = metadata


class Calls(Protocol):
    """What is asked of another installation. Each call may raise LinkDown or Refused."""

    async def caller(self) -> access_service_pb2.CallerInfo:
        """Who we are there."""
        ...

    async def version(self) -> str:
        """Its version of windlass."""
        ...

    async def nodes(self) -> Sequence[node_pb2.Node]:
        """All its nodes."""
        ...

    async def submit(self, job: job_pb2.Job, request_id: str) -> job_pb2.Job:
        """Submit a job; again with the same id, it is the same job."""
        ...

    async def get(self, job_id: str) -> job_pb2.Job:
        """A job as it is now."""
        ...

    async def labelled(self, project: str, label: str) -> job_pb2.Job | None:
        """The newest job of a project that carries a label, `key=value`."""
        ...

    async def cancel(self, job_id: str, reason: str) -> job_pb2.Job:
        """Ask for a job's end."""
        ...

    def log(self, job_id: str, cursor: str) -> AsyncIterator[job_pb2.JobLogMessage]:
        """A job's output behind a cursor, until it has ended and all is told."""
        ...

    async def close(self) -> None:
        """Give the connection up; what waits for an answer gets none: LinkDown."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach an installation.

    Attributes:
        endpoint: where it is.
        api_key: what it is shown.
        ca_certificates: PEM of the authorities that may sign its certificate; empty: the system's.
        server_name: what the certificate must name; empty: the endpoint's host.
    """

    endpoint: Endpoint
    api_key: str = field(repr=False)
    ca_certificates: str = field(repr=False, default="")
    server_name: str = ""


class Link:
    """The calls, over a channel of gRPC."""

    def __init__(self, access: Access) -> None:
        self._channel = _open(access)
        self._closed = False
        self._metadata = (("authorization", f"Bearer {access.api_key}"),)
        self._access = access_service_pb2_grpc.AccessServiceStub(self._channel)
        self._jobs = jobs_service_pb2_grpc.JobsServiceStub(self._channel)
        self._resources = resources_service_pb2_grpc.ResourcesServiceStub(self._channel)
        self._system = system_service_pb2_grpc.SystemServiceStub(self._channel)

    async def caller(self) -> access_service_pb2.CallerInfo:
        request = access_service_pb2.GetCallerRequest()
        return await self._call(self._access.GetCaller, request, timeout=_GREETING_SECONDS)

    async def version(self) -> str:
        request = system_service_pb2.GetSystemInfoRequest()
        info: system_service_pb2.SystemInfo = await self._call(self._system.GetSystemInfo, request)
        return info.version

    async def nodes(self) -> Sequence[node_pb2.Node]:
        nodes: list[node_pb2.Node] = []
        request = resources_service_pb2.ListNodesRequest(page_size=_PAGE)
        while True:
            page: resources_service_pb2.ListNodesResponse = await self._call(
                self._resources.ListNodes, request
            )
            nodes.extend(page.nodes)
            if not page.next_page_token:
                return nodes
            request.page_token = page.next_page_token

    async def submit(self, job: job_pb2.Job, request_id: str) -> job_pb2.Job:
        request = jobs_service_pb2.SubmitJobRequest(job=job, request_id=request_id)
        return await self._call(self._jobs.SubmitJob, request)

    async def get(self, job_id: str) -> job_pb2.Job:
        return await self._call(self._jobs.GetJob, jobs_service_pb2.GetJobRequest(job_id=job_id))

    async def labelled(self, project: str, label: str) -> job_pb2.Job | None:
        request = jobs_service_pb2.ListJobsRequest(project=project, labels=[label], page_size=1)
        page: jobs_service_pb2.ListJobsResponse = await self._call(self._jobs.ListJobs, request)
        return page.jobs[0] if page.jobs else None

    async def cancel(self, job_id: str, reason: str) -> job_pb2.Job:
        request = jobs_service_pb2.CancelJobRequest(job_id=job_id, reason=reason)
        return await self._call(self._jobs.CancelJob, request)

    async def log(self, job_id: str, cursor: str) -> AsyncIterator[job_pb2.JobLogMessage]:
        request = jobs_service_pb2.StreamJobLogsRequest(job_id=job_id, follow=True, cursor=cursor)
        stream = self._jobs.StreamJobLogs(request, metadata=self._metadata)
        try:
            async for message in stream:
                yield message
        except aio.AioRpcError as error:
            raise _translated(error) from None
        finally:
            stream.cancel()

    async def close(self) -> None:
        self._closed = True
        await self._channel.close()

    async def _call(
        self,
        method: Callable[..., Awaitable[T]],
        request: object,
        *,
        timeout: float = _CALL_SECONDS,
    ) -> T:
        try:
            return await method(request, metadata=self._metadata, timeout=timeout)
        except aio.AioRpcError as error:
            raise _translated(error) from None
        except (asyncio.CancelledError, aio.UsageError):
            # What a channel that is closed does to its calls looks as if somebody cancelled the task.
            if not self._closed:
                raise
            message = "the link was given up"
            raise LinkDown(message) from None


def _open(access: Access) -> aio.Channel:
    options = list(_OPTIONS)
    if access.endpoint.local:
        # Never through a proxy for the web.
        options.append(("grpc.enable_http_proxy", 0))
    if not access.endpoint.tls:
        return aio.insecure_channel(access.endpoint.address, options=options)
    roots = access.ca_certificates.encode() or None
    if access.server_name:
        options.append(("grpc.ssl_target_name_override", access.server_name))
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    return aio.secure_channel(access.endpoint.address, credentials, options=options)


def _translated(error: aio.AioRpcError) -> LinkDown | Refused:
    code, text = error.code(), error.details() or error.code().name
    info = _info(error) if code in _DECIDED else None
    if info is None:
        return LinkDown(f"{code.name}: {text}")
    return Refused(code, info.reason, text, dict(info.metadata))


def _info(error: aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """The ErrorInfo in the trailers; None when there is none that can be read."""
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        try:
            status = status_pb2.Status.FromString(cast("bytes", value))
        except DecodeError:
            return None
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Is(info.DESCRIPTOR):
                detail.Unpack(info)
                return info
    return None
