"""Scheduling policies over REST and gRPC, in real processes."""

from typing import Any

import grpc
import httpx
import pytest

from tests.support.cluster import Cluster
from windlass.resources.v1 import resources_service_pb2, resources_service_pb2_grpc

POLICIES = "/v1/resources/policies"
DEFAULT = f"{POLICIES}/default"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["details"][0]["reason"])


async def test_a_policy_lives_over_rest_and_reads_alike_over_grpc(server: Cluster):
    stub: Any = resources_service_pb2_grpc.ResourcesServiceStub(server.channel)
    async with server.rest() as rest:
        nothing = (await rest.get(DEFAULT)).json()
        assert (nothing["policy_id"], nothing.get("aging")) == ("default", None)
        wanted = {
            "description": "fair",
            "fair_share": {
                "half_life": "86400s",
                "weights": [{"project": "default", "user": "", "weight": 2}],
            },
            "priority_classes": {"classes": [{"name": "urgent", "priority": 500}]},
            "aging": {"boost": 100, "over": "3600s"},
            "backfill": {"depth": 3},
            "packing": "tight",
        }
        made = await rest.patch(DEFAULT, json=wanted)
        assert made.status_code == 200, made.text
        assert (await rest.get(DEFAULT)).json() == made.json()
        assert {name: made.json()[name] for name in wanted} | {"fair_share": None} == wanted | {
            "fair_share": None
        }
        request = resources_service_pb2.GetSchedulingPolicyRequest(policy_id="default")
        read = await stub.GetSchedulingPolicy(request, metadata=server.metadata)
        assert (read.aging.boost, read.fair_share.weights[0].weight) == (100, 2.0)

        mask = {"update_mask": "aging,packing"}
        changed = (await rest.patch(DEFAULT, params=mask, json={"etag": read.etag})).json()
        assert (changed.get("aging"), changed["packing"]) == (None, "")
        assert changed["backfill"] == {"depth": 3}
        stale = await rest.patch(DEFAULT, json={"packing": "tight", "etag": read.etag})
        assert (stale.status_code, reason(stale)) == (409, "ETAG_MISMATCH")
        for name in "ba":
            await rest.patch(f"{POLICIES}/queue.{name}", json={"aging": {"boost": 1}})
        listed = (await rest.get(POLICIES, params={"page_size": 2})).json()
        assert [one["policy_id"] for one in listed["policies"]] == ["default", "queue.a"]
        token = {"page_token": listed["next_page_token"]}
        rest_of_it = (await rest.get(POLICIES, params={"page_size": 2, **token})).json()
        assert [one["policy_id"] for one in rest_of_it["policies"]] == ["queue.b"]

        assert (await rest.delete(DEFAULT)).json()["policy_id"] == "default"
        assert (await rest.get(DEFAULT)).json() == nothing
        events = (await rest.get(f"{DEFAULT}/events")).json()["events"]
        assert [one["reason"] for one in events] == ["POLICY_SET", "POLICY_SET", "POLICY_DELETED"]
        assert 'packing: "tight" -> unset' in events[1]["message"]


