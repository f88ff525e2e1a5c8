"""What a task saves is there for its next attempt, on whatever node and whoever died meanwhile."""

import asyncio
import io
import os
import shutil
import signal
import tarfile
from typing import Any

from tests.support.cluster import Cluster, living_shims
from tests.support.s3 import BUCKET, keys, s3_server, s3_variables
from windlass.jobs.v1 import job_pb2
from windlass_agent import rundir
from windlass_agent.inotify import IN_MOVED_TO, Inotify

# Counts its attempts in its checkpoint; is told to leave, or asks to be run again by itself.
COUNTS = """
exec 2>/dev/null  # where the shell tells that its sleep was ended
n=$(cat "$WINDLASS_RESTORE_FROM/deep/count" || echo 0)
echo "attempt $WINDLASS_ATTEMPT found $n"
[ "$n" -lt "$1" ] || exit 0
save() {
  mkdir -p "$WINDLASS_CHECKPOINT_DIR/deep"
  echo $((n + 1)) > "$WINDLASS_CHECKPOINT_DIR/deep/count"
  exit 85
}
trap save TERM
[ "$2" = stays ] || { sleep "$2"; save; }
while :; do sleep 0.05; done
"""


def counting(until: int, how: str = "0") -> tuple[str, ...]:
    return ("sh", "-c", COUNTS, "count", str(until), how)


async def nodes(cluster: Cluster) -> list[dict[str, Any]]:
    async with cluster.rest() as rest:
        return list((await rest.get("/v1/resources/nodes")).json()["nodes"])


async def order(cluster: Cluster, node_id: str, verb: str, **body: str) -> None:
    async with cluster.rest() as rest:
        answer = await rest.put(f"/v1/resources/nodes/{node_id}/{verb}", json=body)
    assert answer.status_code == 200, answer.text


async def events(cluster: Cluster, job_id: str) -> list[dict[str, Any]]:
    async with cluster.rest() as rest:
        return list((await rest.get(f"/v1/jobs/{job_id}/events")).json()["events"])


async def task_ended(cluster: Cluster) -> None:
    """Return when the node's only task has ended, whoever may know of it."""
    (folder,) = (cluster.directory / "agent" / "runs").glob("run-*")
    moved, inotify = asyncio.Event(), Inotify()
    inotify.watch(folder, IN_MOVED_TO, lambda _: moved.set())
    async with asyncio.timeout(30):
        while rundir.read_result(folder) is None:
            await moved.wait()
            moved.clear()
    inotify.close()


async def test_a_drained_job_goes_on_on_another_node_with_what_it_saved(any_cluster: Cluster):
    job = await any_cluster.submit(*counting(1, "stays"))
    await any_cluster.wait_for_output(job.job_id, "attempt 1 found 0")
    first = (await any_cluster.get(job.job_id)).placement.node_id
    async with any_cluster.another_agent("other"):
        await order(any_cluster, first, "drain", mode="CHECKPOINT_REQUEUE", reason="kernel")
        text, end = await any_cluster.follow(job.job_id)

    assert (end.status, text) == (
        job_pb2.Job.SUCCEEDED,
        "attempt 1 found 0\nattempt 2 found 1\n",
    )
    done = await any_cluster.get(job.job_id)
    assert done.placement.node_id != first
    saved = done.checkpoint
    assert (saved.attempt, saved.size_bytes, saved.entry_count) == (1, len("1\n"), 2)
    assert saved.create_time.seconds > 0
    reasons = [event["reason"] for event in await events(any_cluster, job.job_id)]
    assert reasons.index("CHECKPOINT_SAVED") < reasons.index("EVICTED")


async def test_what_a_task_saved_while_its_agent_was_dead_is_kept(cluster: Cluster):
    job = await cluster.submit(*counting(1, "1"))
    await cluster.wait_for_output(job.job_id, "attempt 1 found 0")
    assert cluster.agent is not None
    await cluster.agent.kill()
    await task_ended(cluster)
    await cluster.start_agent()
    text, _ = await cluster.follow(job.job_id)
    assert text == "attempt 1 found 0\nattempt 2 found 1\n"


async def test_a_job_does_not_go_on_before_the_server_has_what_it_saved(cluster: Cluster):
    job = await cluster.submit(*counting(1, "1"))
    await cluster.wait_for_output(job.job_id, "attempt 1 found 0")
    assert cluster.server is not None
    await cluster.server.kill()
    await task_ended(cluster)
    await cluster.start_server()
    text, _ = await cluster.follow(job.job_id)
    assert text == "attempt 1 found 0\nattempt 2 found 1\n"


