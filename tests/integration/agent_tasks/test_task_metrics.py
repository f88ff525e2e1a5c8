"""What a task says of itself in numbers reaches the agent from every sandbox, by every way."""

import asyncio
import sys

import pytest

from tests.support.tasks import Bench, a_bench, a_run, a_script
from windlass.agents.v1 import custom_metric_pb2 as pb
from windlass_agent.clock import SystemClock
from windlass_agent.metric_sockets import MetricSockets

PYTHON = sys.executable
LOGS = """
import windlass
for step in range(3):
    windlass.log(loss=step / 2, step=step)
windlass.log({"eval/f1": 1})
"""
LONG = "/a-folder-with-a-long-name" * 4


class Server:
    """Takes what is shipped, and acknowledges it."""

    def __init__(self, sockets: MetricSockets) -> None:
        self.sockets = sockets
        self.batches: list[pb.MetricBatch] = []

    async def take(self, batch: pb.MetricBatch) -> None:
        self.batches.append(batch)
        self.sockets.on_ack(
            pb.MetricAck(run_id=batch.run_id, source=batch.source, position=batch.position)
        )

    async def values(self) -> dict[str, list[float]]:
        """Everything, when all runs have ended."""
        shipping = asyncio.create_task(self.sockets.ship(self.take))
        await self.sockets.settled()
        shipping.cancel()
        found: dict[str, list[float]] = {}
        for batch in self.batches:
            for column in batch.columns:
                found.setdefault(column.name, []).extend(column.values)
        return found


@pytest.fixture
async def sockets():
    made = MetricSockets(SystemClock())
    yield made
    made.close_all()


async def test_a_task_says_what_it_measures_on_every_rung(any_bench: Bench, sockets: MetricSockets):
    any_bench.runner._metrics = sockets
    exit_ = await any_bench.end(a_run(PYTHON, "-c", LOGS))
    assert exit_.exit_code == 0
    server = Server(sockets)
    assert await server.values() == {"loss": [0, 0.5, 1], "eval/f1": [1]}
    assert list(server.batches[0].columns[0].steps) == [0, 1, 2]


async def test_windlass_itself_is_found_beside_the_module_where_it_is_installed(bench: Bench):
    source = "import windlass, windlass_client, windlass.jobs.v1.job_pb2; print(windlass.log)"
    assert "function log" in await bench.output(a_run(PYTHON, "-c", source))


async def test_a_shell_says_it_too(bench: Bench, sockets: MetricSockets):
    bench.runner._metrics = sockets
    script = '"$1" -m windlass loss=0.5 step=3; "$1" -m windlass what; "$1" -m windlass loss=-inf'
    assert "not name=number: what" in await bench.output(a_script(script, PYTHON))
    assert await Server(sockets).values() == {"loss": [0.5, -float("inf")]}


async def test_a_task_cannot_take_its_socket_away(bench: Bench, sockets: MetricSockets, sandbox):
    bench.runner._metrics = sockets
    script = 'rm -f "$WINDLASS_METRICS"; mv "$WINDLASS_METRICS" x; "$1" -m windlass still=1'
    await bench.end(a_script(script, PYTHON))
    assert await Server(sockets).values() == {"still": [1]}


async def test_a_path_that_is_too_long_for_a_socket_does(data_dir, machine, sockets: MetricSockets):
    deep = data_dir / LONG.strip("/")
    deep.mkdir(parents=True)
    async with a_bench(deep, machine, metrics=sockets) as bench:
        assert (await bench.end(a_run(PYTHON, "-c", LOGS))).exit_code == 0
    assert (await Server(sockets).values())["loss"] == [0, 0.5, 1]


async def test_without_an_agent_that_listens_a_task_neither_waits_nor_fails(bench: Bench):
    exit_ = await bench.end(a_run(PYTHON, "-c", LOGS + "\nwindlass.log(1 and {'x': 2})"))
    assert exit_.exit_code == 0


@pytest.mark.parametrize(
    "said",
    [
        "loss='x'",
        "loss=None",
        "loss=[1]",
        "loss=10**400",
        "'loss', 3",
        "7",
        "{'ok': 2, 'loss': object()}, step='x'",
        "{'ok': 2}, step=float('nan')",
        "{3: None}",
    ],
)
async def test_what_is_no_number_is_left_out_and_ends_no_task(
    bench: Bench, sockets: MetricSockets, said: str
):
    bench.runner._metrics = sockets
    source = f"import windlass; windlass.log({said}); windlass.log(last=1); print('trained')"
    assert "trained" in await bench.output(a_run(PYTHON, "-c", source))
    values = await Server(sockets).values()
    assert values.pop("last") == [1]
    assert values == ({"ok": [2]} if "ok" in said else {})


async def test_what_is_said_while_there_is_no_agent_is_kept_for_the_next(
    data_dir, machine, sockets: MetricSockets
):
    source = """
import sys, windlass
print("ready", flush=True)
windlass.log(x=1)
windlass.log(x=2)
input_ = open("go.fifo").read()
windlass.log(x=3)
"""
    script = 'mkfifo go.fifo; exec "$1" -c "$2"'
    run = a_script(script, PYTHON, source)
    async with a_bench(data_dir, machine) as bench:  # its runner has no sockets: nobody listens
        await bench.start(run)
        await bench.says(run.run_id, "ready")
        folder = next((data_dir / "runs").iterdir())
        sockets.open(run.run_id, 1, folder)  # as an agent does that adopts the run
        (folder / "work" / "go.fifo").write_text("go")
        await bench.end(run)
    sockets.close_all()
    assert await Server(sockets).values() == {"x": [1, 2, 3]}


async def test_a_flood_is_read_no_faster_than_it_may_and_hurts_nobody(
    bench: Bench, sockets: MetricSockets
):
    bench.runner._metrics = sockets
    flood = """
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["WINDLASS_METRICS"])
for _ in range(150):
    s.send(b"x=1\\n" * 4000)
"""
    assert (await bench.end(a_run(PYTHON, "-c", flood))).exit_code == 0
    server = Server(sockets)
    values = await server.values()
    tally = server.batches[-1].tally
    assert len(values["x"]) + tally.dropped_values == 150 * 4000
    assert len(values["x"]) <= 20_000
