"""Whatever a node meets, what its agent says keeps to the rules of the contract."""

import math
import socket
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_agent_clock import FakeAgentClock
from tests.support.fake_runner import FakeRunner
from windlass.agents.v1 import agent_pb2 as pb
from windlass.agents.v1 import agents_service_pb2 as service_pb
from windlass_agent import bounds
from windlass_agent.config import load_config
from windlass_agent.gpu.device import GpuDevice, GpuProcess, GpuSample, MigMode, NoGpus, unreadable
from windlass_agent.inventory import inventory_of
from windlass_agent.run_types import Cause, Isolation, Level, Phase, RunExit, RunRequest, RunState
from windlass_agent.sampling import SLOW_FIELDS, Sampler
from windlass_agent.session import ControlSession
from windlass_agent.wire import report_of
from windlass_server.rpc.methods import DEFAULT_MAX_REQUEST_BYTES
from windlass_server.rpc.validation import Validation

RULES = Validation()
RUN = "run-01jh0000000000000000000001"
# With lone surrogates, which is how Python reads bytes that are no UTF-8.
TEXT = st.text(st.characters(exclude_categories=()), max_size=40) | st.just("x\n" * 1000)
AMOUNT = st.integers(-1, 2**64) | st.sampled_from([0, 2**63, 2**64 - 1])
NUMBER = st.floats() | st.sampled_from([math.nan, math.inf, -1.0])


def session_request(**content: object) -> service_pb.OpenSessionRequest:
    return service_pb.OpenSessionRequest(message=pb.AgentMessage(**content))


@pytest.mark.parametrize(
    ("given", "most", "said"),
    [
        ("python3", 10, "python3"),
        ("two\n\tlines ", 20, "two lines"),
        ("bell\a\x00\x1b[2J", 20, "bell???[2J"),
        ("\udcff\x85é", 20, "? é"),
        ("x" * 300, 255, "x" * 255),
    ],
)
def test_text_becomes_one_printable_line(given: str, most: int, said: str) -> None:
    assert bounds.text(given, most) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [(7, 7), (7.9, 7), (-1, 0), (math.nan, 0), (math.inf, 1 << 60), (2**64 - 1, 1 << 60)],
)
def test_amounts_are_whole_and_within_bounds(given: float, said: int) -> None:
    assert bounds.amount(given) == said


@settings(deadline=None)
@given(TEXT, TEXT, st.sampled_from(Cause), st.none() | st.integers(0, 255))
def test_a_report_keeps_to_the_rules(
    words: str, reason: str, cause: Cause, exit_code: int | None
) -> None:
    state = RunState(
        RUN,
        1,
        Phase.EXITED,
        Isolation(Level.SANDBOX, ("cpu", "memory", "pids"), "v2", reason),
        1,
        RunExit(cause, 2, exit_code, None, 3, words),
    )
    RULES.check(session_request(run_report=report_of(state, 1)))


class OddGpus(NoGpus):
    """A driver that answers what it likes."""

    def __init__(
        self,
        device: GpuDevice | None = None,
        sample: GpuSample | None = None,
        process: GpuProcess | None = None,
        driver_version: str = "",
    ) -> None:
        self._device, self._sample, self._process = device, sample, process
        self.driver_version = driver_version

    def devices(self) -> list[GpuDevice]:
        return [self._device] if self._device else []

    def sample(self) -> list[GpuSample]:
        return [self._sample] if self._sample else []

    def processes(self) -> list[GpuProcess]:
        return [self._process] if self._process else []


