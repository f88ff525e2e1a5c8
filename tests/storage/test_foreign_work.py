"""Of work in projects that a caller may not read, a node shows what it takes and not whose it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.databases import acting
from tests.support.fake_agent import series
from tests.support.jobs import add_projects
from tests.support.nodes import add_run, hold_all
from tests.support.resources_world import ADMIN, VIEWER, ResourcesWorld
from tests.support.telemetry import a_batch, power
from windlass.agents.v1 import agent_pb2
from windlass.agents.v1.agent_pb2 import Series
from windlass_server.resources.metrics import NodeMetrics, Wanted, series_messages
from windlass_server.resources.node_message import node_message
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.history import Answer, Question
from windlass_server.telemetry.rollup import Columns, Rollup

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[ResourcesWorld]:
    world = await ResourcesWorld.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "secret"))
    yield world
    await world.scheduled.logs.close()


async def held(world: ResourcesWorld, node_id: str, project: str, gpu: str) -> str:
    """A run of a project that holds a GPU, on which two processes are: its own, and nobody's."""

    def store(tx: Transaction) -> str:
        run_id = add_run(tx, node_id, project=project, gpu_uuids=gpu, cpu_millis=10)
        hold_all(tx, run_id)
        return run_id

    run_id = await world.database.write(store)
    batch = a_batch(world.clock.now(), power(gpu, 1), series("CPU_USED_MILLIS", run_id, 5))
    for pid, name, of in ((41, "train.py", run_id), (42, "miner", "")):
        batch.gpu_processes.append(
            agent_pb2.GpuProcessSample(
                gpu_uuid=gpu, pid=pid, name=name, memory_used_bytes=7, run_id=of
            )
        )
    world.latest.take(node_id, batch)
    return run_id


@pytest.mark.parametrize("project", ["default", "secret"])
async def test_runs_and_processes_are_named_to_those_who_may_read_them(
    world: ResourcesWorld, project: str
):
    node_id = await world.joined("n", gpus=2)
    run_id = await held(world, node_id, project, "GPU-0")
    now = world.clock.now()
    seen = node_message(await world.resources.get(VIEWER, node_id), world.latest, now)
    everything = node_message(await world.resources.get(ADMIN, node_id), world.latest, now)
    (run,), gpu = seen.runs, seen.gpus[0]
    mine = project == "default"
    assert (run.run_id, bool(run.job_id)) == ((run_id, True) if mine else ("", False))
    assert list(run.gpu_uuids) == ["GPU-0"]
    assert gpu.run_id == (run_id if mine else "")
    shown = [(one.pid, one.name, one.run_id) for one in gpu.processes]
    assert shown == [(41, "train.py", run_id) if mine else (0, "", ""), (0, "", "")]
    assert [one.memory_used_bytes for one in gpu.processes] == [7, 7]
    assert (run_id in str(seen), "miner" in str(seen)) == (mine, False)
    # It is held, whoever asks.
    assert seen.available == everything.available
    assert [(one.pid, one.run_id) for one in everything.gpus[0].processes] == [
        (41, run_id),
        (42, ""),
    ]


async def test_the_projects_of_runs_are_found_and_of_none_when_there_are_none(
    world: ResourcesWorld,
):
    node_id = await world.joined("n", gpus=2)
    first = await held(world, node_id, "default", "GPU-0")
    second = await held(world, node_id, "secret", "GPU-1")
    ids = [first, second, "run-no"]
    found = await world.database.read(lambda tx: tx.runs.projects_of(ids))
    assert found == {first: "default", second: "secret"}


class History:
    """Knows one value of everything that is named."""

    def __init__(self, *subjects: str) -> None:
        ones = np.ones((1, len(subjects)))
        columns = Columns(ones.astype(np.int64), ones, ones, ones, ones)
        self._rollup = Rollup(subjects, np.zeros(1, np.int64), columns)

    async def ask(self, node_id: str, question: Question) -> Answer:
        return Answer(0, 10_000_000, {int(Series.CPU_USED_MILLIS): self._rollup})


async def test_a_history_leaves_out_what_foreign_runs_measured(world: ResourcesWorld):
    node_id = await world.joined("n", gpus=2)
    mine = await held(world, node_id, "default", "GPU-0")
    foreign = await held(world, node_id, "secret", "GPU-1")
    unknown = "run-" + "z" * 26
    history = History("", mine, foreign, unknown)
    metrics = NodeMetrics(world.database, history, world.clock)  # type: ignore[arg-type]
    wanted = Wanted((), (), None, None, None)
    _, answer = await metrics.get(VIEWER, node_id, wanted)
    assert [one.subject for one in series_messages(node_id, answer)] == ["", mine]
    _, answer = await metrics.get(ADMIN, node_id, wanted)
    assert len(list(series_messages(node_id, answer))) == 4
