"""The health of nodes on both engines, with the scheduler and reports by hand."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.health import health_service
from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ScheduledWorld
from windlass.agents.v1.agent_pb2 import Inventory
from windlass.agents.v1.health_pb2 import GpuReport, HealthReport, Xid
from windlass.resources.v1 import node_pb2, resources_service_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.access.service import AccessService
from windlass_server.errors import NotFound
from windlass_server.jobs.states import Status
from windlass_server.paging import PageTokens
from windlass_server.resources.health import NodeHealthService
from windlass_server.resources.health_policy import Policy
from windlass_server.resources.maintenance import State
from windlass_server.resources.node_message import node_message
from windlass_server.resources.service import ResourcesService, views
from windlass_server.resources.upkeep import NodeUpkeep
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import RunRow
from windlass_server.telemetry.latest import LatestTelemetry

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

# A day in which a run leaves, its GPU is reset and watched.
QUIET, BURN_IN = 600, 60


class Health(ScheduledWorld):
    """A cluster that is told of the state of its devices."""

    service: NodeHealthService
    upkeep: NodeUpkeep
    woken: list[str]

    def with_health(self, policy: Policy | None = None) -> None:
        """Have the service, with these rules."""
        self.woken = []
        self.upkeep = NodeUpkeep(
            self.database,
            self.clock,
            evict=self.runs.evict,
            revoke=self.allocations.revoke,
            capacity_changed=lambda: None,
            drain_began=lambda: None,
        )
        self.service = health_service(
            self.database,
            self.clock,
            self.upkeep,
            tell_run=self.runs.device_failed,
            woken=self.woken,
            policy=policy,
        )

    async def gpu_node(self, name: str = "n1", gpus: int = 2) -> str:
        """A node with GPUs that has said hello."""
        node_id = await self.add_node(name, inventory=_inventory(gpus).SerializeToString())
        await self.hello(node_id, _inventory(gpus))
        return node_id

    async def hello(self, node_id: str, inventory: Inventory) -> None:
        def store(tx: Any) -> None:
            before = tx.nodes.get(node_id)
            self.store_hello(tx, node_id, inventory)
            self.service.greet(tx, before, inventory, self.clock.now())

        await self.database.write(store)

    async def told(self, node_id: str, *codes: int, gpu: int = 0, **values: Any) -> None:
        """A report in which one GPU has had these XIDs and is like this."""
        xids = [
            Xid(number=number, time_nanos=self.clock.now() * 1000, code=code)
            for number, code in enumerate(codes, start=1)
        ]
        report = GpuReport(uuid=f"GPU-{gpu}", xids=xids, **values)
        await self.service.report(node_id, HealthReport(agent_start=1, gpus=[report]))

    async def passing(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)
        await self.service.look()

    async def shown(self, node_id: str, who: Caller = ADMIN) -> node_pb2.Node:
        access: AccessService = None  # type: ignore[assignment] - makes join tokens alone
        resources = ResourcesService(self.database, access, PageTokens(b"page"))
        view = await resources.get(who, node_id)
        return node_message(view, LatestTelemetry(self.clock), self.clock.now())

    async def condition(self, node_id: str, kind: str) -> node_pb2.NodeCondition:
        node = await self.shown(node_id)
        (found,) = [one for one in node.conditions if one.type == kind]
        return found

    async def events(self, object_id: str) -> list[str]:
        rows = await self.database.read(lambda tx: tx.events.page(object_id, after=0, size=99))
        return [row.reason for row in rows]

    async def run(self, run_id: str) -> RunRow:
        row = await self.database.read(lambda tx: tx.runs.get(run_id))
        assert row is not None
        return row

    async def placed(self, gpus: int = 1, *, share: int = 0) -> str:
        """A job that runs on GPUs, or on a share of one; its id."""
        job_id = await self.add_job(gpu_count=gpus, gpu_millis=share)
        assert (await self.cycle(job_id)).status == Status.SCHEDULED
        await self.report(job_id, "RUNNING")
        return job_id


def _inventory(gpus: int, **values: Any) -> Inventory:
    inventory = an_inventory(gpus=gpus, **values)
    inventory.can_reset_gpus = True
    return inventory


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[Health]:
    world = await Health.start(database, tmp_path)
    world.with_health()
    yield world
    await world.logs.close()


async def test_a_gpu_that_failed_is_given_to_nobody_and_comes_back_by_itself(
    world: Health,
) -> None:
    node_id = await world.gpu_node(gpus=1)
    await world.told(node_id, 48)

    gpu = (await world.shown(node_id)).gpus[0]
    assert (gpu.health, gpu.health_reason) == (gpu.UNHEALTHY, "XID_48")
    assert (await world.shown(node_id)).available.gpu_count == 0
    job = await world.add_job(gpu_count=1)
    assert (await world.cycle(job)).status_reason == "INSUFFICIENT_GPUS"

    await world.passing(1)
    assert world.woken == [node_id]
    (order,) = world.service.resets(node_id)
    assert (order.gpu_uuid, order.generation) == ("GPU-0", 1)
    assert (await world.shown(node_id)).gpus[0].health == node_pb2.Gpu.RECOVERING
    await world.told(node_id, 48, reset_done=1)
    await world.passing(BURN_IN - 1)
    assert world.service.resets(node_id) == []
    assert (await world.cycle(job)).status == Status.QUEUED
    await world.passing(1)

    assert (await world.shown(node_id)).gpus[0].health == node_pb2.Gpu.HEALTHY
    assert (await world.cycle(job)).status == Status.SCHEDULED
    assert (await world.events(node_id)) == ["GPU_UNHEALTHY", "GPU_RECOVERING", "GPU_HEALTHY"]
    assert world.woken == [node_id]


# The memory lost data: the task starts again, and nothing is wrong with the card afterwards.
RESTARTS_TASK = 94


async def test_a_run_that_has_to_leave_does_so_though_the_server_died_before_it_told_it(
    world: Health,
) -> None:
    node_id = await world.gpu_node()
    job_id = await world.placed()
    run_id = (await world.job(job_id)).run_id

    async def die(run_id: str, *, why: str, stop: bool) -> None:
        raise KeyboardInterrupt

    world.service._tell_run = die
    with pytest.raises(KeyboardInterrupt):
        await world.told(node_id, RESTARTS_TASK)
    assert (await world.run(run_id)).device_fault == ""

    world.with_health()
    await world.passing(1)

    run = await world.run(run_id)
    assert "XID_94" in run.device_fault
    assert run.stopping_since is not None
    events = await world.events(job_id)
    assert events.count("GPU_FAULT") == 1
    await world.passing(1)
    assert await world.events(job_id) == events
    assert await world.database.read(lambda tx: tx.nodes.ailing()) == []


async def test_all_that_share_a_gpu_that_failed_leave_and_it_is_reset_when_the_last_has_gone(
    world: Health,
) -> None:
    await world.share_gpus()
    node_id = await world.gpu_node(gpus=1)
    jobs = [await world.placed(share=millis) for millis in (250, 500)]
    gpu = (await world.shown(node_id)).gpus[0]
    assert (gpu.run_id, [share.gpu_millis for share in gpu.shares]) == ("", [250, 500])
    assert (await world.shown(node_id)).available.gpu_count == 0

    await world.told(node_id, 95)
    told = [await world.job(job_id) for job_id in jobs]
    assert [job.status_reason for job in told] == ["GPU_FAULT", "GPU_FAULT"]
    (fault,) = (await world.shown(node_id)).gpus[0].faults
    assert (fault.run_id, fault.job_id) == ("", "")  # nobody's alone
    await world.report(jobs[0], "EXITED", cause="STOPPED", exit_signal=15)
    await world.passing(1)
    assert world.service.resets(node_id) == []  # the other still has its share
    await world.report(jobs[1], "EXITED", cause="STOPPED", exit_signal=15)
    await world.passing(1)
    assert [order.gpu_uuid for order in world.service.resets(node_id)] == ["GPU-0"]


async def test_the_run_of_a_gpu_that_failed_leaves_and_its_job_runs_again_elsewhere(
    world: Health,
) -> None:
    node_id = await world.gpu_node()
    job_id = await world.placed()
    await world.told(node_id, 95)
    told = await world.job(job_id)
    assert (told.status, told.status_reason) == (Status.RUNNING, "GPU_FAULT")
    assert told.status_message.startswith("GPU 0 (GPU-0): XID_95, the memory lost data")
    await world.passing(1)
    assert world.service.resets(node_id) == []  # it still holds the card

    await world.report(job_id, "EXITED", cause="STOPPED", exit_signal=15)

    again = await world.job(job_id)
    assert (again.status, again.status_reason) == (Status.QUEUED, "GPU_FAULT")
    await world.passing(1)
    assert len(world.service.resets(node_id)) == 1
    other = await world.gpu_node("n2", gpus=1)
    assert (await world.cycle(job_id)).node_id == other
    fault = (await world.shown(node_id)).gpus[0].faults[0]
    assert (fault.kind, fault.xid, fault.job_id) == ("XID_95", 95, job_id)
    assert fault.action == node_pb2.GpuFault.RESET_GPU
    assert fault.run_id


@pytest.mark.parametrize(
    ("codes", "exit_code", "status", "reason"),
    [
        ((94,), 1, Status.QUEUED, "GPU_FAULT"),
        ((94,), 0, Status.SUCCEEDED, "COMPLETED"),
        ((94,), 85, Status.QUEUED, "REQUEUE_REQUESTED"),
        # A program that misuses its memory has itself to blame.
        ((31,), 1, Status.FAILED, "NONZERO_EXIT"),
    ],
)
async def test_a_command_that_fails_with_its_gpu_is_no_failure_of_its_job(
    world: Health, codes: tuple[int, ...], exit_code: int, status: Status, reason: str
) -> None:
    node_id = await world.gpu_node()
    job_id = await world.placed()
    await world.told(node_id, *codes)
    assert (await world.job(job_id)).status_reason == "GPU_FAULT"  # told either way
    await world.report(job_id, "EXITED", cause="COMPLETED", exit_code=exit_code)
    ended = await world.job(job_id)
    assert (ended.status, ended.status_reason) == (status, reason)


async def test_a_repeated_report_tells_a_job_nothing_again(world: Health) -> None:
    node_id = await world.gpu_node()
    job_id = await world.placed()
    for _ in range(3):
        await world.told(node_id, 31, 95)
        await world.passing(1)
    assert (await world.events(job_id)).count("GPU_FAULT") == 2
    assert len((await world.shown(node_id)).gpus[0].faults) == 2


async def test_the_job_of_a_fault_is_shown_to_those_who_may_see_it(world: Health) -> None:
    node_id = await world.gpu_node()
    job_id = await world.placed()
    await world.told(node_id, 95)
    assert (await world.shown(node_id)).gpus[0].faults[0].job_id == job_id
    member = Caller("eve", roles={"other": Role.ADMIN})
    seen = await world.database.read(lambda tx: tx.nodes.get(node_id))
    assert seen is not None
    (view,) = await world.database.read(lambda tx: views(tx, member, [seen]))
    told = node_message(view, LatestTelemetry(world.clock), world.clock.now()).gpus[0].faults[0]
    assert (told.kind, told.job_id) == ("XID_95", "")


async def test_a_card_that_fell_off_the_bus_drains_its_node_which_opens_when_it_is_back(
    world: Health,
) -> None:
    node_id = await world.gpu_node()
    await world.told(node_id, 79, lost=True)
    node = await world.shown(node_id)
    assert (node.status, node.maintenance.actor) == (node_pb2.Node.DRAINED, "system/health")
    assert "fallen off the bus" in node.maintenance.reason
    healthy = await world.condition(node_id, "GpusHealthy")
    assert (healthy.status, healthy.reason) == (node_pb2.NodeCondition.FALSE, "GPU_LOST")
    await world.told(node_id, 79)
    await world.passing(QUIET)
    assert (await world.shown(node_id)).status == node_pb2.Node.READY
    assert (await world.shown(node_id)).gpus[0].health == node_pb2.Gpu.RECOVERING
    await world.passing(BURN_IN)
    assert (await world.shown(node_id)).gpus[0].health == node_pb2.Gpu.HEALTHY
    healthy = await world.condition(node_id, "GpusHealthy")
    assert healthy.status == node_pb2.NodeCondition.TRUE


async def test_what_runs_on_the_other_cards_of_a_node_that_is_drained_goes_on(
    world: Health,
) -> None:
    node_id = await world.gpu_node()
    job_id = await world.placed()
    held = (await world.shown(node_id)).runs[0].gpu_uuids[0]
    await world.told(node_id, gpu=1 if held == "GPU-0" else 0, lost=True)
    assert (await world.shown(node_id)).status == node_pb2.Node.DRAINING
    await world.upkeep.empty_draining()
    (directive,) = await world.runs.directives(node_id)
    assert directive.want == 1
    await world.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)
    await world.upkeep.empty_draining()
    assert (await world.shown(node_id)).status == node_pb2.Node.DRAINED


@pytest.mark.parametrize(
    ("smaller", "reason"),
    [
        (_inventory(1), "GPU_MISSING"),
        (_inventory(2, cpu_millis=4000), "CPU_SHRUNK"),
        (_inventory(2, memory_bytes=8 << 30), "MEMORY_SHRUNK"),
    ],
)
async def test_a_node_that_comes_back_with_less_is_drained_and_opens_when_it_is_whole(
    world: Health, smaller: Inventory, reason: str
) -> None:
    node_id = await world.gpu_node()
    await world.hello(node_id, smaller)
    complete = await world.condition(node_id, "InventoryComplete")
    assert (complete.status, complete.reason) == (node_pb2.NodeCondition.FALSE, reason)
    node = await world.shown(node_id)
    assert (node.status, node.maintenance.reason) == (node_pb2.Node.DRAINED, complete.message)
    await world.hello(node_id, _inventory(2))
    assert (await world.shown(node_id)).status == node_pb2.Node.READY
    complete = await world.condition(node_id, "InventoryComplete")
    assert complete.status == node_pb2.NodeCondition.TRUE


async def test_an_operator_who_opens_a_node_takes_it_as_it_is(world: Health) -> None:
    node_id = await world.gpu_node()
    await world.hello(node_id, _inventory(1))
    await world.upkeep.uncordon(ADMIN, node_id)
    for _ in range(2):
        await world.passing(60)
        await world.hello(node_id, _inventory(1))
        assert (await world.shown(node_id)).status == node_pb2.Node.READY
    complete = await world.condition(node_id, "InventoryComplete")
    assert complete.status == node_pb2.NodeCondition.TRUE
    await world.hello(node_id, _inventory(0))
    assert (await world.shown(node_id)).status == node_pb2.Node.DRAINED


async def test_what_an_operator_has_overruled_counts_again_when_it_happens_again(
    world: Health,
) -> None:
    node_id = await world.gpu_node()
    await world.told(node_id, lost=True)
    await world.upkeep.uncordon(ADMIN, node_id)
    await world.passing(1)
    node = await world.shown(node_id)
    assert (node.status, node.gpus[0].health) == (node_pb2.Node.READY, node_pb2.Gpu.UNHEALTHY)
    await world.told(node_id)
    await world.passing(QUIET)
    await world.told(node_id, lost=True)
    assert (await world.shown(node_id)).status == node_pb2.Node.DRAINED


async def test_a_card_that_its_agent_cannot_reset_comes_back_when_an_operator_says_so(
    world: Health,
) -> None:
    inventory = an_inventory(gpus=1)
    node_id = await world.add_node("n1", inventory=inventory.SerializeToString())
    await world.hello(node_id, inventory)
    await world.told(node_id, 48)
    await world.passing(24 * 3600)
    assert (await world.shown(node_id)).gpus[0].health == node_pb2.Gpu.UNHEALTHY
    await world.upkeep.uncordon(ADMIN, node_id)
    assert (await world.shown(node_id)).gpus[0].health == node_pb2.Gpu.RECOVERING
    await world.passing(BURN_IN)
    assert (await world.shown(node_id)).gpus[0].health == node_pb2.Gpu.HEALTHY


async def test_what_an_operator_has_closed_is_not_opened_by_its_health(world: Health) -> None:
    node_id = await world.gpu_node()
    await world.upkeep.cordon(ADMIN, node_id, "fan")
    await world.hello(node_id, _inventory(1))
    await world.hello(node_id, _inventory(2))
    node = await world.shown(node_id)
    assert (node.status, node.maintenance.reason) == (node_pb2.Node.CORDONED, "fan")


async def test_a_full_disk_closes_a_node_until_there_is_room(world: Health) -> None:
    node_id = await world.gpu_node()
    for free, status in ((0, "CORDONED"), (3 << 30, "CORDONED"), (9 << 30, "READY")):
        report = HealthReport(agent_start=1, disk_total_bytes=100 << 30, disk_free_bytes=free)
        await world.service.report(node_id, report)
        assert node_pb2.Node.Status.Name((await world.shown(node_id)).status) == status
        space = await world.condition(node_id, "DiskSpaceLeft")
        assert (space.status == node_pb2.NodeCondition.TRUE) == (status == "READY")


async def test_a_node_that_fails_different_jobs_takes_no_more_for_an_hour(world: Health) -> None:
    node_id = await world.gpu_node(gpus=8)
    for _ in range(3):
        assert (await world.shown(node_id)).status == node_pb2.Node.READY
        job_id = await world.placed()
        await world.report(job_id, "EXITED", cause="LAUNCH_FAILED")
        world.clock.advance(600)
        await world.service.look()
    node = await world.shown(node_id)
    assert (node.status, node.maintenance.reason) == (
        node_pb2.Node.CORDONED,
        "it has failed 3 different jobs of late that no other node failed",
    )
    await world.passing(3600)
    assert (await world.shown(node_id)).status == node_pb2.Node.READY


async def test_a_job_that_fails_everywhere_is_not_its_nodes_fault(world: Health) -> None:
    nodes = [await world.gpu_node(f"n{number}") for number in range(5)]
    job_id = await world.placed()
    for _ in nodes:
        await world.report(job_id, "EXITED", cause="LAUNCH_FAILED")
        await world.passing(1)
        await world.cycle(job_id)
    ended = await world.job(job_id)
    assert (ended.status, ended.status_reason) == (Status.FAILED, "TOO_MANY_NODE_FAULTS")
    assert "5 different nodes failed, so look at the job first" in ended.status_message
    states = {(await world.shown(node_id)).status for node_id in nodes}
    assert states == {node_pb2.Node.READY}


async def test_a_machine_that_was_booted_is_watched_and_open_again(world: Health) -> None:
    node_id = await world.gpu_node()
    await world.told(node_id, 79)
    booted = _inventory(2)
    booted.boot_id = "boot-2"
    await world.hello(node_id, booted)
    node = await world.shown(node_id)
    assert (node.status, node.gpus[0].health_reason) == (node_pb2.Node.READY, "BURN_IN")
    await world.passing(BURN_IN)
    assert (await world.shown(node_id)).gpus[0].health == node_pb2.Gpu.HEALTHY


async def test_nothing_is_known_of_a_node_that_cannot_be_reached(world: Health) -> None:
    node_id = await world.gpu_node()
    await world.told(node_id, 92)
    await world.database.write(
        lambda tx: tx.nodes.mark_unreachable(
            node_id, seen_at=world.clock.now(), reason="AGENT_SILENT", message="silent"
        )
    )
    lost_at = world.clock.now()
    await world.passing(QUIET)
    node = await world.shown(node_id)
    connected, *others = node.conditions
    assert (connected.type, connected.status) == ("AgentConnected", node_pb2.NodeCondition.FALSE)
    assert connected.reason == "AGENT_SILENT"
    assert {one.status for one in others} == {node_pb2.NodeCondition.UNKNOWN}
    assert node.gpus[0].health == node_pb2.Gpu.SUSPECT  # nobody saw that it was quiet
    assert connected.last_transition_time.ToMicroseconds() <= lost_at
    await world.hello(node_id, _inventory(2))
    await world.passing(QUIET)
    assert (await world.shown(node_id)).gpus[0].health == node_pb2.Gpu.HEALTHY


async def test_what_a_node_tells_of_its_cards_is_shown(world: Health) -> None:
    node_id = await world.gpu_node()
    await world.told(
        node_id,
        13,
        ecc_errors={"corrected_volatile": 3, "uncorrected_aggregate": 4},
        remapped_rows={"correctable": 1},
        pcie_link={"generation": 4, "width": 8, "max_generation": 5, "max_width": 16},
    )
    gpu, other = (await world.shown(node_id)).gpus
    assert (gpu.ecc_errors.corrected_volatile, gpu.ecc_errors.uncorrected_aggregate) == (3, 4)
    assert (gpu.remapped_rows.correctable, gpu.pcie_link.width) == (1, 8)
    assert [(fault.kind, fault.run_id) for fault in gpu.faults] == [("XID_13", "")]
    assert gpu.health == node_pb2.Gpu.HEALTHY
    assert not other.HasField("ecc_errors")


async def test_the_last_faults_are_kept_the_newest_first(world: Health) -> None:
    node_id = await world.gpu_node()
    await world.told(node_id, *([13, 31] * 10), 31)
    faults = (await world.shown(node_id)).gpus[0].faults
    assert len(faults) == 16
    assert [(fault.xid, fault.count) for fault in faults[:2]] == [(31, 2), (13, 1)]


async def test_reports_of_nobody_and_of_cards_that_are_none_of_its_own_change_nothing(
    world: Health,
) -> None:
    node_id = await world.gpu_node()
    before = await world.shown(node_id)
    await world.told(node_id, 79, gpu=7)
    assert await world.shown(node_id) == before
    with pytest.raises(NotFound):
        await world.told("node-01jh0000000000000000000000", 79)


async def test_allocations_hold_a_card_back_from_its_reset(world: Health) -> None:
    node_id = await world.gpu_node()
    wanted = resources_service_pb2.AllocateRequest(project="default")
    wanted.resources.gpu_count = 2
    row = await world.allocations.allocate(ADMIN, wanted)
    await world.told(node_id, 48)
    await world.passing(1)
    assert world.service.resets(node_id) == []
    await world.allocations.release(ADMIN, row.allocation_id, force=False)
    await world.passing(1)
    assert len(world.service.resets(node_id)) == 1


async def test_a_server_that_starts_anew_orders_what_was_ordered(world: Health) -> None:
    node_id = await world.gpu_node()
    await world.told(node_id, 48)
    await world.passing(1)
    world.with_health()
    assert world.service.resets(node_id) == []
    await world.passing(0)
    assert [order.generation for order in world.service.resets(node_id)] == [1]
    assert world.woken == [node_id]


async def test_maintenance_of_health_is_numbered_like_all_other(world: Health) -> None:
    node_id = await world.gpu_node()
    await world.told(node_id, lost=True)
    row = await world.database.read(lambda tx: tx.nodes.get(node_id))
    assert row is not None
    assert row.maintenance == State.DRAINED
    assert await world.events(node_id) == ["GPU_UNHEALTHY", "DRAINING", "DRAINED"]


async def test_an_instance_of_a_divided_card_is_not_reset_and_waits_for_a_boot(
    world: Health,
) -> None:
    inventory = _inventory(1)
    part = inventory.gpus[0].mig_instance
    part.parent_uuid, part.profile = "GPU-9", "3g.40gb"
    node_id = await world.add_node("n1", inventory=inventory.SerializeToString())
    await world.hello(node_id, inventory)
    await world.told(node_id, 48)
    await world.passing(3600)
    node = await world.shown(node_id)
    assert node.gpus[0].mig_instance.profile == "3g.40gb"
    assert (node.gpus[0].health, node.status) == (node_pb2.Gpu.UNHEALTHY, node_pb2.Node.READY)
    assert world.service.resets(node_id) == []
    inventory.boot_id = "boot-2"
    await world.hello(node_id, inventory)
    assert (await world.shown(node_id)).gpus[0].health_reason == "BURN_IN"
