"""Queues over REST and gRPC, in real processes."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cluster import Cluster
from tests.support.transcripts import follow
from windlass.jobs.v1 import queues_service_pb2, queues_service_pb2_grpc

QUEUES = "/v1/queues"


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["details"][0]["reason"])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_queue_lives_over_rest_and_reads_alike_over_grpc(server: Cluster):
    stub: Any = queues_service_pb2_grpc.QueuesServiceStub(server.channel)
    wanted = {
        "queue_id": "nightly",
        "state": "PAUSED",
        "limits": {"running_jobs": 3, "time_limit": "60s"},
        "defaults": {"priority": 0, "pool": "", "preemptible": False},
    }
    async with server.rest() as rest:
        made = await rest.post(QUEUES, json=wanted)
        assert made.status_code == 200, made.text
        assert made.json() | wanted == made.json()
        path = f"{QUEUES}/nightly"
        assert (await rest.get(path)).json() == made.json()
        request = queues_service_pb2.GetQueueRequest(queue_id="nightly")
        read = await stub.GetQueue(request, metadata=server.metadata)
        assert (read.limits.running_jobs, read.defaults.HasField("priority")) == (3, True)
        again = await rest.post(QUEUES, json=wanted)
        assert (again.status_code, reason(again)) == (409, "QUEUE_EXISTS")
        job = (await rest.post("/v1/jobs", json={"command": ["true"], "queue": "nightly"})).json()
        assert (job["queue"], job["time_limit"], job["priority"]) == ("nightly", "60s", 0)
        full = await rest.delete(path)
        assert (full.status_code, reason(full)) == (400, "QUEUE_NOT_EMPTY")
        gone = await rest.delete(path, params={"move_to": "default"})
        assert gone.json()["queued_jobs"] == 1
        moved = (await rest.get(f"/v1/jobs/{job['job_id']}")).json()
        assert moved["queue"] == "default"
        by_queue = (await rest.get("/v1/jobs", params={"queue": "default"})).json()["jobs"]
        assert [one["queue"] for one in by_queue] == ["default"]
        events = (await rest.get(f"{path}/events")).json()["events"]
        assert [one["reason"] for one in events] == ["QUEUE_CREATED", "QUEUE_DELETED"]
        seen = (await rest.get("/v1/events", params={"kind": "queue"})).json()
        assert {one["event"]["object_id"] for one in seen if "event" in one} == {"queue/nightly"}


def a_queue(**said: Any) -> dict[str, Any]:
    return {"queue_id": "x", **said}


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    *(
        ("POST", QUEUES, body, status, why)
        for body, status, why in (
            ({}, 400, "INVALID_FIELDS"),
            (a_queue(queue_id="default"), 409, "QUEUE_EXISTS"),
            (a_queue(queue_id="A b"), 400, "INVALID_FIELDS"),
            (a_queue(queue_id="x" * 64), 400, "INVALID_FIELDS"),
            (a_queue(state=7), 400, "INVALID_FIELDS"),
            (a_queue(state="OFF"), 400, "INVALID_FIELD_VALUE"),
            (a_queue(description="a\0"), 400, "INVALID_FIELDS"),
            (a_queue(limits={"running_jobs": -1}), 400, "INVALID_FIELDS"),
            (a_queue(limits={"running_jobs": "NaN"}), 400, "INVALID_FIELD_VALUE"),
            (a_queue(limits={"nodes_per_job": 0}), 400, "INVALID_FIELDS"),
            (a_queue(limits={"time_limit": "-1s"}), 400, "INVALID_FIELDS"),
            (a_queue(limits={"bogus": 1}), 400, "UNKNOWN_FIELD"),
            (a_queue(defaults={"priority": 1001}), 400, "INVALID_FIELDS"),
            (a_queue(defaults={"retry": {"max_attempts": -1}}), 400, "INVALID_FIELDS"),
            (a_queue(defaults={"pool": "nowhere"}), 400, "POOL_NOT_FOUND"),
            (a_queue(allowed_projects=["nobodys"]), 400, "PROJECT_NOT_FOUND"),
            (a_queue(allowed_projects=["a", "a"]), 400, "INVALID_FIELDS"),
            (a_queue(allowed_users=[""]), 400, "INVALID_FIELDS"),
            (a_queue(min_role="KING"), 400, "INVALID_FIELD_VALUE"),
        )
    ),
    ("PATCH", f"{QUEUES}/no", {"state": "PAUSED"}, 404, "QUEUE_NOT_FOUND"),
    ("PATCH", f"{QUEUES}/default?update_mask=queue_id", {}, 400, "FIELD_NOT_CHANGEABLE"),
    ("PATCH", f"{QUEUES}/default", {"etag": "9", "state": "PAUSED"}, 409, "ETAG_MISMATCH"),
    ("GET", f"{QUEUES}/no", {}, 404, "QUEUE_NOT_FOUND"),
    ("GET", f"{QUEUES}/%00", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{QUEUES}?page_size=-1", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{QUEUES}?page_token=abc", {}, 400, "PAGE_TOKEN_INVALID"),
    ("DELETE", f"{QUEUES}/no", {}, 404, "QUEUE_NOT_FOUND"),
    ("DELETE", f"{QUEUES}/default", {}, 400, "DEFAULT_QUEUE"),
    ("DELETE", f"{QUEUES}/default?move_to=default", {}, 400, "SAME_QUEUE"),
    ("GET", f"{QUEUES}/no/events", {}, 404, "QUEUE_NOT_FOUND"),
    ("GET", f"{QUEUES}/default/events?page_token=abc", {}, 400, "PAGE_TOKEN_INVALID"),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("verb", "path", "body", "status", "why"), BAD)
async def test_bad_input_is_refused_by_name(
    server: Cluster, verb: str, path: str, body: dict[str, Any], status: int, why: str
):
    given = {"json": body} if verb in ("POST", "PATCH") else {}
    async with server.rest() as rest:
        answer = await rest.request(verb, path, **given)
        assert (answer.status_code, reason(answer)) == (status, why), answer.text
        names = [one["queue_id"] for one in (await rest.get(QUEUES)).json()["queues"]]
        assert names == ["default"]


async def test_what_a_queue_bounds_waits_and_starts_when_it_is_let(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        limits = {"running_jobs": 1, "queued_jobs": 1}
        queue = {"queue_id": "one", "state": "PAUSED", "limits": limits}
        (await rest.post(QUEUES, json=queue)).raise_for_status()
        job = {"command": ["true"], "queue": "one"}
        waiting = (await rest.post("/v1/jobs", json=job)).json()
        full = await rest.post("/v1/jobs", json=job)
        assert (full.status_code, reason(full)) == (429, "QUEUE_LIMIT")
        assert full.headers["retry-after"] == "60"
        path = f"/v1/jobs/{waiting['job_id']}"
        while (seen := (await rest.get(path)).json())["status_reason"] == "PENDING_SCHEDULING":
            pass
        assert (seen["status"], seen["status_reason"]) == ("QUEUED", "QUEUE_PAUSED")
        explained = (await rest.get(f"{path}/explain")).json()["forecast"]
        assert explained["reason"] == "QUEUE_PAUSED"
        (await rest.patch(f"{QUEUES}/one", json={"state": "OPEN"})).raise_for_status()
        _, end = await any_cluster.follow(waiting["job_id"])
        assert end.exit_code == 0
        (now,) = [
            one for one in (await rest.get(QUEUES)).json()["queues"] if one["queue_id"] == "one"
        ]
        assert (now["queued_jobs"], now["running_jobs"]) == (0, 0)


async def test_the_page_says_what_the_commands_print(cluster: Cluster, tmp_path: Path):
    assert await follow("queues.md", cluster, tmp_path) >= 10
