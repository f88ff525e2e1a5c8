"""The gRPC peer: a bare grpc.aio servicer over raw aiosqlite, without auth, validation or events.

Run as `python -m tests.benchmarks.peer_grpc --address HOST:PORT --database FILE --jobs N`; it fills
its table with N jobs first.
"""

import argparse
import asyncio
import json
import time

import aiosqlite
import grpc
import uvloop
from google.protobuf import json_format
from grpc import aio

from tests.benchmarks.job import JOB
from windlass.jobs.v1 import job_pb2, jobs_service_pb2_grpc
from windlass.jobs.v1 import jobs_service_pb2 as pb

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    status INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    user TEXT NOT NULL,
    spec BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_project ON jobs (project, job_id);
"""
_GET = "SELECT job_id, status, version, created_at, user, spec FROM jobs WHERE job_id = ?"
_LIST = (
    "SELECT job_id, status, version, created_at, user, spec FROM jobs"
    " WHERE project = ? ORDER BY job_id DESC LIMIT ?"
)
Row = tuple[str, int, int, int, str, bytes]


def to_proto(row: Row) -> job_pb2.Job:
    job_id, status, version, created_at, user, spec = row
    job = job_pb2.Job.FromString(spec)
    job.job_id = job_id
    job.status = status  # type: ignore[assignment]  # protobuf takes an int
    job.etag = str(version)
    job.user = user
    job.create_time.FromMicroseconds(created_at)
    return job


class Servicer(jobs_service_pb2_grpc.JobsServiceServicer):
    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    async def GetJob(
        self, request: pb.GetJobRequest, context: aio.ServicerContext[pb.GetJobRequest, job_pb2.Job]
    ) -> job_pb2.Job:
        async with self._database.execute(_GET, (request.job_id,)) as cursor:
            row = await cursor.fetchone()
        if row is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
        return to_proto(tuple(row))

    async def ListJobs(
        self,
        request: pb.ListJobsRequest,
        context: aio.ServicerContext[pb.ListJobsRequest, pb.ListJobsResponse],
    ) -> pb.ListJobsResponse:
        async with self._database.execute(_LIST, (request.project, request.page_size)) as cursor:
            rows = await cursor.fetchall()
        return pb.ListJobsResponse(jobs=[to_proto(tuple(row)) for row in rows])


async def fill(database: aiosqlite.Connection, jobs: int) -> None:
    spec = json_format.ParseDict(JOB, job_pb2.Job()).SerializeToString()
    now = time.time_ns() // 1000
    await database.executescript(_SCHEMA)
    await database.executemany(
        "INSERT INTO jobs VALUES (?, ?, 1, 1, ?, 'bench', ?)",
        [(f"job-{number:026}", JOB["project"], now, spec) for number in range(jobs)],
    )
    await database.commit()


async def serve(address: str, file: str, jobs: int) -> None:
    async with aiosqlite.connect(file) as database:
        await database.execute("PRAGMA journal_mode = WAL")
        await fill(database, jobs)
        server = aio.server()
        jobs_service_pb2_grpc.add_JobsServiceServicer_to_server(
            Servicer(database),  # type: ignore[abstract]  # no more than is measured
            server,
        )
        server.add_insecure_port(address)
        await server.start()
        print(json.dumps({"ready": address}), flush=True)
        await server.wait_for_termination()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--jobs", type=int, required=True)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments.address, arguments.database, arguments.jobs))


if __name__ == "__main__":
    main()
