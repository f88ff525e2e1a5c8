"""What holders use is stored as their nodes measured it, and told beside what they held."""

import itertools
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.fake_clock import START, FakeClock
from tests.support.jobs import add_projects
from tests.support.nodes import GIB, add_node, add_run, hold_all
from windlass.agents.v1.agent_pb2 import SampleBatch, Series
from windlass_server.resources.ledger import Used
from windlass_server.resources.usage import UsageQuery, UsageService
from windlass_server.resources.usage_metering import UsageMetering
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import RunRow
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.meter import SLOT, Measured, UsageMeter
from windlass_server.telemetry.readings import Decoder
from windlass_server.telemetry.recent import RecentHistory

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

SECOND = 1_000_000
HOUR = START // SLOT * SLOT + SLOT


class World:
    """Two nodes, on the first of which a run holds two GPUs from the beginning of an hour on."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock(HOUR)
        self.meter = UsageMeter(self.clock)
        self.recent = RecentHistory(self.clock, self.meter.take)
        self.decoder = Decoder()
        self.metering = UsageMetering(database, self.meter, self.clock)
        self.nodes: list[str] = []
        self.run_id = ""

    async def start(self) -> None:
        def store(tx: Transaction) -> None:
            add_projects(tx, "default")
            self.nodes = [add_node(tx), add_node(tx)]
            self.run_id = add_run(
                tx, self.nodes[0], cpu_millis=2000, memory_bytes=4 * GIB, gpu_uuids="GPU-0,GPU-1",
                gpu_types="H100,H100", created_at=HOUR, started_at=HOUR,
            )  # fmt: skip
            hold_all(tx, self.run_id)

        await self.database.write(store)
        await self.metering.cycle()

    def measure(self, node: int = 0, **values: float) -> None:
        fields: dict[str, tuple[Any, str]] = {
            "util_0": (Series.GPU_UTILIZATION_PERCENT, "GPU-0"),
            "util_1": (Series.GPU_UTILIZATION_PERCENT, "GPU-1"),
            "power_0": (Series.GPU_POWER_WATTS, "GPU-0"),
            "cpu": (Series.CPU_USED_MILLIS, self.run_id),
            "memory": (Series.MEMORY_USED_BYTES, self.run_id),
        }
        batch = SampleBatch(base_time_nanos=self.clock.now() * 1000, time_deltas_nanos=[0])
        for name, value in values.items():
            batch.series.add(field=fields[name][0], subject=fields[name][1], values=[value])
        readings = self.decoder.decode(batch)
        assert readings is not None
        self.recent.take(self.nodes[node], readings)

    async def live(self, seconds: int, node: int = 0, **values: float) -> None:
        for _ in range(seconds):
            self.measure(node, **values)
            self.clock.advance(1)
            await self.metering.cycle()
        self.measure(node, **values)

    async def used(self, *by: str, **query: Any) -> dict[tuple[str, ...], Used]:
        asked = UsageQuery(group_by=by, **query)
        ledger = await UsageService(self.database, self.clock).get(ADMIN, asked)
        return {row.group: row.used for row in ledger.rows()}


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> World:
    world = World(database)
    await world.start()
    return world


async def test_what_is_used_is_told_beside_what_is_held_once_it_is_stored(world: World):
    values = {"util_0": 50.0, "util_1": 100.0, "power_0": 400.0, "cpu": 500.0, "memory": 1.0 * GIB}
    await world.live(59, **values)
    assert await world.used() == {(): Used()}
    await world.live(2, **values)
    # Stored with the minute, whose last value was yet to come.
    known = 59 * SECOND
    assert await world.used("gpu_type", "user") == {
        ("H100", "ada"): Used(
            gpus=known * 3 // 2,
            gpus_known=2 * known,
            energy=59 * 400_000,
            energy_known=known,
            cpu_millis=500 * 59_000,
            cpu_known=2000 * known,
            memory_kib=1024 * 1024 * 59_000,
            memory_known=4 * GIB * known,
        )
    }
    await world.metering.store()
    (used,) = (await world.used()).values()
    assert used.gpus_known == 2 * 61 * SECOND


async def test_those_who_share_a_gpu_used_of_it_what_they_held_of_it(world: World):
    def share(tx: Transaction) -> list[str]:
        tx.nodes.release(world.nodes[0], world.run_id)
        tx.runs.change(world.run_id, active=False, ended_at=HOUR, end_noted_at=HOUR)
        runs = [
            add_run(
                tx, world.nodes[0], gpu_uuids="GPU-0", gpu_types="H100", gpu_millis=millis,
                created_at=HOUR, started_at=HOUR,
            )
            for millis in (600, 200)
        ]  # fmt: skip
        for run_id in runs:
            hold_all(tx, run_id)
        return [cast("RunRow", tx.runs.get(run_id)).job_id for run_id in runs]

    first, second = await world.database.write(share)
    await world.metering.cycle()
    await world.live(60, util_0=100.0, power_0=400.0)
    await world.metering.store()
    used = await world.used("holder_id")
    # All that the card drew is theirs, and nobody used more of it than was held.
    assert (used[first,].energy, used[second,].energy) == (60 * 300_000, 60 * 100_000)
    for job_id, millis in ((first, 600), (second, 200)):
        assert used[job_id,].gpus == used[job_id,].gpus_known == 60 * SECOND * millis // 1000


async def test_every_cut_of_what_was_used_adds_up(world: World):
    await world.live(61, util_0=33.0, power_0=333.0, cpu=7.0)
    world.clock.advance(2 * SLOT / SECOND)
    await world.live(7, util_0=77.0)
    await world.metering.store()
    (whole,) = (await world.used()).values()
    assert 0 < whole.gpus < whole.gpus_known
    for bucket in (7 * SECOND + 1, 600 * SECOND, SLOT):
        query = UsageQuery(start=HOUR - 5, bucket=bucket)
        ledger = await UsageService(world.database, world.clock).get(ADMIN, query)
        assert ledger.total().used == whole
    parts = Used()
    edges = [HOUR - 1, HOUR + 17 * SECOND, HOUR + SLOT, HOUR + 2 * SLOT + 99, world.clock.now()]
    for start, end in itertools.pairwise(edges):
        for used in (await world.used(start=start, end=end)).values():
            parts.add(used)
    assert parts == whole


async def test_what_a_node_says_of_other_nodes_runs_is_not_believed(world: World):
    await world.live(3, node=1, cpu=999_999.0, util_0=100.0)
    await world.metering.store()
    assert await world.used() == {(): Used()}


async def test_of_runs_that_there_are_not_nothing_is_stored(world: World):
    world.run_id = "run-" + "z" * 26
    await world.live(3, cpu=1.0)
    await world.metering.store()
    assert await world.database.read(lambda tx: tx.measures.nodes_of([world.run_id])) == {}
    assert await world.used() == {(): Used()}


async def test_no_more_is_known_than_was_held(world: World):
    def store(tx: Transaction) -> None:
        tx.runs.change(world.run_id, active=False, end_noted_at=world.clock.now())
        tx.measures.add(
            [
                {
                    "holder_id": world.run_id, "slot": HOUR,
                    "gpu_used": 999 * SECOND, "gpu_known": 999 * SECOND,
                    "energy": 5, "energy_known": 999 * SECOND,
                    "cpu_used": 5, "cpu_known": 999 * SECOND,
                    "memory_used": 5, "memory_known": 999 * SECOND,
                }
            ]
        )  # fmt: skip

    world.clock.advance(10)
    await world.database.write(store)
    (used,) = (await world.used()).values()
    assert (used.gpus, used.gpus_known) == (20 * SECOND, 20 * SECOND)
    assert (used.cpu_known, used.memory_known) == (2000 * 10 * SECOND, 4 * GIB * 10 * SECOND)


async def test_only_the_usage_that_is_asked_for_is_told(world: World):
    await world.live(3, util_0=100.0)
    await world.metering.store()
    used = Used(gpus=3 * SECOND, gpus_known=3 * SECOND)
    for query in ({"user": "ada"}, {"node_id": world.nodes[0]}, {"gpu_type": "h100"}):
        assert await world.used(**query) == {(): used}
    for query in ({"user": "bob"}, {"node_id": world.nodes[1]}, {"gpu_type": "A100"}):
        assert await world.used(**query) == {}
    assert await world.used("label:team", "holder_id", "kind", labels=(("a", "b"),)) == {}


async def test_what_cannot_be_stored_is_kept_for_the_next_time(world: World):
    await world.live(3, util_0=100.0)

    class Broken:
        async def write(self, _work: Any) -> None:
            raise OSError("the disk is full")

    broken: Any = Broken()
    with pytest.raises(OSError, match="full"):
        await UsageMetering(broken, world.meter, world.clock).store()
    await world.live(1, util_0=100.0)
    await world.metering.store()
    (used,) = (await world.used()).values()
    assert used.gpus == 4 * SECOND


async def test_many_holders_are_stored_in_parts(world: World):
    def store(tx: Transaction) -> list[str]:
        return [add_run(tx, world.nodes[0]) for _ in range(1201)]

    run_ids = await world.database.write(store)
    for run_id in run_ids:
        place = (run_id, world.nodes[0], HOUR)
        world.meter.give_back({place: Measured(cpu_used=1, cpu_known=SECOND)})
    world.clock.advance(5)
    await world.metering.store()
    used = (await world.used("holder_id")).values()
    assert sum(one.cpu_millis for one in used) == 1201
