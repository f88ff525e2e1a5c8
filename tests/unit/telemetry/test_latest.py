"""The newest values, also from agents that send nonsense."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_agent import samples, series
from tests.support.fake_clock import FakeClock
from windlass.agents.v1 import agent_pb2
from windlass.agents.v1.agent_pb2 import Series
from windlass_server.telemetry import latest as module
from windlass_server.telemetry.latest import LatestTelemetry

RUN = "run-" + "0" * 26
NANOS = 1_800_000_000_000_000_000
MICROS = NANOS // 1000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def latest(clock: FakeClock) -> LatestTelemetry:
    return LatestTelemetry(clock)


def take(
    latest: LatestTelemetry,
    *some: Series,
    at_nanos: int = NANOS,
    deltas: tuple[int, ...] = (0,),
    processes: tuple[agent_pb2.GpuProcessSample, ...] = (),
) -> None:
    message = samples(*some, at_nanos=at_nanos, deltas=deltas, processes=processes)
    latest.take("node-1", message.samples)


def test_values_are_kept_by_what_they_are_of(latest: LatestTelemetry) -> None:
    take(
        latest,
        series("CPU_USED_MILLIS", "", 1500),
        series("CPU_USED_MILLIS", RUN, 500),
        series("GPU_POWER_WATTS", "GPU-0", 250),
    )
    host = latest.host("node-1")
    run, gpu = latest.run("node-1", RUN), latest.gpu("node-1", "GPU-0")
    assert host is not None
    assert run is not None
    assert gpu is not None
    assert host.number(Series.CPU_USED_MILLIS) == 1500
    assert run.number(Series.CPU_USED_MILLIS) == 500
    assert gpu.number(Series.GPU_POWER_WATTS) == 250
    assert host.sampled_at == run.sampled_at == gpu.sampled_at == MICROS


def test_what_a_card_does_that_several_share_is_no_single_ones(latest: LatestTelemetry) -> None:
    message = samples(series("GPU_POWER_WATTS", "GPU-0", 250))
    for number, uuids in enumerate((["GPU-0"], ["GPU-0", "GPU-1"], ["GPU-0"])):
        run_id = f"run-{number:026}"
        message.samples.runs.add(run_id=run_id, job_id=f"job-{number}", gpu_uuids=uuids)
    latest.take("node-1", message.samples)
    assert latest.holder("node-1", "GPU-0") is None
    alone = latest.holder("node-1", "GPU-1")
    assert alone is not None
    assert alone.job_id == "job-1"


def test_nothing_is_known_before_the_first_sample(latest: LatestTelemetry) -> None:
    assert latest.host("node-1") is None
    assert latest.gpu("node-1", "GPU-0") is None
    assert latest.run("node-1", RUN) is None
    assert latest.processes("node-1", "GPU-0") == ()
    assert latest.is_healthy("node-1", "GPU-0")


def test_the_last_of_several_times_counts(latest: LatestTelemetry) -> None:
    take(latest, series("LOAD_1M", "", 1, 2, 3), deltas=(0, 1_000_000, 2_000_000))
    host = latest.host("node-1")
    assert host is not None
    assert (host.number(Series.LOAD_1M), host.sampled_at) == (3, MICROS + 3000)


def test_of_a_series_that_comes_twice_the_last_counts(latest: LatestTelemetry) -> None:
    take(latest, series("LOAD_1M", "", 1), series("LOAD_1M", "", 2))
    host = latest.host("node-1")
    assert host is not None
    assert host.number(Series.LOAD_1M) == 2


def test_values_go_where_they_belong_as_things_come_and_go(latest: LatestTelemetry) -> None:
    both = [series("GPU_POWER_WATTS", "GPU-0", 1), series("GPU_POWER_WATTS", "GPU-1", 2)]
    take(latest, *both)
    latest.keep_gpus("node-1", ["GPU-1"])
    take(latest, *both)
    take(latest, series("GPU_POWER_WATTS", "GPU-1", 5), series("GPU_POWER_WATTS", "GPU-0", 6))
    first, second = latest.gpu("node-1", "GPU-0"), latest.gpu("node-1", "GPU-1")
    assert first is not None
    assert second is not None
    assert (first.number(Series.GPU_POWER_WATTS), second.number(Series.GPU_POWER_WATTS)) == (6, 5)


def test_what_is_kept_of_layouts_is_bounded(latest: LatestTelemetry) -> None:
    for number in range(100):
        take(latest, series("GPU_POWER_WATTS", f"GPU-{number}", 1))
    node = latest._nodes["node-1"]
    assert len(node.slots) <= module._LAYOUTS
    assert len(node.gpus) == 100


def test_nan_is_no_value_and_an_older_one_is_shown_with_its_time(latest: LatestTelemetry) -> None:
    take(latest, series("LOAD_1M", "", 7))
    take(latest, series("LOAD_1M", "", math.nan), at_nanos=NANOS + 90 * 10**9)
    take(latest, series("LOAD_1M", "", math.inf), at_nanos=NANOS + 91 * 10**9)
    host = latest.host("node-1")
    assert host is not None
    assert (host.number(Series.LOAD_1M), host.sampled_at) == (7, MICROS)


def test_nan_at_the_end_of_a_batch_gives_the_value_before_it(latest: LatestTelemetry) -> None:
    take(latest, series("LOAD_1M", "", 5, math.nan), deltas=(0, 1_000_000))
    host = latest.host("node-1")
    assert host is not None
    assert (host.number(Series.LOAD_1M), host.sampled_at) == (5, MICROS)


@pytest.mark.parametrize(
    "nonsense",
    [
        series("LOAD_1M", "", 1, 2),
        series("LOAD_1M", ""),
        series("LOAD_1M", RUN, 1),
        series("GPU_POWER_WATTS", "", 1),
        series("CPU_USED_MILLIS", "GPU-0", 1),
        series("FIELD_UNSPECIFIED", "", 1),
        series("GPU_POWER_WATTS", "G" * 129, 1),
        Series(field=99, subject="GPU-0", values=[1]),  # type: ignore[arg-type]
    ],
)
def test_a_series_that_makes_no_sense_is_left_out_alone(
    latest: LatestTelemetry, nonsense: Series
) -> None:
    take(latest, nonsense, series("MEMORY_USED_BYTES", "", 5))
    host = latest.host("node-1")
    assert host is not None
    assert host._values == {Series.MEMORY_USED_BYTES: 5}
    assert latest._nodes["node-1"].gpus == {}
    assert latest._nodes["node-1"].runs == {}


@pytest.mark.parametrize(
    ("at_nanos", "deltas"),
    [(0, (0,)), (-5, (0,)), (NANOS, ()), (2**63 - 1, (1,)), (1, (-2,)), (1, (0,) * 5000)],
)
def test_times_that_are_none_are_refused(
    latest: LatestTelemetry, at_nanos: int, deltas: tuple[int, ...]
) -> None:
    take(latest, series("LOAD_1M", "", *[1] * len(deltas)), at_nanos=at_nanos, deltas=deltas)
    assert latest.host("node-1") is None


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_value_can_be_shown_as_an_int64(value: float) -> None:
    latest = LatestTelemetry(FakeClock())
    take(latest, series("MEMORY_USED_BYTES", "", 1))
    take(latest, series("MEMORY_USED_BYTES", "", value))
    host = latest.host("node-1")
    assert host is not None
    assert 0 <= host.whole(Series.MEMORY_USED_BYTES) < 2**63


def test_what_one_node_can_make_the_server_hold_is_bounded(
    latest: LatestTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_GPUS", 3)
    monkeypatch.setattr(module, "MAX_RUNS", 4)
    monkeypatch.setattr(module, "MAX_PROCESSES", 5)
    take(
        latest,
        *(series("GPU_POWER_WATTS", f"GPU-{number}", 1) for number in range(50)),
        *(series("CPU_USED_MILLIS", f"run-{number:026d}", 1) for number in range(50)),
        processes=tuple(agent_pb2.GpuProcessSample(gpu_uuid="GPU-0", pid=n) for n in range(50)),
    )
    node = latest._nodes["node-1"]
    assert (len(node.gpus), len(node.runs)) == (3, 4)
    assert len(latest.processes("node-1", "GPU-0")) == 5


def test_runs_that_are_not_measured_any_more_are_dropped(
    latest: LatestTelemetry, clock: FakeClock
) -> None:
    take(latest, series("CPU_USED_MILLIS", RUN, 1))
    clock.advance(60)
    take(latest, series("LOAD_1M", "", 1), at_nanos=NANOS + 60 * 10**9)
    assert latest.run("node-1", RUN) is not None
    clock.advance(1)
    take(latest, series("LOAD_1M", "", 1), at_nanos=NANOS + 61 * 10**9)
    assert latest.run("node-1", RUN) is None


@pytest.mark.parametrize("hours", [-30_000, -3, 3, 30_000])
def test_the_clock_of_a_node_that_jumps_moves_nothing(
    latest: LatestTelemetry, clock: FakeClock, hours: int
) -> None:
    jumped = NANOS + hours * 3600 * 10**9
    take(latest, series("CPU_USED_MILLIS", RUN, 1), series("LOAD_1M", "", 1))
    take(latest, series("LOAD_1M", "", 2), at_nanos=jumped)
    host, run = latest.host("node-1"), latest.run("node-1", RUN)
    assert host is not None
    assert (host.number(Series.LOAD_1M), host.sampled_at) == (2, MICROS)
    assert run is not None
    clock.advance(61)
    take(latest, series("LOAD_1M", "", 3), at_nanos=jumped + 61 * 10**9)
    assert host.sampled_at == MICROS + 61_000_000
    assert latest.run("node-1", RUN) is None


def test_processes_are_those_of_the_last_look(latest: LatestTelemetry) -> None:
    processes = (
        agent_pb2.GpuProcessSample(
            gpu_uuid="GPU-0", pid=7, memory_used_bytes=100, run_id=RUN, name="n" * 500
        ),
        agent_pb2.GpuProcessSample(
            gpu_uuid="GPU-0", pid=8, memory_used_bytes=-1, run_id="<script>", name="python"
        ),
        agent_pb2.GpuProcessSample(gpu_uuid="GPU-0", pid=-8),
    )
    take(latest, processes=processes)
    first, second = latest.processes("node-1", "GPU-0")
    assert (first.pid, first.memory_used_bytes, first.run_id) == (7, 100, RUN)
    assert len(first.name) == 128
    assert (second.pid, second.memory_used_bytes, second.run_id) == (8, 0, "")
    take(latest)
    assert latest.processes("node-1", "GPU-0") == ()


def test_a_change_of_health_is_told_once() -> None:
    changed: list[str] = []
    latest = LatestTelemetry(FakeClock(), changed.append)
    told = []
    for value in (1, 0, 0, math.nan, 1, 1):
        take(latest, series("GPU_HEALTHY", "GPU-0", value))
        told.append((latest.is_healthy("node-1", "GPU-0"), len(changed)))
    assert told == [(True, 0), (False, 1), (False, 1), (False, 1), (True, 2), (True, 2)]
    assert latest.is_healthy("node-2", "GPU-0")


def test_gpus_and_nodes_that_are_gone_are_forgotten(latest: LatestTelemetry) -> None:
    take(latest, series("GPU_HEALTHY", "GPU-0", 0), series("GPU_HEALTHY", "GPU-1", 0))
    latest.keep_gpus("node-1", ["GPU-1", "GPU-2"])
    latest.keep_gpus("node-9", ["GPU-1"])
    assert latest.gpu("node-1", "GPU-0") is None
    assert latest.gpu("node-1", "GPU-1") is not None
    latest.drop("node-1")
    latest.drop("node-9")
    assert latest.gpu("node-1", "GPU-1") is None
