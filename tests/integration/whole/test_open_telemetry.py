"""A collector gets a span for each call, in its caller's trace, and how long calls and duties take."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.otlp_collector import OtlpCollector
from windlass.jobs.v1 import jobs_service_pb2

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACE_PARENT = f"00-{TRACE}-{PARENT}-01"
JOBS = "windlass.jobs.v1.JobsService"


@pytest.fixture
async def collector() -> AsyncIterator[OtlpCollector]:
    started = OtlpCollector()
    await started.start()
    yield started
    await started.stop()


def watched(folder: Path, endpoint: str) -> Cluster:
    """A cluster whose server sends what it measures there."""
    settings = {"WINDLASS_OTLP_ENDPOINT": endpoint, "WINDLASS_OTLP_INTERVAL_SECONDS": "1"}
    # The SDK's own: how long spans are gathered, in milliseconds.
    return Cluster(folder, environment={**settings, "OTEL_BSP_SCHEDULE_DELAY": "100"})


async def test_calls_are_spans_in_the_trace_of_their_caller(
    collector: OtlpCollector, tmp_path: Path
):
    cluster = watched(tmp_path, collector.endpoint)
    try:
        await cluster.start_server()
        async with cluster.rest() as rest:
            answer = await rest.get(
                "/v1/jobs/job-x", headers={"traceparent": TRACE_PARENT, "x-request-id": "mine"}
            )
            assert answer.status_code == 404
        span = await collector.once(lambda found: found.span(f"{JOBS}/GetJob"))
        assert (span["trace_id"], span["parent_id"]) == (TRACE, PARENT)
        assert (span["rpc.service"], span["rpc.method"]) == (JOBS, "GetJob")
        assert span["rpc.grpc.status_code"] == 5
        assert (span["windlass.request_id"], span["enduser.id"]) == ("mine", "admin")
        assert 0 < span["seconds"] < 10
        # Whose fault it was: not the server's.
        assert span["status"] == 0
        request = jobs_service_pb2.ListJobsRequest()
        metadata = (*cluster.metadata, ("traceparent", TRACE_PARENT))
        await cluster.jobs.ListJobs(request, metadata=metadata)
        span = await collector.once(lambda found: found.span(f"{JOBS}/ListJobs"))
        assert (span["trace_id"], span["rpc.grpc.status_code"]) == (TRACE, 0)
        assert (await collector.once(lambda found: found.span("duty scheduler")))["parent_id"] == ""
        assert collector.resources[0]["service.name"] == "windlass"
        calls = await collector.once(lambda found: found.metrics.get("rpc.server.duration"))
        assert {"GetJob"} <= {point["rpc.method"] for point in calls}
        duties = await collector.once(lambda found: found.metrics.get("windlass.duty.duration"))
        assert "scheduler" in {point["windlass.duty"] for point in duties}
    finally:
        await cluster.stop()


async def test_what_is_left_is_sent_as_the_server_stops(collector: OtlpCollector, tmp_path: Path):
    cluster = watched(tmp_path, collector.endpoint)
    cluster.environment["OTEL_BSP_SCHEDULE_DELAY"] = "3600000"
    try:
        await cluster.start_server()
        async with cluster.rest() as rest:
            await rest.get("/v1/jobs")
    finally:
        await cluster.stop()
    assert collector.span(f"{JOBS}/ListJobs") is not None


async def test_a_server_works_and_stops_while_its_collector_is_away(tmp_path: Path):
    cluster = watched(tmp_path, "http://127.0.0.1:9")
    try:
        await cluster.start_server()
        async with cluster.rest() as rest:
            assert (await rest.get("/v1/jobs")).status_code == 200
        assert cluster.server is not None
        assert await cluster.server.kill(signal.SIGTERM) == 0
    finally:
        await cluster.stop()
