"""Nodes are kept for somebody, with a real agent and real tasks, over REST."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2

RESERVE, RESERVATIONS = "/v1/resources/reserve", "/v1/resources/reservations"
H100 = {"gpu_count": 8, "gpu_type": "H100"}


def in_(**span: float) -> str:
    """A time so long from now, as JSON has it."""
    moment = datetime.now(UTC) + timedelta(**span)  # noqa: TID251 - the server's clock is real
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def spec(begins: str | None = None, **fields: Any) -> dict[str, Any]:
    """A reservation of the node's GPUs for an hour; begins at once by default."""
    times = {"end_time": in_(hours=2)} | ({"start_time": begins} if begins else {})
    return {"project": "default", "resources": H100, **times, **fields}


async def reserve(cluster: Cluster, **fields: Any) -> dict[str, Any]:
    async with cluster.rest() as rest:
        answer = await rest.post(RESERVE, json=spec(**fields))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def waiting(cluster: Cluster, job_id: str, reason: str) -> str:
    """The words about a job, once it waits for this reason."""
    async with asyncio.timeout(30):
        while (job := await cluster.get(job_id)).status_reason != reason:
            assert job.status == job_pb2.Job.QUEUED, job
    return job.status_message


async def test_what_is_kept_for_one_project_starts_there_and_waits_elsewhere(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        await rest.post("/v1/projects", json={"project": "vision"})
    made = await reserve(any_cluster, project="vision", reason="demo")
    assert made["status"] == "ACTIVE"
    assert [part["gpu_count"] for part in made["parts"]] == [8]

    theirs = await any_cluster.submit("true", project="default")
    words = await waiting(any_cluster, theirs.job_id, "RESERVED")
    assert made["reservation_id"] in words
    own = await any_cluster.submit("true", project="vision", resources={"gpu_count": 8})
    _, end = await any_cluster.follow(own.job_id)
    assert end.status == job_pb2.Job.SUCCEEDED

    async with any_cluster.rest() as rest:
        gone = (await rest.delete(f"{RESERVATIONS}/{made['reservation_id']}")).json()
    assert (gone["status"], gone["project"]) == ("CANCELLED", "vision")
    _, end = await any_cluster.follow(theirs.job_id)
    assert end.status == job_pb2.Job.SUCCEEDED


async def test_a_job_with_a_time_limit_starts_before_a_reservation_that_is_to_come(
    cluster: Cluster,
):
    begins = in_(hours=1)
    made = await reserve(cluster, begins=begins, maintenance=True, project="")
    assert (made["status"], made["next_start_time"]) == ("PENDING", begins)
    endless = await cluster.submit("true")
    assert begins in await waiting(cluster, endless.job_id, "RESERVED")
    short = await cluster.submit("true", time_limit=Duration(seconds=60))
    _, end = await cluster.follow(short.job_id)
    assert end.status == job_pb2.Job.SUCCEEDED
    async with cluster.rest() as rest:
        refused = await rest.post(
            "/v1/resources/allocate", json={"resources": {"gpu_count": 1}, "ttl": "7200s"}
        )
        assert refused.status_code == 409
        assert refused.json()["details"][0]["reason"] == "RESERVED"
        listed = (await rest.get(RESERVATIONS, params={"status": "PENDING"})).json()
        assert [one["reservation_id"] for one in listed["reservations"]] == [made["reservation_id"]]
        moved = await rest.patch(
            f"{RESERVATIONS}/{made['reservation_id']}", json={"reason": "new fans"}
        )
        assert (moved.json()["reason"], moved.json()["next_start_time"]) == ("new fans", begins)
        twice = await rest.post(RESERVE, json=spec(begins, end_time=in_(hours=3)))
    assert twice.status_code == 400
    (why,) = [one for one in twice.json()["details"] if "reason" in one]
    assert why["reason"] == "RESERVATION_CONFLICT"
    assert why["metadata"]["reservation_ids"] == made["reservation_id"]


BAD = "INVALID_FIELDS", "INVALID_FIELD_VALUE", "MALFORMED_MESSAGE"


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"end_time": None}, BAD),
        ({"end_time": "2020-01-01T00:00:00Z"}, ("TIMES_REVERSED",)),
        ({"start_time": "0001-01-01T00:00:00Z"}, ("UNSATISFIABLE_RESOURCES",)),
        ({"start_time": "9999-01-01T00:00:00Z"}, ("TOO_LONG_OR_TOO_FAR",)),
        ({"end_time": "9999-12-31T23:59:59Z"}, ("TOO_LONG_OR_TOO_FAR",)),
        ({"start_time": "yesterday"}, BAD),
        ({"resources": {"gpu_count": -1}}, BAD),
        ({"resources": {"cpu_millis": "9223372036854775807"}}, BAD),
        ({"resources": {"gpu_count": 10**12}}, BAD),
        ({"resources": {"gpu_type": "a b"}}, BAD),
        ({"resources": {}}, ("NOTHING_RESERVED",)),
        ({"resources": None, "node_ids": ["a", "a"]}, BAD),
        ({"resources": None, "node_ids": ["node-no"]}, ("NODE_NOT_FOUND",)),
        ({"project": "No Such"}, BAD),
        ({"project": "nope"}, ("PROJECT_NOT_FOUND",)),
        ({"users": [""]}, BAD),
        ({"reason": "a\nb"}, BAD),
        ({"recurrence": {}}, BAD),
        ({"recurrence": {"cron": "$(reboot)"}}, BAD),
        ({"recurrence": {"cron": "0 0 30 2 *"}}, ("BAD_RECURRENCE",)),
        ({"recurrence": {"cron": "0 1 * * *", "time_zone": "No/Where"}}, ("BAD_RECURRENCE",)),
        ({"maintenance": True}, ("MAINTENANCE_IS_FOR_NOBODY",)),
        ({}, ("UNSATISFIABLE_RESOURCES",)),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_bad_reservation_is_refused_by_name(
    server: Cluster, change: dict[str, Any], reasons: tuple[str, ...]
):
    body = {name: value for name, value in (spec() | change).items() if value is not None}
    async with server.rest() as rest:
        answer = await rest.post(RESERVE, json=body)
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["details"][0]["reason"] in reasons


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unknown_reservation_is_not_found(server: Cluster):
    path = f"{RESERVATIONS}/resv-no"
    async with server.rest() as rest:
        for answer in (
            await rest.get(path),
            await rest.delete(path),
            await rest.patch(path, json={"reason": "x", "end_time": in_(hours=1)}),
        ):
            assert answer.status_code == 404, answer.text
            assert answer.json()["details"][0]["reason"] == "RESERVATION_NOT_FOUND"
        bad = await rest.get(RESERVATIONS, params={"status": "SOON"})
        assert bad.status_code == 400
