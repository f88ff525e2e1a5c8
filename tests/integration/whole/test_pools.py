"""Pools over REST and gRPC, in real processes."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.cluster import Cluster
from windlass.resources.v1 import pool_pb2, resources_service_pb2, resources_service_pb2_grpc

POOLS = "/v1/resources/pools"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_pool_lives_over_rest_and_reads_alike_over_grpc(server: Cluster):
    stub: Any = resources_service_pb2_grpc.ResourcesServiceStub(server.channel)
    wanted = {
        "pool_id": "h100",
        "description": "big ones",
        "selector": {"gpu_types": ["H100"], "labels": {"rack": "7"}, "zones": ["a"]},
        "priority": 3,
        "overcommit": {"cpu_ratio": 1.5},
        "allowed_projects": ["default"],
    }
    async with server.rest() as rest:
        made = await rest.post(POOLS, json=wanted)
        assert made.status_code == 200, made.text
        path = f"{POOLS}/h100"
        assert (await rest.get(path)).json() == made.json()
        assert {**made.json(), **wanted, "overcommit": made.json()["overcommit"]} | {
            "selector": made.json()["selector"]
        } == made.json()
        request = resources_service_pb2.GetPoolRequest(pool_id="h100")
        read = await stub.GetPool(request, metadata=server.metadata)
        assert read.selector == pool_pb2.PoolSelector(
            gpu_types=["H100"], labels={"rack": "7"}, zones=["a"]
        )
        assert (read.priority, read.overcommit.cpu_ratio, read.restricted) == (3, 1.5, True)

        mask = {"update_mask": "allowed_projects,priority"}
        changed = (await rest.patch(path, params=mask, json={"etag": read.etag})).json()
        assert (changed["allowed_projects"], changed["priority"]) == ([], 0)
        assert (changed["description"], changed["restricted"]) == ("big ones", False)
        stale = await rest.patch(path, json={"priority": 1, "etag": read.etag})
        assert (stale.status_code, reason(stale)) == (409, "ETAG_MISMATCH")
        listed = (await rest.get(POOLS, params={"page_size": 1})).json()
        assert [one["pool_id"] for one in listed["pools"]] == ["default"]
        token = {"page_token": listed["next_page_token"]}
        rest_of_it = (await rest.get(POOLS, params={"page_size": 1, **token})).json()
        assert [one["pool_id"] for one in rest_of_it["pools"]] == ["h100"]
        assert (await rest.delete(path)).json()["pool_id"] == "h100"
        assert (await rest.get(path)).status_code == 404


SELECTOR = {"zones": ["a"]}
BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", POOLS, {"selector": SELECTOR}, 400, "INVALID_FIELDS"),
    ("POST", POOLS, {"pool_id": "Big", "selector": SELECTOR}, 400, "INVALID_FIELDS"),
    ("POST", POOLS, {"pool_id": "x"}, 400, "SELECTS_NOTHING"),
    ("POST", POOLS, {"pool_id": "x", "selector": {}}, 400, "SELECTS_NOTHING"),
    ("POST", POOLS, {"pool_id": "x", "selector": {"zones": [""]}}, 400, "INVALID_FIELDS"),
    ("POST", POOLS, {"pool_id": "x", "selector": {"zones": ["a", "a"]}}, 400, "INVALID_FIELDS"),
    ("POST", POOLS, {"pool_id": "x", "selector": {"labels": {"": "a"}}}, 400, "INVALID_FIELDS"),
    ("POST", POOLS, {"pool_id": "default", "selector": SELECTOR}, 400, "DEFAULT_POOL"),
    ("POST", POOLS, {"pool_id": "default"}, 409, "POOL_EXISTS"),
    *(
        ("POST", POOLS, {"pool_id": "x", "selector": SELECTOR, **more}, 400, why)
        for more, why in (
            ({"overcommit": {"cpu_ratio": 0.5}}, "INVALID_FIELDS"),
            ({"overcommit": {"cpu_ratio": -1}}, "INVALID_FIELDS"),
            ({"overcommit": {"cpu_ratio": "NaN"}}, "INVALID_FIELDS"),
            ({"overcommit": {"memory_ratio": "Infinity"}}, "INVALID_FIELDS"),
            ({"overcommit": {"memory_ratio": 4.1}}, "INVALID_FIELDS"),
            ({"priority": 1001}, "INVALID_FIELDS"),
            ({"priority": 1 << 40}, "INVALID_FIELD_VALUE"),
            ({"allowed_projects": ["nobodys"]}, "PROJECT_NOT_FOUND"),
            ({"allowed_projects": ["default", "default"]}, "INVALID_FIELDS"),
        )
    ),
    ("PATCH", f"{POOLS}/no", {"description": "x"}, 404, "POOL_NOT_FOUND"),
    ("PATCH", f"{POOLS}/default", {"selector": SELECTOR}, 400, "DEFAULT_POOL"),
    ("PATCH", f"{POOLS}/default?update_mask=capacity", {}, 400, "FIELD_NOT_CHANGEABLE"),
    ("GET", f"{POOLS}/no", {}, 404, "POOL_NOT_FOUND"),
    ("GET", f"{POOLS}?page_size=-1", {}, 400, "INVALID_FIELDS"),
    ("DELETE", f"{POOLS}/no", {}, 404, "POOL_NOT_FOUND"),
    ("DELETE", f"{POOLS}/default", {}, 400, "DEFAULT_POOL"),
]


def reason(answer: Any) -> str:
    return str(answer.json()["details"][0]["reason"])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("verb", "path", "body", "status", "why"), BAD)
async def test_bad_input_is_refused_by_name(
    server: Cluster, verb: str, path: str, body: dict[str, Any], status: int, why: str
):
    given = {"json": body} if verb in ("POST", "PATCH") else {}
    async with server.rest() as rest:
        answer = await rest.request(verb, path, **given)
        assert (answer.status_code, reason(answer)) == (status, why), answer.text
        listed = (await rest.get(POOLS)).json()["pools"]
        assert [one["pool_id"] for one in listed] == ["default"]


async def test_jobs_go_to_pools_that_let_them_in(any_cluster: Cluster):
    await any_cluster.key_for("vi", "vision", "DEVELOPER")
    h100 = {
        "pool_id": "h100",
        "selector": {"gpu_types": ["H100"]},
        "allowed_projects": ["vision"],
    }

    async def submit(rest: httpx.AsyncClient, **said: Any) -> httpx.Response:
        return await rest.post("/v1/jobs", json={"command": ["true"], **said})

    async with any_cluster.rest() as rest:
        assert (await rest.post(POOLS, json=h100)).status_code == 200
        for said, status, why in (
            ({"pool": "h100"}, 403, "POOL_NOT_ALLOWED"),
            ({"pool": "gone"}, 400, "POOL_NOT_FOUND"),
            ({"pool": "No!"}, 400, "INVALID_FIELDS"),
            ({}, 400, "UNSATISFIABLE_RESOURCES"),
            ({"pool": "default", "project": "vision"}, 400, "UNSATISFIABLE_RESOURCES"),
        ):
            refused = await submit(rest, **said)
            assert (refused.status_code, reason(refused)) == (status, why), refused.text
        for said in ({"pool": "h100"}, {}):
            made = (await submit(rest, project="vision", **said)).json()
            assert made["pool"] == said.get("pool", "")
            _, end = await any_cluster.follow(made["job_id"])
            assert end.exit_code == 0
        part = {"project": "vision", "constraints": {"pool": "h100"}, "ttl": "60s"}
        assert (await rest.post("/v1/resources/allocate", json=part)).status_code == 200
        part["project"] = "default"
        refused = await rest.post("/v1/resources/allocate", json=part)
        assert (refused.status_code, reason(refused)) == (403, "POOL_NOT_ALLOWED")


async def test_a_pool_shows_what_its_nodes_do(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        body = {"pool_id": "h100", "selector": {"gpu_types": ["h100"]}}
        made = await rest.post(POOLS, json=body)
        assert made.json()["capacity"]["gpu_count"] == 8, made.text
        job = await any_cluster.submit("sh", "-c", "echo on; sleep 60", resources={"gpu_count": 2})
        await any_cluster.wait_for_output(job.job_id, "on")
        # Its output may be here before its node's word that it runs.
        async with asyncio.timeout(30):
            while (await rest.get(f"/v1/jobs/{job.job_id}")).json()["status"] != "RUNNING":
                pass
        pools = {one["pool_id"]: one for one in (await rest.get(POOLS)).json()["pools"]}
        big = pools["h100"]
        assert (big["job_counts"], big["node_counts"]) == ({"RUNNING": 1}, {"READY": 1})
        assert (big["allocated"]["gpu_count"], big["available"]["gpu_count"]) == (2, 6)
        assert big["utilization"]["gpu_allocated"] == 0.25
        assert pools["default"]["capacity"]["gpu_count"] == 0
        (node,) = (await rest.get("/v1/resources/nodes", params={"pool": "h100"})).json()["nodes"]
        assert (node["pool_id"], node["allocatable"]) == ("h100", node["capacity"])
        await rest.patch(f"/v1/jobs/{job.job_id}/status", json={"action": "CANCEL"})
