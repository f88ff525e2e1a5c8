"""A job of several nodes, with real agents and tasks that talk to each other."""

import asyncio
import sys
from collections import Counter

import pytest

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2

# Rank 0 gathers the names of the others, as a training job does, and tells them all how many there are.
# Each line is written at once, so that no other rank's is within it.
GATHER = """
import os, socket, sys
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
assert os.environ["WINDLASS_RANK"] == os.environ["WINDLASS_NODE_RANK"] == str(rank)
assert os.environ["WINDLASS_WORLD_SIZE"] == os.environ["WINDLASS_NODES"] == str(size)
assert os.environ["WINDLASS_HOSTS"].split(",")[0] == place[0]
if rank == 0:
    with socket.create_server(place) as server:
        names = ["rank 0"]
        others = [server.accept()[0] for _ in range(size - 1)]
        names += [one.makefile().readline().strip() for one in others]
        for one in others:
            one.sendall(f"{len(names)}\\n".encode())
    sys.stdout.write(f"gathered {' and '.join(sorted(names))}\\n")
else:
    while True:
        try:
            server = socket.create_connection(place)
            break
        except ConnectionRefusedError:
            pass
    server.sendall(f"rank {rank}\\n".encode())
    sys.stdout.write(f"rank {rank} of {server.makefile().readline().strip()}\\n")
"""
# The second fails once it has met the first, which would wait for ever.
ONE_FAILS = """
import os, signal, socket, sys
place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])

def stopped(number, frame):
    print("rank 0 was stopped")
    sys.exit(0)

if os.environ["RANK"] == "0":
    signal.signal(signal.SIGTERM, stopped)
    with socket.create_server(place) as server:
        other, _ = server.accept()
        other.sendall(b"hello")
        signal.pause()
while True:
    try:
        assert socket.create_connection(place).recv(5) == b"hello"
        sys.exit(7)
    except ConnectionRefusedError:
        pass
"""
STAYS = """
exec 2>/dev/null  # where the shell tells that its sleep was ended
trap 'exit 85' TERM
echo "attempt $WINDLASS_ATTEMPT of rank $WINDLASS_RANK"
[ "$WINDLASS_ATTEMPT" = 1 ] || exit 0
while :; do sleep 0.05; done
"""


def ranks_of(job: job_pb2.Job) -> list[str]:
    return [placement.node_id for placement in job.placements]


async def test_its_ranks_find_each_other_and_it_ends_when_all_have(any_cluster: Cluster):
    async with any_cluster.another_agent("other"):
        job = await any_cluster.submit(
            sys.executable, "-c", GATHER, nodes=2, resources={"gpu_count": 8}
        )
        text, end = await any_cluster.follow(job.job_id)
        job = await any_cluster.get(job.job_id)
    assert sorted(text.splitlines()) == ["gathered rank 0 and rank 1", "rank 1 of 2"]
    assert end.status == job.status == job_pb2.Job.SUCCEEDED
    assert len(set(ranks_of(job))) == 2
    assert {len(placement.gpu_uuids) for placement in job.placements} == {8}


async def test_each_of_its_nodes_can_give_it_a_share_of_a_gpu(cluster: Cluster):
    async with cluster.another_agent("other"), cluster.rest() as rest:
        await rest.patch(
            "/v1/resources/pools/default",
            json={"sharing": {"enabled": True, "max_jobs_per_gpu": 2}},
        )
        job = await cluster.submit(
            "sh", "-c", "echo $CUDA_VISIBLE_DEVICES", nodes=2, resources={"gpu_millis": 500}
        )
        text, end = await cluster.follow(job.job_id)
        job = await cluster.get(job.job_id)
    assert end.status == job_pb2.Job.SUCCEEDED
    given = [uuid for placement in job.placements for uuid in placement.gpu_uuids]
    assert len(given) == 2
    assert sorted(text.split()) == sorted(given)


