"""A caller with all its streams open is told to come back later; others follow their logs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from windlass.access.v1 import access_service_pb2, access_service_pb2_grpc
from windlass.jobs.v1 import job_pb2, jobs_service_pb2, jobs_service_pb2_grpc
from windlass_server.app import App
from windlass_server.config import ServerConfig

MOST = 3


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    config = ServerConfig(
        data_dir=tmp_path,
        http="127.0.0.1:0",
        grpc="127.0.0.1:0",
        shutdown_seconds=0,
        max_streams_per_caller=MOST,
    )
    app = await App.build(config)
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
def admin(app: App, tmp_path: Path) -> str:
    return (tmp_path / "admin.token").read_text().strip()


@pytest.fixture
async def channel(app: App) -> AsyncIterator[aio.Channel]:
    async with aio.insecure_channel(app.grpc_address) as channel:
        yield channel


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def key_of_another(channel: aio.Channel, admin: str) -> str:
    request = access_service_pb2.CreateApiKeyRequest(user="bob", project="default", role="VIEWER")
    access = access_service_pb2_grpc.AccessServiceStub(channel)
    return (await access.CreateApiKey(request, metadata=bearer(admin))).secret


async def test_the_streams_of_a_caller_are_bounded_over_both_front_ends(
    app: App, admin: str, channel: aio.Channel
) -> None:
    jobs = jobs_service_pb2_grpc.JobsServiceStub(channel)
    submit = jobs_service_pb2.SubmitJobRequest(job=job_pb2.Job(command=["true"]))
    job_id = (await jobs.SubmitJob(submit, metadata=bearer(admin))).job_id

    async def read(token: str) -> job_pb2.JobLogMessage:
        request = jobs_service_pb2.StreamJobLogsRequest(job_id=job_id)
        return await jobs.StreamJobLogs(request, metadata=bearer(token)).read()

    # A log that is followed goes on while its job waits; the one too many ends at once.
    request = jobs_service_pb2.StreamJobLogsRequest(job_id=job_id, follow=True)
    streams = [jobs.StreamJobLogs(request, metadata=bearer(admin)) for _ in range(MOST + 1)]
    first = await asyncio.gather(*(one.read() for one in streams), return_exceptions=True)
    (error,) = [one for one in first if not isinstance(one, job_pb2.JobLogMessage)]
    headers = {"authorization": f"Bearer {admin}", "accept": "text/event-stream"}
    url = f"http://{app.http_address}/v1/jobs/{job_id}/logs?follow=true"
    async with httpx.AsyncClient(headers=headers) as rest:
        over_http = await rest.get(url)
    others = await read(await key_of_another(channel, admin))
    for stream in streams:
        stream.cancel()
    while (own := await unless_refused(read(admin))) is None:
        pass

    assert isinstance(error, aio.AioRpcError)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry_of(error).retry_delay.seconds == 5
    assert (over_http.status_code, over_http.headers["retry-after"]) == (429, "5")
    assert over_http.json()["details"][0]["reason"] == "TOO_MANY_STREAMS"
    assert others.HasField("end")
    assert own.HasField("end")


async def unless_refused(
    reading: Awaitable[job_pb2.JobLogMessage],
) -> job_pb2.JobLogMessage | None:
    try:
        return await reading
    except aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return None


def retry_of(error: aio.AioRpcError) -> error_details_pb2.RetryInfo:
    status = rpc_status.from_call(error)
    assert status is not None
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    return retry
