"""What a real agent measures is read back over REST, at once and after the server was stopped."""

import asyncio
import json
import signal
from typing import Any

import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_metrics_pb2
from windlass.resources.v1 import node_metrics_pb2, resources_service_pb2_grpc


async def the_node(rest: httpx.AsyncClient) -> dict[str, Any]:
    (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
    return dict(node)


async def measured(rest: httpx.AsyncClient, at_least: int, **query: Any) -> dict[str, Any]:
    """The answer, when its first series has so many values."""
    node = await the_node(rest)
    path = f"/v1/resources/nodes/{node['node_id']}/metrics"
    async with asyncio.timeout(60):
        while True:
            answer = await rest.get(path, params=query)
            assert answer.status_code == 200, answer.text
            series = answer.json()["series"]
            if series and sum(series[0]["count"]) >= at_least:
                return dict(answer.json())


async def test_what_a_node_measures_is_there_and_outlives_the_server(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        uuid = (await the_node(rest))["gpus"][3]["uuid"]
        query = {"field": "gpu_power_watts", "subject": uuid}
        answer = await measured(rest, 2, **query)
        (series,) = answer["series"]
        assert (series["field"], series["subject"]) == ("gpu_power_watts", uuid)
        assert (await the_node(rest))["node_id"] == series["node_id"]
        for low, mean, high in zip(series["min"], series["mean"], series["max"], strict=True):
            assert 0 < low <= mean <= high < 1000
    assert any_cluster.server is not None
    assert any_cluster.agent is not None
    await any_cluster.agent.kill(signal.SIGTERM)
    await any_cluster.server.kill(signal.SIGTERM)
    await any_cluster.start_server()
    async with any_cluster.rest() as rest:
        again = await measured(rest, sum(series["count"]), **query)
        assert sum(again["series"][0]["count"]) >= sum(series["count"])
        everything = await measured(rest, 1, resolution="3600s")
    assert everything["resolution"] == "3600s"
    fields = {one["field"] for one in everything["series"]}
    assert {"gpu_power_watts", "gpu_energy_joules", "cpu_used_millis", "load_1m"} <= fields
    assert len([one for one in everything["series"] if one["field"] == "gpu_power_watts"]) == 8


@pytest.mark.asyncio(loop_scope="module")
async def test_grpc_answers_the_same(shared: Cluster):
    async with shared.rest() as rest:
        node = await the_node(rest)
        await measured(rest, 1)
    request = node_metrics_pb2.GetNodeMetricsRequest(
        node_id=node["node_id"], field=["GPU_Power_Watts"], subject=[node["gpus"][0]["uuid"]]
    )
    stub = resources_service_pb2_grpc.ResourcesServiceStub(shared.channel)
    answer = await stub.GetNodeMetrics(request, metadata=shared.metadata)
    assert [series.field for series in answer.series] == ["gpu_power_watts"]
    assert answer.resolution.seconds == 60
    assert answer.start_time.seconds % 60 == 0
    assert isinstance(answer.end_time, Timestamp)


BAD = [
    ({"field": "nonsense"}, "field[0]", "FIELD_UNKNOWN"),
    ({"field": ["load_1m", "gpu_throttle_reasons"]}, "field[1]", "FIELD_UNKNOWN"),
    ({"field": "lo ad"}, "field[0]", "STRING_PATTERN"),
    ({"start_time": "2026-01-02T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"}, "end_time", "TIMES_REVERSED"),
    ({"end_time": "2026-01-01T00:00:00Z", "start_time": "2026-01-01T00:00:00Z"}, "end_time", "TIMES_REVERSED"),
    ({"end_time": "1960-01-01T00:00:00Z"}, "start_time", "TIME_TOO_EARLY"),
    ({"resolution": "0s"}, "resolution", "DURATION_GTE_LTE"),
    ({"resolution": "-60s"}, "resolution", "DURATION_GTE_LTE"),
    ({"resolution": "10s", "start_time": "2020-01-01T00:00:00Z"}, "resolution", "TOO_MANY_POINTS"),
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
async def test_questions_that_make_no_sense_are_refused(shared: Cluster):
    async with shared.rest() as rest:
        path = f"/v1/resources/nodes/{(await the_node(rest))['node_id']}/metrics"
        for query, field, reason in BAD:
            answer = await rest.get(path, params=query)
            assert answer.status_code == 400, answer.text
            violations = [
                violation
                for detail in answer.json()["details"]
                for violation in detail.get("field_violations", [])
            ]
            told = [(one["field"], one["reason"]) for one in violations]
            assert told == [(field, reason)], answer.text
        assert (await rest.get("/v1/resources/nodes/node-x/metrics")).status_code == 404


@pytest.mark.asyncio(loop_scope="module")
async def test_live_values_come_as_events_and_name_the_job_at_its_gpus(shared: Cluster):
    job = await shared.submit("sleep", "600", resources={"gpu_count": 2})
    headers = {"accept": "text/event-stream"}
    path = "/v1/resources/telemetry?field=gpu_power_watts&min_interval=0.2s"
    moments, held = 0, 0
    async with shared.rest() as rest, rest.stream("GET", path, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        async with asyncio.timeout(60):
            async for line in stream.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                (node,) = json.loads(line.removeprefix("data: "))["values"]["nodes"]
                gpus = node["subjects"]
                assert len(gpus) == 8
                assert all(0 < gpu["values"]["gpu_power_watts"] < 1000 for gpu in gpus)
                moments += 1
                held = sum(gpu["job_id"] == job.job_id for gpu in gpus)
                if moments >= 3 and held:
                    break
    assert held == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_a_job_shows_what_it_used_over_both_front_ends(shared: Cluster):
    job = await shared.submit("sleep", "600", resources={"gpu_count": 2})
    query = {"field": ["gpu_power_watts", "memory_used_bytes"], "resolution": "10s"}
    async with asyncio.timeout(60), shared.rest() as rest:
        while True:
            answer = await rest.get(f"/v1/jobs/{job.job_id}/metrics", params=query)
            assert answer.status_code == 200, answer.text
            series = answer.json()["series"]
            if len(series) == 3:
                break
        assert (await rest.get("/v1/jobs/job-x/metrics")).status_code == 404
    (run_id,) = {one["run_id"] for one in series}
    assert {one["field"] for one in series} == set(query["field"])
    assert sum(one["subject"] == run_id for one in series) == 1
    request = job_metrics_pb2.GetJobMetricsRequest(job_id=job.job_id, field=["gpu_power_watts"])
    found = await shared.jobs.GetJobMetrics(request, metadata=shared.metadata)
    assert len(found.series) == 2
    assert {one.run_id for one in found.series} == {run_id}
