import itertools
import random

import pytest

from tests.integration.agent_session.conftest import Node
from tests.support.fake_control_plane import seconds
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.run_types import Phase, RunState

RUN = "run-01jh0000000000000000000001"
OTHER = "run-01jh0000000000000000000002"


@pytest.mark.parametrize("seed", range(6))
async def test_logs_arrive_once_and_whole_though_the_stream_ends_again_and_again(
    plane, runner, tmp_path, seed
):
    rng = random.Random(seed)
    logs = {run_id: runner.adopt(RunState(run_id, 1, Phase.RUNNING)) for run_id in (RUN, OTHER)}
    plane.end_telemetry_after = [rng.randrange(400_000) for _ in range(12)]
    plane.acknowledge = seed % 2 == 0
    for log in logs.values():
        for _ in range(60):
            log.append(rng.randbytes(rng.randrange(1, 50_000)))
    async with Node(plane, runner, tmp_path / "agent").running():
        for run_id, log in logs.items():
            held = await plane.until_log(run_id, len(log.content))
            assert held == bytes(log.content)
            log.append(b"one more")
            assert await plane.until_log(run_id, len(log.content)) == bytes(log.content)
    assert plane.gaps == []
    assert plane.telemetry_streams > 3
    repeated = sum(len(b.frames) for b in plane.batches) - sum(
        len(log.content) for log in logs.values()
    )
    assert repeated == 0  # what the server held when a stream ended was not sent again


async def test_what_was_on_its_way_when_the_agent_was_replaced_is_not_lost(plane, runner, tmp_path):
    log = runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    log.append(b"before")
    async with Node(plane, runner, tmp_path / "agent").running():
        await plane.until_log(RUN, len(log.content))
    log.append(b"while nobody looked")
    async with Node(plane, runner, tmp_path / "agent").running():
        assert await plane.until_log(RUN, len(log.content)) == bytes(log.content)
    assert plane.gaps == []


async def test_unacknowledged_output_is_bounded(plane, runner, tmp_path):
    plane.acknowledge = False
    log = runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    for _ in range(160):
        log.append(b"x" * 65_000)
    async with Node(plane, runner, tmp_path / "agent").running():
        await plane.until_log(RUN, (4 << 20) - (1 << 17))
        assert len(plane.logs[RUN]) <= 4 << 20
        plane.acknowledge = True
        plane.acknowledge_all()
        assert await plane.until_log(RUN, len(log.content)) == bytes(log.content)


async def test_samples_tell_of_the_machine_its_gpus_and_its_runs(plane, runner, node):
    runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    busy = node.gpus.devices()[0].uuid
    node.gpus.set_busy(busy, RUN, 4242)
    runner.pids[4242] = RUN
    batch = await plane.samples.get()
    while not batch.gpu_processes:
        batch = await plane.samples.get()
    values = {(s.field, s.subject): list(s.values) for s in batch.series}
    assert batch.time_deltas_nanos == [0]
    assert values[pb.Series.MEMORY_TOTAL_BYTES, ""][0] > 0
    assert values[pb.Series.CPU_USED_MILLIS, RUN] == [1500.0]
    assert values[pb.Series.GPU_HEALTHY, busy] == [1.0]
    assert values[pb.Series.GPU_POWER_LIMIT_WATTS, busy] == [700.0]
    (process,) = batch.gpu_processes
    assert (process.gpu_uuid, process.pid, process.run_id) == (busy, 4242, RUN)


async def test_no_sample_is_sent_beyond_the_servers_credit(plane, runner, tmp_path):
    plane.credits = [pb.SampleCredit(batches=1)]
    log = runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    node = Node(plane, runner, tmp_path / "agent")
    node.agent._telemetry._sample_seconds = 0.01
    async with node.running():
        first = await plane.samples.get()
        for _ in range(20):  # twenty round trips, many sample intervals
            log.append(b"tick")
            await plane.until_log(RUN, len(log.content))
        assert plane.samples.empty()
        plane.grant(2)
        later = [await plane.samples.get(), await plane.samples.get()]
        assert [b.base_time_nanos for b in later] > [first.base_time_nanos]
        log.append(b"tock")
        await plane.until_log(RUN, len(log.content))
        assert plane.samples.empty()


async def test_the_server_can_ask_for_fewer_samples(plane, runner, tmp_path):
    plane.credits = [pb.SampleCredit(batches=100, min_interval=seconds(0.05))]
    node = Node(plane, runner, tmp_path / "agent")
    node.agent._telemetry._sample_seconds = 0.001
    async with node.running():
        times = [(await plane.samples.get()).base_time_nanos for _ in range(5)]
    # Read by another thread than the one that paces: a little less than the interval is possible.
    assert min(b - a for a, b in itertools.pairwise(times)) > 40_000_000


async def test_a_stream_that_is_finished_ends_when_the_server_has_taken_all_in(
    plane, runner, tmp_path
):
    plane.credits = [pb.SampleCredit(batches=100)]
    node = Node(plane, runner, tmp_path / "agent")
    link = node.agent._telemetry
    link._sample_seconds = 0.01
    async with node.running():
        for _ in range(3):
            await plane.samples.get()
        link.finish()
        await plane.until_half_closed()
        assert plane.samples.qsize() + 3 == link.tally.sent