async def test_shares_are_read_by_the_rules_of_a_queue(server: Cluster):
    async with server.rest() as rest:
        await rest.patch(f"{POLICIES}/queue.slow", json={"fair_share": {"half_life": "3600s"}})
        read = (await rest.get("/v1/resources/shares", params={"queue": "slow"})).json()
        assert (read["enabled"], read["half_life"]) == (True, "3600s")
        assert (await rest.get("/v1/resources/shares")).json()["half_life"] == "604800s"
        await rest.delete(f"{POLICIES}/queue.slow")


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("PATCH", f"{POLICIES}/Big", {"packing": "tight"}, 400, "INVALID_FIELDS"),
    ("PATCH", f"{POLICIES}/node.a", {"packing": "tight"}, 400, "INVALID_FIELDS"),
    ("PATCH", f"{POLICIES}/pool.none", {"packing": "tight"}, 400, "POOL_NOT_FOUND"),
    ("PATCH", f"{DEFAULT}?update_mask=user", {}, 400, "FIELD_NOT_CHANGEABLE"),
    ("PATCH", f"{DEFAULT}?update_mask=aging.boost", {}, 400, "FIELD_NOT_CHANGEABLE"),
    *(
        ("PATCH", DEFAULT, said, 400, why)
        for said, why in (
            ({"packing": "loose"}, "INVALID_FIELDS"),
            ({"aging": {"boost": -1}}, "INVALID_FIELDS"),
            ({"aging": {"boost": 2001}}, "INVALID_FIELDS"),
            ({"aging": {"boost": 1, "over": "0s"}}, "INVALID_FIELDS"),
            ({"aging": {"boost": 1, "over": "-5s"}}, "INVALID_FIELDS"),
            ({"fair_share": {"half_life": "0s"}}, "INVALID_FIELDS"),
            ({"fair_share": {"half_life": "-1s"}}, "INVALID_FIELDS"),
            ({"fair_share": {"half_life": "soon"}}, "INVALID_FIELD_VALUE"),
            *(
                ({"fair_share": {"weights": [{"user": "ada", "weight": weight}]}}, "INVALID_FIELDS")
                for weight in (0, -1, "NaN", "Infinity", "-Infinity", 1e7)
            ),
            ({"fair_share": {"weights": [{"user": "ada"}]}}, "INVALID_FIELDS"),
            ({"fair_share": {"weights": [{"weight": 1}]}}, "WEIGHT_OF_NOBODY"),
            ({"fair_share": {"weights": [{"project": "no", "weight": 1}]}}, "PROJECT_NOT_FOUND"),
            ({"priority_classes": {}}, "INVALID_FIELDS"),
            ({"priority_classes": {"classes": [{"name": "A"}]}}, "INVALID_FIELDS"),
            (
                {"priority_classes": {"classes": [{"name": "a", "priority": 1001}]}},
                "INVALID_FIELDS",
            ),
            ({"priority_classes": {"classes": [{"name": "a"}] * 2}}, "DUPLICATE_CLASS"),
            ({"backfill": {"depth": -1}}, "INVALID_FIELDS"),
            ({"preemption": {"min_run_time": "-1s"}}, "INVALID_FIELDS"),
            ({"preemption": {"hourly_budget": -1}}, "INVALID_FIELDS"),
            ({"ageing": {}}, "UNKNOWN_FIELD"),
        )
    ),
    ("GET", f"{POLICIES}/queue.none", {}, 404, "POLICY_NOT_FOUND"),
    ("GET", f"{POLICIES}?page_size=-1", {}, 400, "INVALID_FIELDS"),
    ("DELETE", f"{POLICIES}/queue.none", {}, 404, "POLICY_NOT_FOUND"),
    ("GET", "/v1/resources/shares?queue=A", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{DEFAULT}/events?page_token=x", {}, 400, "PAGE_TOKEN_INVALID"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "why"), BAD)
async def test_what_makes_no_sense_is_refused(
    server: Cluster, method: str, path: str, body: dict[str, Any], status: int, why: str
):
    async with server.rest() as rest:
        answer = await rest.request(method, path, **({"json": body} if method == "PATCH" else {}))
    assert (answer.status_code, reason(answer)) == (status, why), answer.text


async def test_everything_that_is_wrong_is_named(server: Cluster):
    said = {
        "aging": {"boost": -1},
        "fair_share": {"half_life": "1s", "weights": [{"user": "a", "weight": -1}]},
        "packing": "loose",
    }
    async with server.rest() as rest:
        answer = await rest.patch(DEFAULT, json=said)
    fields = {
        one["field"]
        for detail in answer.json()["details"]
        for one in detail.get("field_violations", ())
    }
    assert fields == {
        "policy.aging.boost",
        "policy.fair_share.half_life",
        "policy.fair_share.weights[0].weight",
        "policy.packing",
    }


async def test_whoever_does_not_administer_reads_and_changes_nothing(server: Cluster):
    stub: Any = resources_service_pb2_grpc.ResourcesServiceStub(server.channel)
    request = resources_service_pb2.UpdateSchedulingPolicyRequest()
    request.policy.policy_id = "default"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.UpdateSchedulingPolicy(request)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
