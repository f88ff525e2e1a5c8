"""The work with one remote cluster, whose answers the test makes up, on both engines."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tests.support.cluster_session import CUT, World
from tests.support.fake_remote import refusal
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1.remote_cluster_pb2 import RemoteStatus
from windlass_server.errors import WrongState
from windlass_server.federation.link import Calls, LinkDown
from windlass_server.hub import EventHub
from windlass_server.jobs.remote_rules import State
from windlass_server.objects.logs import LogStore
from windlass_server.resources.remote_clusters import RemoteCluster, RemoteClusters
from windlass_server.scheduler.snapshot import Demand
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")

Job = job_pb2.Job
BAD_KEY = refusal(grpc.StatusCode.UNAUTHENTICATED, "BAD_CREDENTIAL")


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    made = await World.start(database, tmp_path)
    yield made
    await made.session.close()
    await made.scheduled.logs.close()


async def settle(world: World) -> None:
    """Let the followers of logs come to their ends."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("log of")]
    await asyncio.gather(*tasks)


async def test_a_cluster_that_answers_is_connected_and_says_what_it_has(world: World):
    await world.cycle()
    assert await world.state() == ("CONNECTED", "it answers")
    (seen,) = await world.database.read(RemoteClusters().load)
    (node,) = seen.nodes
    assert (len(node.gpus), node.cpu_free, node.ready) == (8, 64_000, True)


async def test_whether_jobs_can_go_there_is_known_at_once(world: World):
    def states() -> list[str]:
        return [RemoteStatus.State.Name(one.state) for one in world.clusters.all]

    await world.cycle()
    assert states() == ["CONNECTED"]
    await world.silent()
    assert states() == ["UNREACHABLE"]


async def test_a_job_is_sent_in_its_words_for_the_project_and_with_its_origin(world: World):
    job_id = await world.hand_over(gpus=2)
    await world.cycle()
    (sent,) = world.remote.jobs.values()
    run = await world.run(job_id)
    assert (sent.project, list(sent.command), sent.resources.gpu_count) == ("guests", ["true"], 2)
    assert dict(sent.labels) == {"windlass.origin/run": run.run_id}
    assert (run.remote_job_id, run.state) == (sent.job_id, State.ACCEPTED)


@pytest.mark.parametrize("meanwhile", ["nothing", "another user", "another user and project"])
async def test_a_submission_whose_answer_was_lost_is_one_job(world: World, meanwhile: str):
    job_id = await world.hand_over()
    world.remote.loses["submit"] = CUT
    await world.cycle()
    assert (await world.run(job_id)).state == State.SUBMITTED
    del world.remote.loses["submit"]
    if meanwhile == "another user":
        # Its request ids are its own, so only the label finds the job.
        world.remote.user = "somebody"
    if meanwhile == "another user and project":
        (made,) = world.remote.jobs.values()
        made.project = "elsewhere"
    await world.cycle()
    assert (await world.run(job_id)).state == State.ACCEPTED
    assert len(world.remote.jobs) == 1


async def test_a_job_that_is_refused_waits_here_again(world: World):
    job_id = await world.hand_over()
    world.remote.fails["submit"] = refusal(grpc.StatusCode.INVALID_ARGUMENT, "UNSATISFIABLE")
    await world.cycle()
    assert await world.status(job_id) == ("QUEUED", "REFUSED_BY_CLUSTER")
    assert await world.state() == ("CONNECTED", "it answers")


async def test_a_short_silence_is_nobodys_news(world: World):
    job_id = await world.running()
    world.remote.fails["every"] = CUT
    await world.cycle()
    world.clock.advance(3)
    await world.cycle()
    assert await world.status(job_id) == ("RUNNING", "STARTED")
    assert (await world.state())[0] == "CONNECTED"


async def test_silence_holds_what_is_there_and_takes_back_what_was_never_sent(world: World):
    running = await world.running()
    fresh = await world.hand_over()
    await world.silent()
    assert (await world.state())[0] == "UNREACHABLE"
    assert await world.status(running) == ("RUNNING", "CLUSTER_UNREACHABLE")
    assert await world.status(fresh) == ("QUEUED", "REFUSED_BY_CLUSTER")
    assert world.session.offer(0) is None
    world.remote.fails.clear()
    await world.cycle()
    assert await world.status(running) == ("RUNNING", "STARTED")
    assert len(world.remote.jobs) == 1