async def test_each_attempt_finds_what_the_one_before_has_saved(cluster: Cluster):
    job = await cluster.submit(*counting(3))
    text, end = await cluster.follow(job.job_id)
    assert end.status == job_pb2.Job.SUCCEEDED
    assert text == "".join(f"attempt {n + 1} found {n}\n" for n in range(4))
    assert (await cluster.get(job.job_id)).checkpoint.attempt == 3


async def test_a_checkpoint_that_is_too_large_is_named_and_the_job_goes_on_without(tmp_path):
    cluster = Cluster(tmp_path, environment={"WINDLASS_CHECKPOINT_MAX_BYTES": "1"})
    try:
        await cluster.start_server()
        await cluster.start_agent()
        job = await cluster.submit(
            "sh",
            "-c",
            'echo 12 > "$WINDLASS_CHECKPOINT_DIR/state"; ls "$WINDLASS_RESTORE_FROM";'
            '[ "$WINDLASS_ATTEMPT" = 2 ] || exit 85',
        )
        _, end = await cluster.follow(job.job_id)
        assert end.status == job_pb2.Job.SUCCEEDED
        (lost,) = [
            event
            for event in await events(cluster, job.job_id)
            if event["reason"] == "CHECKPOINT_NOT_SAVED"
        ]
        assert "CHECKPOINT_TOO_LARGE" in lost["message"]
        assert "3 bytes" in lost["message"]
        assert not (await cluster.get(job.job_id)).HasField("checkpoint")
    finally:
        await cluster.stop()


async def downloaded(cluster: Cluster, job_id: str) -> dict[str, bytes]:
    """What is in the tar file of the job's only checkpoint, as anybody takes it away over HTTP."""
    async with cluster.rest() as rest:
        (one,) = (await rest.get(f"/v1/jobs/{job_id}/checkpoints")).json()["checkpoints"]
        assert (one["state"], one["size_bytes"], one["attempt"]) == ("SAVED", "7", 1)
        path = f"/v1/jobs/{job_id}/checkpoints/{one['checkpoint_id']}:download"
        answer = await rest.get(path)
        part = await rest.get(path, headers={"range": "bytes=512-518"})
    assert answer.headers["content-type"] == "application/x-tar"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert f'filename="{one["checkpoint_id"]}.tar"' in answer.headers["content-disposition"]
    assert (part.status_code, part.content) == (206, answer.content[512:519])
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


SAVES_ON_THE_WAY = """
cat "$WINDLASS_RESTORE_FROM/state" 2>/dev/null && exit 0
cd "$WINDLASS_CHECKPOINT_DIR"
echo step 7 > state; touch .save
while [ -e .save ]; do sleep 0.05; done
echo saved; echo step 8 > state
while :; do sleep 0.05; done
"""


async def test_what_was_saved_on_the_way_outlives_the_nodes_disk(cluster: Cluster):
    job = await cluster.submit("sh", "-c", SAVES_ON_THE_WAY)
    await cluster.wait_for_output(job.job_id, "saved")
    assert (await cluster.get(job.job_id)).checkpoint.attempt == 1
    assert await downloaded(cluster, job.job_id) == {"state": b"step 7\n"}
    assert cluster.agent is not None
    await cluster.agent.kill()
    for shim in living_shims(cluster.directory / "agent"):
        os.kill(shim, signal.SIGKILL)
    shutil.rmtree(cluster.directory / "agent" / "runs")
    await cluster.start_agent()
    text, end = await cluster.follow(job.job_id)
    assert end.status == job_pb2.Job.SUCCEEDED
    assert text.endswith("step 7\n")


async def test_checkpoints_can_be_kept_on_s3(tmp_path):
    with s3_server() as endpoint:
        environment = s3_variables(endpoint) | {"WINDLASS_OBJECTS_URL": f"s3://{BUCKET}/windlass"}
        cluster = Cluster(tmp_path, environment=environment)
        try:
            await cluster.start_server()
            await cluster.start_agent()
            job = await cluster.submit(*counting(2))
            text, _ = await cluster.follow(job.job_id)
            assert text == "".join(f"attempt {n + 1} found {n}\n" for n in range(3))
            assert any(key.startswith("windlass/checkpoints/") for key in keys(endpoint))
            assert not (tmp_path / "data" / "objects").exists()
        finally:
            await cluster.stop()