@settings(deadline=None)
@given(TEXT, TEXT, AMOUNT, NUMBER)
def test_an_inventory_keeps_to_the_rules(
    name: str, version: str, memory: int, watts: float
) -> None:
    device = GpuDevice(
        "GPU-0", 0, name, "H100", memory, watts, version, ("GPU-1",), MigMode.ENABLED, name, memory
    )
    gpus = OddGpus(device, driver_version=version)
    gpus.cuda_version = name
    config = load_config(["--server", "a:1", "--memory", "1", "--reserve-memory", "2Ti"], {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: name)
        inventory = inventory_of(config, gpus, Isolation(), "0.1.0")
    RULES.check(session_request(hello=pb.Hello(protocol_version=1, inventory=inventory)))


@pytest.fixture(scope="module")
def reading() -> GpuSample:
    return unreadable("GPU-0")


@settings(deadline=None)
@given(name=TEXT, memory=AMOUNT, watts=NUMBER)
async def test_samples_keep_to_the_rules(
    reading: GpuSample, name: str, memory: int, watts: float
) -> None:
    gpus = OddGpus(
        sample=replace(reading, power_watts=watts), process=GpuProcess("GPU-0", 7, memory, name)
    )
    sampler = Sampler(gpus, FakeRunner(), FakeAgentClock())
    try:
        batch = await sampler.sample()
    finally:
        sampler.close()
    RULES.check(service_pb.StreamTelemetryRequest(message=pb.TelemetryMessage(samples=batch)))


async def test_more_processes_than_a_batch_takes_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus = OddGpus()
    crowd = [GpuProcess("GPU-0", pid, 0, "python3") for pid in range(5000)]
    monkeypatch.setattr(gpus, "processes", lambda: crowd)
    sampler = Sampler(gpus, FakeRunner(), FakeAgentClock())
    try:
        batch = await sampler.sample()
    finally:
        sampler.close()
    RULES.check(service_pb.StreamTelemetryRequest(message=pb.TelemetryMessage(samples=batch)))
    assert len(batch.gpu_processes) == bounds.MAX_GPU_PROCESSES


async def test_what_changes_slowly_comes_last_and_runs_are_named() -> None:
    runner = FakeRunner()
    request = RunRequest(RUN, 3, ("true",), job_id="job-1", project="vision", gpu_uuids=("GPU-0",))
    await runner.run(request)
    runner.begin(RUN)
    sampler = Sampler(OddGpus(), runner, FakeAgentClock())
    try:
        batch = await sampler.sample()
    finally:
        sampler.close()
    slow = [one.field in SLOW_FIELDS for one in batch.series]
    assert slow == sorted(slow)
    assert 0 < sum(slow) < len(slow)
    (stamp,) = batch.runs
    assert (stamp.run_id, stamp.epoch, stamp.job_id) == (RUN, 3, "job-1")
    assert (stamp.project, list(stamp.gpu_uuids)) == ("vision", ["GPU-0"])


class Truth:
    """Runs as `DesiredRuns` tells of them."""

    def __init__(self, states: list[RunState]) -> None:
        self._states = states

    def truth(self) -> list[pb.RunReport]:
        return [report_of(state, 1) for state in self._states]


def ended(number: int, message: str) -> RunState:
    end = RunExit(Cause.LAUNCH_FAILED, 7, message=message)
    return RunState(f"run-{number:026}", 1, Phase.EXITED, exit=end)


@pytest.mark.parametrize("message", ["", "x" * bounds.MAX_DETAIL])
def test_a_node_with_more_runs_than_a_hello_takes_tells_the_rest_behind_it(message: str) -> None:
    alive = RunState(f"run-{9:026}", 2, Phase.RUNNING)
    states = [*(ended(number, message) for number in range(10, 20_010)), alive]
    session = ControlSession(Truth(states))  # type: ignore[arg-type]

    hello = session.hello(pb.Inventory(hostname="n1")).hello

    request = session_request(hello=hello)
    RULES.check(request)
    assert request.ByteSize() < DEFAULT_MAX_REQUEST_BYTES
    assert hello.runs[0].run_id == alive.run_id
    told = [*hello.runs, *(each.run_report for each in session.outbox.take())]
    assert sorted(run.run_id for run in told) == sorted(state.run_id for state in states)


def test_what_a_hello_did_not_take_leaves_the_outbox_its_room() -> None:
    session = ControlSession(Truth([ended(n, "") for n in range(20_000)]))  # type: ignore[arg-type]
    session.hello(pb.Inventory())
    for number in range(20_000, 24_000):
        session.outbox.put(report_of(ended(number, ""), 1))
    assert len(session.outbox.take()) == 20_000 - bounds.MAX_HELLO_RUNS + 4000
