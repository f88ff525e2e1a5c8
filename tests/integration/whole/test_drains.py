"""Many nodes are emptied a few at a time, with real agents and tasks, over REST."""

import asyncio
from typing import Any

import pytest

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2

NODES, DRAINS = "/v1/resources/nodes", "/v1/resources/drains"
# Stays until it is told to leave; later attempts end by themselves.
MOVES = """
exec 2>/dev/null  # where the shell tells that its sleep was ended
trap 'exit 85' TERM
echo "attempt $WINDLASS_ATTEMPT"
[ "$WINDLASS_ATTEMPT" = 1 ] || exit 0
while :; do sleep 0.05; done
"""


async def until(cluster: Cluster, drain_id: str, status: str) -> dict[str, Any]:
    """The drain, once it has this status; no two nodes are ever closed by it before."""
    async with asyncio.timeout(60), cluster.rest() as rest:
        while True:
            drain = (await rest.get(f"{DRAINS}/{drain_id}")).json()
            assert [node["state"] for node in drain["nodes"]].count("DRAINING") <= 1
            if drain["status"] == status:
                return dict(drain)


async def test_a_job_moves_on_while_its_nodes_are_emptied_one_by_one(any_cluster: Cluster):
    job = await any_cluster.submit("sh", "-c", MOVES)
    await any_cluster.wait_for_output(job.job_id, "attempt 1")
    first = (await any_cluster.get(job.job_id)).placement.node_id
    async with any_cluster.another_agent("other"), any_cluster.rest() as rest:
        nodes = [one["node_id"] for one in (await rest.get(NODES)).json()["nodes"]]
        nodes.sort(key=lambda node_id: node_id != first)
        body = {"node_ids": nodes, "mode": "CHECKPOINT_REQUEUE", "reason": "kernel"}
        answer = await rest.post(f"{NODES}:drain", json=body)
        assert answer.status_code == 200, answer.text
        begun = answer.json()
        assert (begun["status"], begun["waiting_count"]) == ("RUNNING", 1)
        assert begun["nodes"][0]["state"] == "DRAINING"

        done = await until(any_cluster, begun["drain_id"], "COMPLETED")
        assert [node["state"] for node in done["nodes"]] == ["DRAINED", "DRAINED"]
        listed = (await rest.get(DRAINS)).json()["drains"]
        assert [(one["drain_id"], one["nodes"]) for one in listed] == [(begun["drain_id"], [])]
        for node_id in nodes:
            await rest.put(f"{NODES}/{node_id}/uncordon", json={})
        text, end = await any_cluster.follow(job.job_id)
    assert end.status == job_pb2.Job.SUCCEEDED
    # Perhaps it had just come to the other node when that had its turn.
    assert text.startswith("attempt 1\n")
    assert (await any_cluster.get(job.job_id)).attempt in (2, 3)


async def test_a_drain_goes_on_behind_a_restart_of_the_server(cluster: Cluster):
    job = await cluster.submit("sh", "-c", MOVES)
    await cluster.wait_for_output(job.job_id, "attempt 1")
    async with cluster.rest() as rest:
        (node,) = (await rest.get(NODES)).json()["nodes"]
        begun = (await rest.post(f"{NODES}:drain", json={"node_ids": [node["node_id"]]})).json()
    assert cluster.server is not None
    await cluster.server.kill()
    await cluster.start_server()
    async with cluster.rest() as rest:
        still = (await rest.get(f"{DRAINS}/{begun['drain_id']}")).json()
        assert (still["status"], still["nodes"][0]["runs_left"]) == ("RUNNING", 1)
        await rest.patch(f"/v1/jobs/{job.job_id}/status", json={"action": "CANCEL"})
    await until(cluster, begun["drain_id"], "COMPLETED")


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        ({}, 400, "NODES_NOT_NAMED"),
        ({"selector": {"zone": "a"}, "node_ids": ["node-1"]}, 400, "NODES_NOT_NAMED"),
        ({"selector": {"zone": "nowhere"}}, 400, "NO_NODE_SELECTED"),
        ({"selector": {}}, 400, "INVALID_FIELDS"),
        ({"selector": {"all": False}}, 400, "INVALID_FIELDS"),
        ({"selector": {"all": True, "zone": "a"}}, 400, "INVALID_FIELDS"),
        ({"selector": {"all": True}}, 400, "NO_NODE_SELECTED"),
        ({"selector": {"labels": ["no value"]}}, 400, "INVALID_FIELDS"),
        ({"node_ids": ["node-1", "node-1"]}, 400, "INVALID_FIELDS"),
        ({"node_ids": [""]}, 400, "INVALID_FIELDS"),
        ({"node_ids": ["node-1"], "max_unavailable": -1}, 400, "INVALID_FIELDS"),
        ({"node_ids": ["node-1"], "max_unavailable": 10**12}, 400, "INVALID_FIELD_VALUE"),
        ({"node_ids": ["node-1"], "mode": "GENTLY"}, 400, "INVALID_FIELD_VALUE"),
        ({"node_ids": ["node-1"], "deadline": "-1s"}, 400, "INVALID_FIELDS"),
        ({"node_ids": ["node-1"], "afterwards": 9}, 400, "INVALID_FIELDS"),
        ({"node_ids": ["node-1"], "reason": "a\nb"}, 400, "INVALID_FIELDS"),
        ({"node_ids": ["node-1"]}, 404, "NODE_NOT_FOUND"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_bad_drain_is_refused_by_name(
    server: Cluster, body: dict[str, Any], code: int, reason: str
):
    async with server.rest() as rest:
        answer = await rest.post(f"{NODES}:drain", json=body)
    assert answer.status_code == code, answer.text
    assert answer.json()["details"][0]["reason"] == reason


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unknown_drain_is_not_found(server: Cluster):
    async with server.rest() as rest:
        for answer in (
            await rest.get(f"{DRAINS}/drain-no"),
            await rest.post(f"{DRAINS}/drain-no:cancel", json={}),
        ):
            assert answer.status_code == 404
            assert answer.json()["details"][0]["reason"] == "DRAIN_NOT_FOUND"
        bad = await rest.get(DRAINS, params={"page_token": "forged"})
        assert bad.status_code == 400
