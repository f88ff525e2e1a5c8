"""Quotas over REST and gRPC, in real processes."""

from typing import Any

import httpx
import pytest

from tests.support.cluster import Cluster
from windlass.access.v1 import access_service_pb2, access_service_pb2_grpc

QUOTAS = "/v1/quotas"


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["details"][0]["reason"])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_quota_lives_over_rest_and_reads_alike_over_grpc(server: Cluster):
    stub: Any = access_service_pb2_grpc.AccessServiceStub(server.channel)
    wanted = {
        "project": "default",
        "guaranteed": {"gpu_millis": "8000"},
        "borrowing_limit": {"gpu_millis": "0"},
        "limit": {"running_jobs": 3, "memory_bytes": "1"},
    }
    async with server.rest() as rest:
        made = await rest.post(QUOTAS, json=wanted)
        assert made.status_code == 200, made.text
        assert made.json() | wanted == made.json()
        path = f"{QUOTAS}/{made.json()['quota_id']}"
        assert (await rest.get(path)).json() == made.json()
        request = access_service_pb2.GetQuotaRequest(quota_id=made.json()["quota_id"])
        read = await stub.GetQuota(request, metadata=server.metadata)
        assert (read.guaranteed.gpu_millis, read.borrowing_limit.HasField("gpu_millis")) == (
            8000,
            1,
        )
        again = await rest.post(QUOTAS, json=wanted)
        assert (again.status_code, reason(again)) == (409, "QUOTA_EXISTS")

        changed = (await rest.patch(path, json={"limit": {}, "etag": read.etag})).json()
        assert ("limit" in changed, changed["guaranteed"]) == (False, wanted["guaranteed"])
        stale = await rest.patch(path, json={"cohort": "x", "etag": read.etag})
        assert (stale.status_code, reason(stale)) == (409, "ETAG_MISMATCH")
        listed = (await rest.get(QUOTAS, params={"gpu_type": "", "page_size": 1})).json()
        assert [one["quota_id"] for one in listed["quotas"]] == [read.quota_id]
        assert (await rest.delete(path)).json()["quota_id"] == read.quota_id
        assert (await rest.get(path)).status_code == 404
        first = (await rest.get(f"{path}/events", params={"page_size": 2})).json()
        token = {"page_token": first["next_page_token"]}
        rest_of_it = (await rest.get(f"{path}/events", params=token)).json()
        events = [*first["events"], *rest_of_it["events"]]
        assert [one["reason"] for one in events] == [
            "QUOTA_CREATED",
            "QUOTA_UPDATED",
            "QUOTA_DELETED",
        ]
        assert "guaranteed 8 GPUs" in events[0]["message"]