async def test_what_is_said_of_a_broken_link_can_be_shown(world: World):
    world.remote.fails["every"] = LinkDown("\0\x1b[31m" + "long" * 1000)
    await world.cycle()
    state, message = await world.state()
    assert (state, len(message), message.isprintable()) == ("UNREACHABLE", 1024, True)


async def test_what_may_have_arrived_is_held_in_silence(world: World):
    job_id = await world.hand_over()
    world.remote.loses["submit"] = CUT
    await world.cycle()
    await world.silent()
    assert await world.status(job_id) == ("SCHEDULED", "CLUSTER_UNREACHABLE")


async def test_a_key_that_is_not_good_holds_the_jobs_too(world: World):
    job_id = await world.running()
    world.remote.fails["every"] = BAD_KEY
    await world.cycle()
    assert await world.state() == ("REFUSED", "it does not let us in: says BAD_CREDENTIAL")
    assert await world.status(job_id) == ("RUNNING", "CLUSTER_REFUSES")
    world.remote.fails.clear()
    await world.cycle()
    assert await world.status(job_id) == ("RUNNING", "STARTED")


async def test_a_key_that_cannot_be_read_any_more_is_said(world: World):
    def connect(cluster: RemoteCluster) -> Calls:
        message = "was stored under another secret key"
        raise WrongState(message, reason="SEAL_BROKEN", subject="key")

    world.session._connect = connect
    await world.cycle()
    assert await world.state() == ("REFUSED", "its API key was stored under another secret key")


async def test_a_job_that_its_cluster_lost_is_left_to_people(world: World):
    job_id = await world.running()
    kept = dict(world.remote.jobs)
    world.remote.jobs.clear()
    await world.cycle()
    assert await world.status(job_id) == ("RUNNING", "JOB_UNKNOWN_TO_CLUSTER")
    assert world.remote.calls.count("submit") == 1
    world.remote.jobs |= kept
    await world.cycle()
    assert await world.status(job_id) == ("RUNNING", "STARTED")
    world.remote.jobs.clear()
    await world.stop(job_id)
    await world.cycle()
    assert await world.status(job_id) == ("CANCELLED", "CANCEL_REQUESTED")


async def test_a_cancel_is_delivered_however_often_its_answer_is_lost(world: World):
    job_id = await world.running()
    await world.stop(job_id)
    world.remote.loses["cancel"] = CUT
    await world.cycle()
    assert (await world.status(job_id))[0] == "CANCELLING"
    await world.cycle()
    world.remote.set(Job.CANCELLED)
    await world.cycle()
    assert await world.status(job_id) == ("CANCELLED", "CANCEL_REQUESTED")


async def test_a_job_that_ended_before_its_cancel_came_keeps_its_end(world: World):
    job_id = await world.running()
    await world.stop(job_id)
    world.remote.fails["cancel"] = refusal(grpc.StatusCode.FAILED_PRECONDITION, "JOB_WRONG_STATE")
    await world.cycle()
    world.remote.set(Job.SUCCEEDED, reason="COMPLETED", exit_code=0)
    await world.cycle()
    assert await world.status(job_id) == ("SUCCEEDED", "COMPLETED")


async def test_a_log_comes_here_whole_though_the_link_is_cut_within(world: World):
    job_id = await world.running("one\n", "two\n")
    await world.cycle()
    await settle(world)
    (there,) = world.remote.jobs
    world.remote.output[there] += ["three\n"]
    world.remote.set(Job.SUCCEEDED, exit_code=0)
    await world.cycle()
    await settle(world)
    assert await world.text(job_id) == "one\ntwo\nthree\n"
    assert (await world.run(job_id)).forgotten


