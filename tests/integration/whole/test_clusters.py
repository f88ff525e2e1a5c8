"""Clusters, node filters and the end of nodes, over REST and gRPC, in real processes."""

from typing import Any

import grpc
import pytest
from grpc import aio

from tests.support.cluster import Cluster
from windlass.resources.v1 import cluster_pb2, resources_service_pb2, resources_service_pb2_grpc

CLUSTERS, NODES = "/v1/resources/clusters", "/v1/resources/nodes"


def stub(server: Cluster) -> Any:
    return resources_service_pb2_grpc.ResourcesServiceStub(server.channel)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cluster_lives_over_rest_and_reads_alike_over_grpc(server: Cluster):
    async with server.rest() as rest:
        made = await rest.post(CLUSTERS, json={"cluster_id": "east", "description": "hall"})
        assert made.status_code == 200, made.text
        assert (made.json()["kind"], made.json()["node_count"]) == ("LOCAL", 0)
        path = f"{CLUSTERS}/east"
        assert (await rest.get(path)).json() == made.json()
        request = resources_service_pb2.GetClusterRequest(cluster_id="east")
        read = await stub(server).GetCluster(request, metadata=server.metadata)
        assert (read.cluster_id, read.description, read.kind) == (
            "east",
            "hall",
            cluster_pb2.Cluster.LOCAL,
        )

        changed = await rest.patch(path, json={"description": "other", "etag": read.etag})
        assert (changed.json()["description"], changed.json()["etag"]) == ("other", "2")
        emptied = await rest.patch(path, params={"update_mask": "description"}, json={})
        assert emptied.json()["description"] == ""
        stale = await rest.patch(path, json={"description": "x", "etag": read.etag})
        assert (stale.status_code, reason(stale)) == (409, "ETAG_MISMATCH")

        token = await rest.post("/v1/resources/joinTokens", json={"cluster": "east"})
        assert token.json()["cluster"] == "east"
        listed = (await rest.get(CLUSTERS)).json()["clusters"]
        assert [one["cluster_id"] for one in listed] == ["default", "east"]
        gone = await rest.delete(path, params={"etag": emptied.json()["etag"]})
        assert gone.json()["cluster_id"] == "east"
        assert (await rest.get(path)).status_code == 404


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", CLUSTERS, {"json": {}}, 400, "INVALID_FIELDS"),
    ("POST", CLUSTERS, {"json": {"cluster_id": "East"}}, 400, "INVALID_FIELDS"),
    ("POST", CLUSTERS, {"json": {"cluster_id": "-"}}, 400, "INVALID_FIELDS"),
    ("POST", CLUSTERS, {"json": {"cluster_id": "a" * 64}}, 400, "INVALID_FIELDS"),
    ("POST", CLUSTERS, {"json": {"cluster_id": "a", "kind": "REMOTE"}}, 400, "ENDPOINT_INVALID"),
    ("POST", CLUSTERS, {"json": {"cluster_id": "default"}}, 409, "CLUSTER_EXISTS"),
    ("POST", CLUSTERS, {"json": {"cluster_id": "a", "description": "\0"}}, 400, "INVALID_FIELDS"),
    ("GET", f"{CLUSTERS}/no", {}, 404, "CLUSTER_NOT_FOUND"),
    ("PATCH", f"{CLUSTERS}/no", {"json": {"description": "x"}}, 404, "CLUSTER_NOT_FOUND"),
    (
        "PATCH",
        f"{CLUSTERS}/default",
        {"json": {}, "params": {"update_mask": "kind"}},
        400,
        "FIELD_NOT_CHANGEABLE",
    ),
    ("DELETE", f"{CLUSTERS}/no", {}, 404, "CLUSTER_NOT_FOUND"),
    ("DELETE", f"{CLUSTERS}/default", {}, 400, "DEFAULT_CLUSTER"),
    ("DELETE", f"{CLUSTERS}/default?etag=9", {}, 409, "ETAG_MISMATCH"),
    ("GET", f"{CLUSTERS}?page_token=x", {}, 400, "PAGE_TOKEN_INVALID"),
    ("POST", "/v1/resources/joinTokens", {"json": {"cluster": "no"}}, 404, "CLUSTER_NOT_FOUND"),
    ("DELETE", f"{NODES}/no", {}, 404, "NODE_NOT_FOUND"),
    ("DELETE", f"{NODES}/no?force=perhaps", {}, 400, "INVALID_FIELD_VALUE"),
    ("GET", f"{NODES}?labels=norack", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{NODES}?labels==x", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{NODES}?cluster=No", {}, 400, "INVALID_FIELDS"),
    ("GET", f"{NODES}?zone=%00", {}, 400, "INVALID_FIELDS"),
]


def reason(answer: Any) -> str:
    return str(answer.json()["details"][0]["reason"])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("verb", "path", "given", "status", "why"), BAD)
async def test_bad_input_is_refused_by_name(
    server: Cluster, verb: str, path: str, given: dict[str, Any], status: int, why: str
):
    async with server.rest() as rest:
        answer = await rest.request(verb, path, **given)
        assert (answer.status_code, reason(answer)) == (status, why), answer.text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "query",
    ["cluster=nowhere", "zone=z9", "labels=a=1&labels=a=2", "gpu_type=H900", "labels=%25_=%5C"],
)
async def test_what_no_node_is_like_gives_an_empty_list(server: Cluster, query: str):
    async with server.rest() as rest:
        answer = await rest.get(f"{NODES}?{query}")
        assert (answer.status_code, answer.json()["nodes"]) == (200, [])


async def test_a_machine_that_is_gone_is_removed_and_its_key_refused(any_cluster: Cluster):
    assert any_cluster.agent is not None
    async with any_cluster.rest() as rest:
        (node,) = (await rest.get(NODES, params={"cluster": "default"})).json()["nodes"]
        path = f"{NODES}/{node['node_id']}"
        refused = await rest.delete(path)
        assert (refused.status_code, reason(refused)) == (400, "NODE_CONNECTED")
        job = await any_cluster.submit("true")
        await any_cluster.follow(job.job_id)

        await any_cluster.agent.kill()
        while (await rest.get(path)).json()["status"] != "UNREACHABLE":
            pass
        assert (await rest.delete(path)).json()["node_id"] == node["node_id"]
        assert (await rest.get(path)).status_code == 404
        assert (await rest.get(NODES)).json()["nodes"] == []
        done = (await rest.get(f"/v1/jobs/{job.job_id}")).json()
        assert (done["status"], done["placement"]["node_id"]) == ("SUCCEEDED", node["node_id"])
    await any_cluster.start_agent(until="refuses this node.*UNAUTHENTICATED: the node is not known")


@pytest.mark.asyncio(loop_scope="module")
async def test_who_may_not_is_told_so(server: Cluster):
    key = await server.key_for("vi", "default", "VIEWER")
    metadata = (("authorization", f"Bearer {key}"),)
    listed = await stub(server).ListClusters(
        resources_service_pb2.ListClustersRequest(), metadata=metadata
    )
    assert [one.cluster_id for one in listed.clusters] == ["default"]
    wanted = cluster_pb2.Cluster(cluster_id="mine")
    request = resources_service_pb2.CreateClusterRequest(cluster=wanted)
    with pytest.raises(aio.AioRpcError) as refused:
        await stub(server).CreateCluster(request, metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