def limited(**limit: Any) -> dict[str, Any]:
    return {"limit": limit}


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", QUOTAS, {}, 400, "SAYS_NOTHING"),
    ("POST", QUOTAS, {"limit": {}}, 400, "SAYS_NOTHING"),
    ("POST", QUOTAS, {"project": "nobodys", **limited(cpu_millis=1)}, 404, "PROJECT_NOT_FOUND"),
    ("POST", QUOTAS, {"user": "ann", "guaranteed": {"cpu_millis": 1}}, 400, "ONLY_OF_PROJECTS"),
    ("POST", QUOTAS, {"gpu_type": "H100", **limited(cpu_millis=1)}, 400, "ONLY_GPUS_HAVE_TYPES"),
    *(
        ("POST", QUOTAS, {**limited(cpu_millis=1), **more}, 400, why)
        for more, why in (
            (limited(gpu_millis=-1), "INVALID_FIELDS"),
            (limited(gpu_millis="NaN"), "INVALID_FIELD_VALUE"),
            (limited(gpu_millis=0.5), "INVALID_FIELD_VALUE"),
            (limited(gpu_millis="9223372036854775807"), "INVALID_FIELDS"),
            (limited(memory_bytes="9223372036854775808"), "INVALID_FIELD_VALUE"),
            (limited(running_jobs=1 << 40), "INVALID_FIELD_VALUE"),
            (limited(bogus=1), "UNKNOWN_FIELD"),
            ({"max_priority": 1001}, "INVALID_FIELDS"),
            ({"max_priority": "high"}, "INVALID_FIELD_VALUE"),
            ({"guaranteed": {"running_jobs": 1}}, "UNKNOWN_FIELD"),
            ({"borrowing_limit": {"cpu_millis": 1}}, "NOTHING_GUARANTEED"),
            ({"guaranteed": {"cpu_millis": 2}}, "LIMIT_BELOW_GUARANTEE"),
            ({"cohort": "No!"}, "INVALID_FIELDS"),
            ({"cohort": "x"}, "NOTHING_GUARANTEED"),
            ({"gpu_type": "a b"}, "INVALID_FIELDS"),
            ({"user": "a\0"}, "INVALID_FIELDS"),
            ({"project": "x" * 64}, "INVALID_FIELDS"),
        )
    ),
    ("PATCH", f"{QUOTAS}/no", limited(cpu_millis=1), 404, "QUOTA_NOT_FOUND"),
    ("GET", f"{QUOTAS}/no", {}, 404, "QUOTA_NOT_FOUND"),
    ("GET", f"{QUOTAS}/%00", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{QUOTAS}?page_size=-1", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{QUOTAS}?page_token=abc", {}, 400, "PAGE_TOKEN_INVALID"),
    ("GET", f"{QUOTAS}?project=nobodys", {}, 404, "PROJECT_NOT_FOUND"),
    ("DELETE", f"{QUOTAS}/no", {}, 404, "QUOTA_NOT_FOUND"),
    ("GET", f"{QUOTAS}/no/events", {}, 404, "QUOTA_NOT_FOUND"),
    ("GET", f"{QUOTAS}/no/events?page_size=-1", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{QUOTAS}/no/events?page_token=abc", {}, 400, "PAGE_TOKEN_INVALID"),
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
        assert (await rest.get(QUOTAS)).json()["quotas"] == []


async def test_what_is_beyond_a_quota_waits_or_is_refused(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        made = await rest.post(QUOTAS, json={"limit": {"gpu_millis": "3000", "queued_jobs": 1}})
        assert made.status_code == 200, made.text
        two = {"resources": {"gpu_count": 2}}
        held = (await rest.post("/v1/resources/allocate", json=two)).json()
        refused = await rest.post("/v1/resources/allocate", json=two)
        assert (refused.status_code, reason(refused)) == (429, "QUOTA")
        assert int(refused.headers["retry-after"]) == 60
        details = {one["@type"].rpartition(".")[2]: one for one in refused.json()["details"]}
        (violation,) = details["QuotaFailure"]["violations"]
        assert violation["subject"] == "project:default"
        assert violation["description"] == (
            "needs 2 GPUs; project default has 2 GPUs of the 3 GPUs that its quota allows"
        )
        assert (violation["quota_metric"], violation["quota_value"]) == ("gpu_millis", "3000")

        job = {"command": ["true"], "resources": {"gpu_count": 2}}
        never = await rest.post("/v1/jobs", json=job | {"resources": {"gpu_count": 4}})
        assert (never.status_code, reason(never)) == (400, "EXCEEDS_QUOTA")
        waiting = (await rest.post("/v1/jobs", json=job)).json()
        full = await rest.post("/v1/jobs", json=job)
        assert (full.status_code, reason(full)) == (429, "QUOTA")
        path = f"/v1/jobs/{waiting['job_id']}"
        while (seen := (await rest.get(path)).json())["status_reason"] == "PENDING_SCHEDULING":
            pass
        assert (seen["status"], seen["status_reason"]) == ("QUEUED", "QUOTA")
        await rest.delete(f"/v1/resources/allocations/{held['allocation_id']}")
        _, end = await any_cluster.follow(waiting["job_id"])
        assert end.exit_code == 0
        (now,) = (await rest.get(QUOTAS)).json()["quotas"]
        assert set(now["use"].values()) <= {"0", 0}