@pytest.mark.parametrize("noted", [0, 1])
async def test_what_was_written_and_not_noted_is_not_written_twice(world: World, noted: int):
    job_id = await world.running("one\n", "two\n")
    await world.cycle()
    await settle(world)
    # As after a crash between the two.
    run = await world.run(job_id)
    position = run.log_position // 2 * noted
    await world.runs.log_reaches(run.run_id, str(noted or ""), position)
    world.remote.set(Job.SUCCEEDED, exit_code=0)
    await world.cycle()
    await settle(world)
    assert await world.text(job_id) == "one\ntwo\n"


async def test_a_log_whose_beginning_is_on_another_servers_disk_is_read_from_the_start(
    world: World, tmp_path: Path
):
    job_id = await world.running("one\n", "two\n")
    await settle(world)
    run = await world.run(job_id)
    assert run.log_position > 0
    empty = LogStore(tmp_path / "another", EventHub())
    world.session._logs = empty
    world.remote.set(Job.SUCCEEDED, exit_code=0)
    await world.cycle()
    await settle(world)
    assert b"".join(one.payload for one in await empty.read(run.run_id)) == b"one\ntwo\n"
    await empty.close()


async def test_a_log_that_the_cluster_does_not_give_ends_and_says_so(world: World):
    job_id = await world.running("one\n")
    await settle(world)
    world.remote.fails["log"] = refusal(grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID")
    world.remote.set(Job.SUCCEEDED, exit_code=0)
    await world.cycle()
    await settle(world)
    text, end = await world.scheduled.follow(job_id)
    (missing,) = end.incomplete
    assert text == "one\n"
    assert missing.message.endswith("does not give the rest of the output: says CURSOR_INVALID")


def gpus(count: int) -> Demand:
    return Demand("job", 0, 1000, 1 << 28, count, "", 0, "job")


async def test_an_offer_counts_what_is_on_its_way(world: World):
    await world.cycle()
    offer = world.session.offer(3)
    assert offer is not None
    assert offer.ledger is not None
    assert offer.ledger.choose(gpus(8)) is not None
    assert offer.jobs == 3
    await world.hand_over(gpus=5)
    world.session.handed_over()
    # What is free is not known now, until it is asked again.
    assert (stale := world.session.offer(4)) is not None
    assert stale.ledger is None
    world.session.ask()
    await world.cycle()
    fresh = world.session.offer(4)
    assert fresh is not None
    assert fresh.ledger is not None
    assert fresh.ledger.choose(gpus(4)) is None
    assert fresh.ledger.choose(gpus(3)) is not None


async def test_one_server_works_with_a_cluster_and_another_takes_over(world: World):
    await world.cycle()
    other = world.another("other")
    calls = len(world.remote.calls)
    await other.cycle()
    assert len(world.remote.calls) == calls
    assert other.offer(0) is None
    world.clock.advance(15)
    await other.cycle()
    assert other.offer(0) is not None
    await world.cycle()
    assert world.session.offer(0) is None
    await other.close()


async def test_a_cycle_that_waits_for_an_answer_ends_when_the_server_does(world: World):
    job_id = await world.running()
    world.remote.blocks.add("caller")
    cycle = asyncio.create_task(world.session.cycle())
    await world.remote.blocked.wait()
    world.clock.advance(60)
    await world.session.leave()
    await cycle
    # Nothing was learnt about the cluster by that.
    assert (await world.state())[0] == "CONNECTED"
    assert await world.status(job_id) == ("RUNNING", "STARTED")


async def test_the_end_of_a_log_is_news_of_its_job(world: World):
    job_id = await world.running("one\n")
    await settle(world)
    world.told.clear()
    world.remote.set(Job.SUCCEEDED, exit_code=0)
    # No time passes: it is not looked at again by itself.
    await world.session.cycle()
    assert await world.status(job_id) == ("RUNNING", "STARTED")
    await settle(world)
    assert world.told == ["west"]
    await world.session.cycle()
    assert (await world.status(job_id))[0] == "SUCCEEDED"
    assert world.told == ["west", "room"]


async def test_nodes_are_asked_for_when_somebody_wants_room(world: World):
    await world.cycle()
    for _ in range(5):
        await world.cycle()
    assert world.remote.calls.count("nodes") == 1
    world.told.clear()
    world.session.ask()
    await world.cycle()
    assert (world.remote.calls.count("nodes"), world.told) == (2, ["west", "room"])
