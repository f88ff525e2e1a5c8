"""Parts of nodes are held over REST, seen on the node, and given back when nobody renews them."""

import asyncio
from typing import Any

import httpx

from tests.support.cluster import Cluster

HALF = {"resources": {"cpu_millis": 1000, "memory_bytes": "1073741824", "gpu_count": 4}}


async def gpus(rest: httpx.AsyncClient) -> list[dict[str, Any]]:
    (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
    assert node["available"]["gpu_count"] == sum(not gpu["allocation_id"] for gpu in node["gpus"])
    return list(node["gpus"])


async def test_an_allocation_is_seen_and_given_back(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        made = await rest.post("/v1/resources/allocate", json={**HALF, "ttl": "600s"})
        assert made.status_code == 200, made.text
        allocation = made.json()
        assert (allocation["status"], len(allocation["gpu_uuids"])) == ("ACTIVE", 4)
        assert int(allocation["fencing_token"]) > 0
        held = [gpu["uuid"] for gpu in await gpus(rest) if gpu["allocation_id"]]
        assert sorted(held) == allocation["gpu_uuids"]

        path = f"/v1/resources/allocations/{allocation['allocation_id']}"
        renewed = await rest.post(f"{path}:renew", json={"ttl": "900s"})
        assert renewed.json()["ttl"] == "900s"
        too_much = await rest.post("/v1/resources/allocate", json={"resources": {"gpu_count": 5}})
        assert too_much.status_code == 409
        assert too_much.json()["details"][0]["metadata"]["dimension"] == "gpu_count"
        never = await rest.post("/v1/resources/allocate", json={"resources": {"gpu_count": 9}})
        assert never.status_code == 400

        listed = await rest.get("/v1/resources/allocations", params={"status": "ACTIVE"})
        assert [one["allocation_id"] for one in listed.json()["allocations"]] == [
            allocation["allocation_id"]
        ]
        released = await rest.delete(path, params={"force": "false"})
        assert released.json()["status"] == "RELEASED"
        assert not any(gpu["allocation_id"] for gpu in await gpus(rest))


async def test_an_allocation_has_the_topology_that_it_asks_for(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        wanted = {
            "resources": {"gpu_count": 4},
            "constraints": {"topology": {"required": "nvlink"}},
        }
        made = await rest.post("/v1/resources/allocate", json=wanted)
        assert made.status_code == 200, made.text
        assert made.json()["topology_level"] == "NVLINK"
        devices = {gpu["uuid"]: set(gpu["nvlink_peers"]) for gpu in await gpus(rest)}
        held = set(made.json()["gpu_uuids"])
        assert all(held - {uuid} <= devices[uuid] for uuid in held)
        for topology, field in [
            ({"required": "NVLINK", "preferred": "RACK"}, "constraints.topology"),
            ({"near_allocation_id": made.json()["allocation_id"]}, "constraints.topology"),
            ({"required": "MOON"}, "constraints.topology.required"),
            ({"required": 9}, "constraints.topology.required"),
            ({"required": "NVLINK"}, "constraints.topology.required"),
        ]:
            asked = {"constraints": {"topology": topology}}
            refused = await rest.post("/v1/resources/allocate", json=asked)
            assert refused.status_code == 400, refused.text
            violations = refused.json()["details"][1]["field_violations"]
            assert [each["field"] for each in violations] == [field]
            assert all(each["description"] for each in violations)


async def test_the_allocation_of_a_dead_client_expires(cluster: Cluster):
    async with cluster.rest() as rest:
        await rest.post("/v1/resources/allocate", json={**HALF, "ttl": "1s"})
        assert any(gpu["allocation_id"] for gpu in await gpus(rest))
        async with asyncio.timeout(30):
            while any(gpu["allocation_id"] for gpu in await gpus(rest)):
                pass
        (allocation,) = (await rest.get("/v1/resources/allocations")).json()["allocations"]
    assert (allocation["status"], allocation["status_reason"]) == ("EXPIRED", "LEASE_EXPIRED")
