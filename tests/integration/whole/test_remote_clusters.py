"""Other installations as clusters, over REST and gRPC: what is accepted reads, what is not is named."""

import itertools
from typing import Any

import pytest

from tests.support.cluster import Cluster
from windlass.resources.v1 import resources_service_pb2, resources_service_pb2_grpc

CLUSTERS = "/v1/resources/clusters"
NAMES = (f"remote-{number}" for number in itertools.count())
# Nobody answers there: what is kept and shown does not depend on it.
GOOD: dict[str, Any] = {"endpoint": "127.0.0.1:1", "api_key": "wlk_x"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"endpoint": "https://west.example:443", "server_name": "a_b.c-d"},
        {"spill_over_after": "0s"},
        {"spill_over_after": "2592000s", "affinity": {}},
        {
            "affinity": {
                "labels": {"a/b._-c": "ünï=\u2028 👩‍👧 %_'\""},
                "gpu_types": ["H100", "a.b-c"],
            }
        },
        {"weight": 1000, "max_jobs": 1000, "projects": ["a", "b-c"], "paused": True},
        {"project": "a" * 63},
    ],
)
async def test_whatever_is_accepted_reads_alike_everywhere(
    server: Cluster, settings: dict[str, Any]
):
    name = next(NAMES)
    said = GOOD | settings
    async with server.rest() as rest:
        body = {"cluster_id": name, "kind": "REMOTE", "remote": said, "remote_status": {"state": 1}}
        made = await rest.post(CLUSTERS, json=body)
        assert made.status_code == 200, made.text
        read = (await rest.get(f"{CLUSTERS}/{name}")).json()
        listed = (await rest.get(CLUSTERS, params={"page_size": 1000})).json()["clusters"]
        stub = resources_service_pb2_grpc.ResourcesServiceStub(server.channel)
        request = resources_service_pb2.GetClusterRequest(cluster_id=name)
        over_grpc = await stub.GetCluster(request, metadata=server.metadata)
        gone = (await rest.delete(f"{CLUSTERS}/{name}")).json()
    del said["api_key"]
    for shown in (made.json(), read, gone, *(one for one in listed if one["cluster_id"] == name)):
        kept = shown["remote"]
        assert kept["api_key"] == ""
        for key, value in said.items():
            assert kept[key] == value or (key == "affinity" and kept[key].items() >= value.items())
    assert dict(over_grpc.remote.affinity.labels) == settings.get("affinity", {}).get("labels", {})


def remote(**settings: Any) -> dict[str, Any]:
    return {"cluster_id": "bad", "kind": "REMOTE", "remote": GOOD | settings}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cluster_id": "bad", "kind": "REMOTE"}, "cluster.remote.endpoint"),
        ({"cluster_id": "bad", "remote": GOOD}, "cluster.remote"),
        ({"cluster_id": "bad", "kind": "MOON"}, "cluster.kind"),
        (remote(api_key=""), "cluster.remote.api_key"),
        (remote(api_key="a b"), "cluster.remote.api_key"),
        (remote(api_key="ключ"), "cluster.remote.api_key"),
        (remote(api_key="k" * 4097), "cluster.remote.api_key"),
        (remote(endpoint="nowhere"), "cluster.remote.endpoint"),
        (remote(endpoint="a b:1"), "cluster.remote.endpoint"),
        (remote(endpoint="x" * 301), "cluster.remote.endpoint"),
        (remote(endpoint="https://a:1", ca_certificates="x"), "cluster.remote.ca_certificates"),
        (remote(ca_certificates="x" * 65537), "cluster.remote.ca_certificates"),
        (remote(server_name="a b"), "cluster.remote.server_name"),
        (remote(project="No"), "cluster.remote.project"),
        (remote(spill_over_after="-1s"), "cluster.remote.spill_over_after"),
        (remote(spill_over_after="2592001s"), "cluster.remote.spill_over_after"),
        (remote(spill_over_after="soon"), "cluster.remote.spill_over_after"),
        (remote(affinity={"labels": {"": "x"}}), "cluster.remote.affinity.labels[]"),
        (remote(affinity={"labels": {"a": "\n"}}), "cluster.remote.affinity.labels[a]"),
        (remote(affinity={"gpu_types": [""]}), "cluster.remote.affinity.gpu_types[0]"),
        (remote(weight=1001), "cluster.remote.weight"),
        (remote(weight=-1), "cluster.remote.weight"),
        (remote(max_jobs=1001), "cluster.remote.max_jobs"),
        (remote(projects=["a", "a"]), "cluster.remote.projects"),
        (remote(projects=["-"]), "cluster.remote.projects[0]"),
        (remote(paused="perhaps"), "cluster.remote.paused"),
    ],
)
async def test_what_is_wrong_is_refused_by_its_field(
    server: Cluster, body: dict[str, Any], field: str
):
    async with server.rest() as rest:
        answer = await rest.post(CLUSTERS, json=body)
        assert answer.status_code == 400, answer.text
        named = [
            violation["field"]
            for detail in answer.json()["details"]
            for violation in detail.get("field_violations", ())
        ]
        assert field in named, named
        assert GOOD["api_key"] not in answer.text
        assert (await rest.get(f"{CLUSTERS}/bad")).status_code == 404


@pytest.mark.asyncio(loop_scope="module")
async def test_only_administrators_register_installations(server: Cluster):
    key = await server.key_for("dev", "vision", "ADMIN")
    async with server.rest(key) as rest:
        answer = await rest.post(CLUSTERS, json=remote())
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (
            403,
            "PERMISSION_DENIED",
        )
