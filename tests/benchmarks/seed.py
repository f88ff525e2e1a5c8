"""Fills a server with jobs through its public API."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf import json_format
from grpc import aio

from tests.benchmarks.job import JOB
from tests.benchmarks.targets import Target
from windlass.jobs.v1 import job_batch_pb2, job_pb2, jobs_service_pb2_grpc
from windlass.jobs.v1 import jobs_service_pb2 as pb

CONCURRENCY = 64
# Batches that are on their way at the same time.
BATCHES = 4
REST_CONNECTIONS = 8


async def in_parallel(call: Callable[[], Awaitable[str]], count: int) -> list[str]:
    """The answers of `count` calls, `CONCURRENCY` at a time."""
    left = iter(range(count))

    async def worker() -> list[str]:
        return [await call() for _ in left]

    parts = await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return [answer for part in parts for answer in part]


def job_message(fields: dict[str, Any] | None = None) -> job_pb2.Job:
    """The job as a message."""
    return json_format.ParseDict(fields or JOB, job_pb2.Job())


def metadata(target: Target) -> tuple[tuple[str, str], ...]:
    """What a gRPC call sends beside the request."""
    return (("authorization", f"Bearer {target.token}"),) if target.token else ()


async def by_grpc(target: Target, count: int, job: job_pb2.Job | None = None) -> list[str]:
    """Submit `count` jobs by gRPC; returns their ids."""
    request = pb.SubmitJobRequest(job=job or job_message())
    async with aio.insecure_channel(target.grpc) as channel:
        submit = jobs_service_pb2_grpc.JobsServiceStub(channel).SubmitJob

        async def one() -> str:
            try:
                return (await submit(request, metadata=metadata(target), timeout=30)).job_id
            except grpc.RpcError as error:
                raise RuntimeError(f"cannot submit: {error}") from error

        return await in_parallel(one, count)


async def by_batches(
    target: Target, count: int, job: job_pb2.Job | None = None, *, size: int = 100
) -> list[str]:
    """Submit `count` jobs by gRPC in batches, a few of them at a time; returns their ids."""
    batch = job_batch_pb2.BatchSubmitJobsRequest(jobs=[job or job_message()] * size)
    async with aio.insecure_channel(target.grpc) as channel:
        submit = jobs_service_pb2_grpc.JobsServiceStub(channel).BatchSubmitJobs

        async def one() -> list[str]:
            answer = await submit(batch, metadata=metadata(target), timeout=60)
            if refused := [one.error for one in answer.results if one.HasField("error")]:
                raise RuntimeError(f"cannot submit: {refused[0]}")
            return [one.job.job_id for one in answer.results]

        parts: list[list[str]] = []
        for _ in range(0, count, size * BATCHES):
            left = min(BATCHES, (count - sum(map(len, parts))) // size)
            parts += await asyncio.gather(*(one() for _ in range(left)))
        return [job_id for part in parts for job_id in part]


def by_rest(target: Target, count: int) -> list[str]:
    """Submit `count` jobs by REST on kept connections; returns their ids."""
    left = iter(range(count))
    headers = {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json"}
    address = urlsplit(target.http).netloc

    def worker(_: int) -> list[str]:
        connection = HTTPConnection(address, timeout=30)
        ids = []
        for _number in left:
            connection.request("POST", "/v1/jobs", json.dumps(JOB), headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != HTTPStatus.OK:
                raise RuntimeError(f"cannot submit: {answer.status} {content!r}")
            ids.append(str(json.loads(content)["job_id"]))
        connection.close()
        return ids

    with ThreadPoolExecutor(REST_CONNECTIONS) as threads:
        return [job_id for part in threads.map(worker, range(REST_CONNECTIONS)) for job_id in part]


def seed(target: Target, count: int) -> list[str]:
    """Submit `count` jobs in the fastest way that the target has; returns their ids."""
    return asyncio.run(by_grpc(target, count)) if target.grpc else by_rest(target, count)
