"""What a real task says of itself is read back with what its node measured, and its task is looked into."""

import asyncio
import signal
import sys
from collections.abc import Collection
from typing import Any

import httpx
import pytest

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_profile_pb2
from windlass.types.v1.profile_pb2 import ProfileFormat
from windlass_client import AsyncClient

SAYS = """
import time, windlass
for step in range(4):
    windlass.log(loss=1 / (1 + step), step=step)
windlass.log(loss=float("nan"), step=4)
windlass.log({"eval/f1": 0.5})
print("said", flush=True)
def the_hot_loop():
    while True:
        sum(range(1000))
the_hot_loop()
"""


async def a_job(cluster: Cluster, source: str = SAYS) -> str:
    job = await cluster.submit(sys.executable, "-c", source, resources={"gpu_count": 1})
    await cluster.wait_for_output(job.job_id, "said")
    return job.job_id


async def answered(
    rest: httpx.AsyncClient,
    job_id: str,
    points: int,
    *,
    sent: Collection[str] = (),
    shown: Collection[str] = (),
    **query: Any,
) -> Any:
    """The answer, when it has so many points, what the job has sent, and series of what is to be shown."""
    async with asyncio.timeout(60):
        while True:
            answer = await rest.get(f"/v1/jobs/{job_id}/metrics", params=query)
            assert answer.status_code == 200, answer.text
            found = answer.json()
            there = {one["metric"] for one in found["series"] if one["points"]}
            enough = sum(len(one["points"]) for one in found["series"]) >= points
            if enough and there >= {*shown} and {*sent} <= {*found["custom_names"]}:
                return found


async def test_metrics_of_both_kinds_are_answered_in_one_call(any_cluster: Cluster):
    job_id = await a_job(any_cluster)
    async with any_cluster.rest() as rest:
        sent = ["eval/f1", "loss"]
        loss = await answered(rest, job_id, 5, sent=sent, metrics="custom.loss", x_axis="STEP")
        (one,) = loss["series"]
        assert (one["metric"], one["rank"]) == ("custom.loss", 0)
        assert [point["step"] for point in one["points"]] == ["0", "1", "2", "3", "4"]
        assert [point["mean"] for point in one["points"]] == [1, 1 / 2, 1 / 3, 1 / 4, "NaN"]
        assert loss["custom_names"] == sent
        names = ["cpu", "memory", "io_write", "gpu_utilization", "custom.eval/f1"]
        query = {"metrics": [*names, "network_send"], "resolution": "10s"}
        several = await answered(rest, job_id, 5, shown=names, **query)
        assert {series["metric"] for series in several["series"]} == set(names)
        assert all(series["points"] for series in several["series"])
        assert "share its network" in several["notes"][0]
        total = await answered(rest, job_id, 1, metrics="gpu_utilization", aggregate="SUM")
        assert [series["metric"] for series in total["series"]] == ["gpu_utilization"]


async def test_a_task_goes_on_saying_what_it_measures_under_the_next_agent(any_cluster: Cluster):
    source = SAYS.replace(
        "def the",
        "for step in range(5, 10**6):\n    windlass.log(late=step); time.sleep(0.05)\ndef the",
    )
    job_id = await a_job(any_cluster, source)
    async with any_cluster.rest() as rest:
        await answered(rest, job_id, 1, metrics="custom.late")
        assert any_cluster.agent is not None
        await any_cluster.agent.kill(signal.SIGKILL)
        await any_cluster.start_agent()
        before = await answered(rest, job_id, 1, metrics="custom.late")
        count = len(before["series"][0]["points"])
        await answered(rest, job_id, count + 1, metrics="custom.late")


BAD = [
    ({"metrics": "nonsense"}, "metrics[0]", "METRIC_UNKNOWN"),
    ({"metrics": ["cpu", "custom."]}, "metrics[1]", "METRIC_UNKNOWN"),
    ({"metrics": "a b"}, "metrics[0]", "STRING_PATTERN"),
    ({"metrics": ["custom.x"] * 65}, "metrics", "REPEATED_MAX_ITEMS"),
    ({"metrics": ["cpu"], "x_axis": "STEP"}, "x_axis", "STEPS_ARE_CUSTOM"),
    ({"metrics": ["cpu"], "aggregate": "MEDIAN"}, "aggregate", "INVALID_FIELD_VALUE"),
    ({"metrics": ["custom.x"], "resolution": "0.5s"}, "resolution", "DURATION_GTE_LTE"),
]


@pytest.mark.asyncio(loop_scope="module")
async def test_questions_that_make_no_sense_are_refused(shared: Cluster):
    job = await shared.submit("true", resources={"gpu_count": 0})
    async with shared.rest() as rest:
        for query, field, reason in BAD:
            answer = await rest.get(f"/v1/jobs/{job.job_id}/metrics", params=query)
            assert answer.status_code == 400, answer.text
            (told,) = [
                (one["field"], one["reason"])
                for detail in answer.json()["details"]
                for one in detail.get("field_violations", [])
            ]
            assert told == (field, reason)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_running_task_is_looked_into_over_rest_and_grpc(shared: Cluster):
    job_id = await a_job(shared)
    path = f"/v1/jobs/{job_id}/profile"
    async with shared.rest() as rest:
        answer = await rest.post(path, json={"duration": "1s"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert b"the_hot_loop" in answer.content
        for body, status, reason in (
            ({"rank": 1}, 404, "RANK_NOT_FOUND"),
            ({"rank": -1}, 400, "INVALID_FIELDS"),
            ({"duration": "61s"}, 400, "INVALID_FIELDS"),
            ({"format": "PNG"}, 400, "INVALID_FIELD_VALUE"),
        ):
            refused = await rest.post(path, json=body)
            assert (refused.status_code, refused.json()["details"][0]["reason"]) == (status, reason)
    request = job_profile_pb2.ProfileJobRequest(job_id=job_id, format=ProfileFormat.RAW)
    request.duration.seconds = 1
    raw = await shared.jobs.ProfileJob(request, metadata=shared.metadata)
    assert b"the_hot_loop" in raw.data
    viewer = await shared.key_for("eve", "default", "VIEWER")
    async with shared.rest(viewer) as rest:
        assert (await rest.post(path, json={})).status_code == 403


@pytest.mark.asyncio(loop_scope="module")
async def test_the_client_asks_for_both(shared: Cluster):
    job_id = await a_job(shared)
    async with AsyncClient(shared.grpc, token=shared.token) as client:
        async with asyncio.timeout(60):
            while not (await client.jobs.metrics(job_id, metrics=["custom.loss"])).series:  # noqa: ASYNC110
                await asyncio.sleep(0)
        svg = await client.jobs.profile(job_id, duration=1)
    assert svg.startswith(b"<?xml")
