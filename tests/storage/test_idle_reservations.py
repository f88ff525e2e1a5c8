"""What is reserved and not used is charged to those whom it was reserved for, on both engines."""

from collections.abc import AsyncIterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.nodes import GIB, an_inventory
from tests.support.upkeep import Upkeep
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import reservation_pb2, resources_service_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.ids import IdSource
from windlass_server.jobs.states import Status
from windlass_server.paging import PageTokens
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.ledger import Loss, Row
from windlass_server.resources.reservations import ReservationsService
from windlass_server.resources.usage import UsageQuery, UsageService
from windlass_server.storage.engine import Database
from windlass_server.timestamps import to_proto

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

MINUTE = 60_000_000
OTHERS = Caller("eve", roles={"other": Role.VIEWER})


class World(Upkeep):
    """One node with eight GPUs and 8 cores, of which parts are reserved."""

    ids: IdSource

    async def reserve(self, minutes: int, gpus: int, *, after: int = 0, **wanted: Any) -> str:
        start = self.clock.now() + after * MINUTE
        spec = reservation_pb2.Reservation(
            project="" if wanted.get("maintenance") else "vision",
            resources={"gpu_count": gpus, "cpu_millis": 1000 * gpus},
        )
        spec.MergeFrom(reservation_pb2.Reservation(**wanted))
        spec.start_time.CopyFrom(to_proto(start))
        spec.end_time.CopyFrom(to_proto(start + minutes * MINUTE))
        request = resources_service_pb2.CreateReservationRequest(reservation=spec)
        return (await self.reservations.create(ADMIN, request)).row.reservation_id

    @property
    def reservations(self) -> ReservationsService:
        cluster = Cluster(self.database, (), lambda _node_id: frozenset())
        tokens = PageTokens(b"page tokens")
        return ReservationsService(self.database, cluster, self.clock, self.ids, tokens)

    async def run(
        self, minutes: float, gpus: int, project: str = "vision", *, share: int = 0
    ) -> None:
        """Let a job run for so long."""
        job_id = await self.add_job(
            spec=job_pb2.Job().SerializeToString(),
            gpu_count=gpus,
            gpu_millis=share,
            project=project,
        )
        assert (await self.cycle(job_id)).status == Status.SCHEDULED
        await self.report(job_id, "RUNNING")
        self.clock.advance(minutes * 60)
        await self.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)

    async def rows(self, *by: str, who: Caller = ADMIN, **query: Any) -> list[Row]:
        service = UsageService(self.database, self.clock)
        return (await service.get(who, UsageQuery(group_by=by, **query))).rows()

    async def idle(self, **query: Any) -> dict[str, int]:
        """GPU minutes that reservations kept for nothing, by their ids."""
        rows = await self.rows("kind", "holder_id", **query)
        found = [row for row in rows if row.group[0] == "RESERVATION"]
        assert all(row.wasted[Loss.HOLD] == row.held for row in found)
        return {row.group[1]: row.held.gpu_millis // (1000 * MINUTE) for row in found}


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    world.ids = IdSource(world.clock)

    def store(tx: Any) -> None:
        for project in ("vision", "other"):
            tx.access.add_project(project, "windlass", "", world.clock.now())

    await world.database.write(store)
    inventory = an_inventory(gpus=8, memory_bytes=64 * GIB)
    await world.add_node("n1", inventory=inventory.SerializeToString())
    yield world
    await world.logs.close()


async def test_of_a_card_that_is_kept_a_share_uses_its_part(world: World):
    await world.share_gpus()
    made = await world.reserve(60, gpus=1)
    await world.run(40, gpus=1, share=250)
    world.clock.advance(120 * 60)
    assert await world.idle() == {made: 20 + 40 * 3 // 4}


async def test_what_is_kept_and_not_used_is_held_by_its_project_for_nothing(world: World):
    made = await world.reserve(60, gpus=4)
    world.clock.advance(15 * 60)
    await world.run(30, gpus=3)
    world.clock.advance(120 * 60)
    assert await world.idle() == {made: 4 * 60 - 3 * 30}
    (row,) = [
        row
        for row in await world.rows("kind", "project", "gpu_type", "user")
        if row.group[0] == "RESERVATION"
    ]
    assert row.group == ("RESERVATION", "vision", "H100", ADMIN.user)
    # Of the four cores one was used while the job ran.
    assert row.held.cpu_millis == (4000 * 60 - 1000 * 30) * MINUTE


async def test_what_others_use_and_what_is_used_beyond_does_not_count(world: World):
    made = await world.reserve(60, gpus=4)
    await world.run(10, gpus=4, project="other")
    await world.run(10, gpus=8)
    world.clock.advance(60 * 60)
    assert await world.idle() == {made: 4 * 60 - 4 * 10}


async def test_time_to_come_is_not_charged_and_time_behind_a_cancel_is_not(world: World):
    made = await world.reserve(60, gpus=4, after=30)
    assert await world.idle() == {}
    world.clock.advance(40 * 60)
    assert await world.idle() == {made: 4 * 10}
    await world.reservations.cancel(ADMIN, made)
    world.clock.advance(40 * 60)
    assert await world.idle() == {made: 4 * 10}


async def test_each_time_of_one_that_comes_again_is_charged(world: World):
    # The clock stands at 08:00 UTC.
    made = await world.reserve(60, gpus=2, recurrence={"cron": "0 9 * * *"})
    world.clock.advance(49.5 * 3600)
    assert await world.idle() == {made: 2 * (60 + 60 + 30)}


async def test_maintenance_is_charged_to_nobody(world: World):
    await world.reserve(60, gpus=8, maintenance=True)
    world.clock.advance(3600)
    assert await world.idle() == {}


async def test_what_a_job_uses_of_one_reservation_is_still_kept_by_another(world: World):
    first, second = await world.reserve(60, gpus=3), await world.reserve(60, gpus=3)
    await world.run(60, gpus=4)
    # Of the first its CPU is left.
    assert await world.idle() == {first: 0, second: 2 * 60}
    assert await world.idle(user=ADMIN.user) == {first: 0, second: 2 * 60}


async def test_only_those_whom_it_is_for_use_it(world: World):
    made = await world.reserve(60, gpus=2, users=["bob"])
    other = await world.reserve(60, gpus=2, project="other")
    await world.run(30, gpus=2)  # ada's
    await world.run(20, gpus=1, project="other")
    world.clock.advance(3600)
    assert await world.idle() == {made: 2 * 60, other: 2 * 60 - 20}


async def test_an_allocation_uses_what_is_kept_too(world: World):
    made = await world.reserve(60, gpus=4)
    wanted = resources_service_pb2.AllocateRequest(project="vision")
    wanted.resources.gpu_count = 4
    wanted.ttl.FromSeconds(3600)
    ada = Caller("ada", default_project="vision", roles={"vision": Role.DEVELOPER})
    row = await world.allocations.allocate(ada, wanted)
    world.clock.advance(20 * 60)
    await world.allocations.release(ada, row.allocation_id, force=False)
    world.clock.advance(60 * 60)
    assert await world.idle() == {made: 4 * 40}


async def test_every_breakdown_adds_up_to_the_same(world: World):
    start = world.clock.now()
    await world.reserve(60, gpus=4)
    await world.reserve(45, gpus=2, after=20, project="other")
    await world.run(10, gpus=3)
    await world.run(25, gpus=2, project="other")
    world.clock.advance(90 * 60)
    names = ("project", "user", "node_id", "pool_id", "gpu_type", "kind", "holder_id")
    (whole,) = await world.rows(start=start)
    for by in [*combinations(names, 1), *combinations(names, 2), names]:
        for bucket in (None, 7 * MINUTE, 60 * MINUTE):
            rows = await world.rows(*by, start=start, bucket=bucket)
            assert sum(row.held.gpu_millis for row in rows) == whole.held.gpu_millis
            assert sum(row.held.cpu_millis for row in rows) == whole.held.cpu_millis
            assert (
                sum(row.wasted[Loss.HOLD].gpu_millis for row in rows)
                == whole.wasted[Loss.HOLD].gpu_millis
            )
    parts = [await world.rows(start=start, project=name) for name in ("vision", "other")]
    assert sum(rows[0].held.gpu_millis for rows in parts) == whole.held.gpu_millis


async def test_only_those_who_may_see_the_projects_usage_see_it(world: World):
    await world.reserve(60, gpus=4)
    world.clock.advance(3600)
    assert await world.idle(who=OTHERS) == {}
    assert await world.idle(queue="default") == {}
    assert await world.idle(labels=(("team", "a"),)) == {}