async def test_the_first_rank_that_fails_ends_the_others(cluster: Cluster):
    async with cluster.another_agent("other"):
        job = await cluster.submit(sys.executable, "-c", ONE_FAILS, nodes=2)
        text, end = await cluster.follow(job.job_id)
    assert text == "rank 0 was stopped\n"
    assert (end.status, end.exit_code) == (job_pb2.Job.FAILED, 7)
    job = await cluster.get(job.job_id)
    assert job.status_reason == "NONZERO_EXIT"
    assert job.status_message.startswith(f"rank 1 on node {job.placements[1].node_id}:")


async def test_a_cancel_stops_every_rank(cluster: Cluster):
    async with cluster.another_agent("other"), cluster.rest() as rest:
        job = await cluster.submit("sh", "-c", STAYS, nodes=2)
        for rank in range(2):
            await cluster.wait_for_output(job.job_id, f"attempt 1 of rank {rank}")
        await rest.patch(f"/v1/jobs/{job.job_id}/status", json={"action": "CANCEL"})
        _, end = await cluster.follow(job.job_id)
        assert end.status == job_pb2.Job.CANCELLED
        nodes = (await rest.get("/v1/resources/nodes")).json()["nodes"]
        assert [node["runs"] for node in nodes] == [[], []]


async def test_the_drain_of_one_node_queues_all_of_it_again(cluster: Cluster):
    async with cluster.another_agent("other"), cluster.rest() as rest:
        job = await cluster.submit("sh", "-c", STAYS, nodes=2)
        for rank in range(2):
            await cluster.wait_for_output(job.job_id, f"attempt 1 of rank {rank}")
        node_id = (await cluster.get(job.job_id)).placements[1].node_id
        drain = f"/v1/resources/nodes/{node_id}/drain"
        await rest.put(drain, json={"mode": "CHECKPOINT_REQUEUE"})
        async with asyncio.timeout(30):
            while (job := await cluster.get(job.job_id)).status != job_pb2.Job.QUEUED:
                pass
        await rest.put(f"/v1/resources/nodes/{node_id}/uncordon", json={})
        text, end = await cluster.follow(job.job_id)
    assert end.status == job_pb2.Job.SUCCEEDED
    lines = [f"attempt {attempt} of rank {rank}" for attempt in (1, 2) for rank in range(2)]
    assert Counter(text.splitlines()) == Counter(lines)


async def test_what_cannot_be_on_so_many_nodes_is_refused_or_waits(cluster: Cluster):
    async with cluster.rest() as rest:
        cases = [
            ({"nodes": 2}, 400, "nodes"),
            ({"nodes": 2, "min_nodes": 1}, 200, ""),
            ({"nodes": 2, "resources": {"gpu_count": 9}}, 400, "gpu_count"),
        ]
        for fields, code, dimension in cases:
            answer = await rest.post("/v1/jobs", json={"command": ["true"], **fields})
            assert answer.status_code == code, answer.text
            if dimension:
                assert answer.json()["details"][0]["metadata"]["dimension"] == dimension


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"nodes": -1}, "job.nodes"),
        ({"nodes": 513}, "job.nodes"),
        ({"nodes": 2, "min_nodes": 3}, "job"),
        ({"min_nodes": 2}, "job"),
        ({"nodes": 2, "topology": {"required": "NVLINK"}}, "job"),
        ({"nodes": 2, "topology": {"required": "NODE"}}, "job"),
        ({"nodes": 2, "topology": {"preferred": "NODE"}}, "job"),
        ({"nodes": 2, "topology": {"required": "RACK", "preferred": "BLOCK"}}, "job.topology"),
        ({"nodes": 2, "topology": {"near_allocation_id": "a"}}, "job.topology"),
        ({"nodes": 2, "resources": {"mig_profile": "1g.10gb"}}, "job"),
        ({"nodes": 2, "environment": {"variables": {"WINDLASS_RANK": "1"}}}, "job.environment"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_bad_numbers_of_nodes_are_refused_by_name(server: Cluster, fields, named):
    async with server.rest() as rest:
        answer = await rest.post("/v1/jobs", json={"command": ["true"], **fields})
    assert answer.status_code == 400, answer.text
    (bad,) = (one for one in answer.json()["details"] if one["@type"].endswith("BadRequest"))
    assert all(one["field"].startswith(named) for one in bad["field_violations"])
