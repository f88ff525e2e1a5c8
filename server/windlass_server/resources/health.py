"""Keeps the health of nodes and their GPUs: takes reports, lets time pass, and acts on both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from windlass.agents.v1.agent_pb2 import Inventory
from windlass.agents.v1.health_pb2 import GpuHealth, HealthReport, NodeHealth, ResetDirective
from windlass_server import actors
from windlass_server.access.policy import ORGANISATION, absent
from windlass_server.clock import Clock
from windlass_server.resources import gpu_health
from windlass_server.resources.gpu_health import Fault, Health
from windlass_server.resources.health_policy import Policy
from windlass_server.resources.health_record import (
    facts_of,
    forget_instances,
    is_ailing,
    look_at,
    note_conditions,
    note_faults,
    note_inventory,
    note_report,
    read_state,
    unusable,
    write_state,
)
from windlass_server.resources.maintenance import shown
from windlass_server.resources.node_conditions import NodeFault, blamed, causes, conditions, wanted
from windlass_server.resources.states import Status
from windlass_server.resources.upkeep import NodeUpkeep
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed
from windlass_server.storage.tables import NodeRow
from windlass_server.storage.transaction import Transaction

# As RunExit.Cause.
_LOST = 7
# Nodes that one transaction lets time pass for.
_AT_ONCE = 32


class TellRun(Protocol):
    """Tells a run's job of a fault of a GPU that it holds; harmless when repeated."""

    def __call__(self, run_id: str, *, why: str, stop: bool) -> Any: ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A run whose GPU has failed, how, and whether it has to leave."""

    run_id: str
    why: str
    stop: bool


class NodeHealthService:
    """Judges nodes by what they report.

    Args:
        upkeep: closes and opens nodes.
        policy: what is done about each fault.
        tell_run: tells the job of a run.
        capacity_changed: called when GPUs can be given to jobs, or cannot any more.
        resets_changed: called with a node's id when it has to reset GPUs.
        ailing: called when there is news for `look`.
    """

    def __init__(
        self,
        database: Database,
        upkeep: NodeUpkeep,
        clock: Clock,
        policy: Policy,
        *,
        tell_run: TellRun,
        capacity_changed: Callable[[], None],
        resets_changed: Callable[[str], None],
        ailing: Callable[[], None],
    ) -> None:
        self._database = database
        self._upkeep = upkeep
        self._clock = clock
        self._policy = policy
        self._tell_run = tell_run
        self._capacity_changed = capacity_changed
        self._resets_changed = resets_changed
        self._ailing = ailing
        # Of every node with any, as of the last look; so that a heartbeat asks no database.
        self._resets: dict[str, dict[str, int]] = {}

    def resets(self, node_id: str) -> Sequence[ResetDirective]:
        """The GPUs that a node shall reset."""
        orders = self._resets.get(node_id, {})
        return [ResetDirective(gpu_uuid=uuid, generation=one) for uuid, one in orders.items()]

    async def report(self, node_id: str, report: HealthReport) -> None:
        """Take a node's report of its devices.

        Raises:
            NotFound: there is no such node.
        """

        def store(tx: Transaction) -> list[Hit]:
            node = tx.nodes.lock(node_id)
            if node is None:
                raise absent("node", node_id)
            record = NodeHealth.FromString(node.health)
            runs = _runs_by_gpu(tx, node_id)
            hits = self._take(record, report, runs, _indexes(node))
            _want_to_leave(record, hits)
            note_report(record, report)
            self._settle(tx, node, record)
            if is_ailing(record):
                tx.after_commit(self._ailing)
            return hits

        await self._tell(await self._database.write(store))

    def greet(self, tx: Transaction, before: NodeRow, inventory: Inventory, now: int) -> None:
        """Judge what a node says that it has, within the transaction that stores it.

        Args:
            tx: the transaction.
            before: the node as it was stored until now.
            inventory: what it has.
            now: in microseconds.
        """
        node = tx.nodes.lock(before.node_id)
        assert node is not None
        record = NodeHealth.FromString(node.health)
        boot_id = Inventory.FromString(before.inventory).boot_id
        booted = before.connected_at is not None and boot_id != inventory.boot_id
        for gpu in record.gpus:
            state = read_state(gpu)
            state = gpu_health.booted(state, now) if booted else gpu_health.returned(state, now)
            write_state(gpu, state)
        self._note(tx, node, record, before, inventory)

    def restocked(self, tx: Transaction, before: NodeRow, inventory: Inventory) -> None:
        """Judge what a connected node says that it has now, within the transaction that stores it."""
        node = tx.nodes.lock(before.node_id)
        assert node is not None
        self._note(tx, node, NodeHealth.FromString(node.health), before, inventory)

    def _note(
        self,
        tx: Transaction,
        node: NodeRow,
        record: NodeHealth,
        before: NodeRow,
        inventory: Inventory,
    ) -> None:
        forget_instances(record, Inventory.FromString(before.inventory), inventory)
        note_inventory(record, inventory)
        self._settle(tx, node, record)

    async def look(self) -> None:
        """Let time pass for every node that something is wrong with; acts on what is due."""
        now = self._clock.now()
        since = now - self._policy.failed_within

        def read(tx: Transaction) -> tuple[list[str], dict[str, int]]:
            ends = [
                NodeFault(end.job_id, end.node_id, end.end_noted_at, end.end_cause == _LOST)
                for end in tx.runs.failed_by_nodes(since)
            ]
            return [node.node_id for node in tx.nodes.ailing()], blamed(ends)

        ailing, blame = await self._database.read(read)
        bad = {node_id for node_id, jobs in blame.items() if jobs >= self._policy.failed_jobs}
        node_ids = sorted(bad.union(ailing))
        orders: dict[str, dict[str, int]] = {}
        for first in range(0, len(node_ids), _AT_ONCE):
            some = node_ids[first : first + _AT_ONCE]
            await self._tell(await self._database.write(self._passing(some, blame, orders)))
        before, self._resets = self._resets, orders
        for node_id, resets in orders.items():
            if resets != before.get(node_id):
                self._resets_changed(node_id)

    def _passing(
        self, node_ids: Sequence[str], blame: Mapping[str, int], orders: dict[str, dict[str, int]]
    ) -> Callable[[Transaction], list[Hit]]:
        def store(tx: Transaction) -> list[Hit]:
            hits: list[Hit] = []
            for node_id in node_ids:
                node = tx.nodes.lock(node_id)
                if node is None:
                    continue
                record = NodeHealth.FromString(node.health)
                record.failed_jobs = blame.get(node_id, 0)
                hits += _leaving(tx, record)
                if node.status == Status.READY:
                    hits += self._tick(tx, node, record)
                self._settle(tx, node, record)
                resets = {
                    gpu.uuid: gpu.reset_wanted for gpu in record.gpus if read_state(gpu).wants_reset
                }
                if resets:
                    orders[node_id] = resets
            return hits

        return store

    def _take(
        self,
        record: NodeHealth,
        report: HealthReport,
        runs: Mapping[str, Sequence[Any]],
        indexes: Mapping[str, int],
    ) -> list[Hit]:
        """Take in what is told of each GPU; the runs that are hit by it."""
        now = self._clock.now()
        told = {gpu.uuid: gpu for gpu in report.gpus}
        hits: list[Hit] = []
        for gpu in record.gpus:
            if gpu.uuid not in told or gpu.uuid not in indexes:
                continue
            facts = facts_of(told[gpu.uuid], report.agent_start, now)
            state, faults = gpu_health.take(read_state(gpu), facts, self._policy, now)
            write_state(gpu, state)
            holders = runs.get(gpu.uuid, ())
            news = note_faults(gpu, faults, *_one_of(holders))
            hits += [_hit(run.run_id, gpu, indexes, fault) for run in holders for fault in news]
        return hits

    def _tick(self, tx: Transaction, node: NodeRow, record: NodeHealth) -> list[Hit]:
        """Let time pass for the GPUs of a node; the runs that still have to leave."""
        now = self._clock.now()
        inventory = Inventory.FromString(node.inventory)
        # A card that is divided loses its instances with a reset: that is left to its operator.
        whole = {gpu.uuid for gpu in inventory.gpus if not gpu.HasField("mig_instance")}
        held = {claim.gpu_uuid for claim in tx.nodes.claims_on(node.node_id)}
        runs = _runs_by_gpu(tx, node.node_id) if held else {}
        hits: list[Hit] = []
        for gpu in record.gpus:
            state = gpu_health.tick(
                read_state(gpu),
                self._policy,
                now,
                idle=gpu.uuid not in held,
                can_reset=inventory.can_reset_gpus and gpu.uuid in whole,
            )
            write_state(gpu, state)
            if state.sends_task_away:
                why = f"GPU {gpu.uuid} has failed: {state.message}"
                hits += [Hit(run.run_id, why, stop=True) for run in runs.get(gpu.uuid, ())]
        return hits

    def _settle(self, tx: Transaction, node: NodeRow, record: NodeHealth) -> None:
        """Store the record of a locked node with what follows from it."""
        now = self._clock.now()
        look = look_at(record, Inventory.FromString(node.inventory))
        found = causes(look, self._policy)
        note_conditions(record, conditions(look, found), now)
        record.causes[:] = [cause.key for cause in found]
        record.overruled[:] = [key for key in record.overruled if key in record.causes]
        health, ailing = record.SerializeToString(deterministic=True), is_ailing(record)
        if health != node.health or ailing != node.ailing:
            tx.nodes.change(node.node_id, health=health, ailing=ailing)
            self._record(tx, node, NodeHealth.FromString(node.health), record, now)
        if unusable(health) != unusable(node.health):
            tx.after_commit(self._capacity_changed)
        node = changed(node, health=health, ailing=ailing)
        self._upkeep.close_for_health(tx, node, *wanted(found, record.overruled))

    def _record(
        self, tx: Transaction, node: NodeRow, before: NodeHealth, after: NodeHealth, now: int
    ) -> None:
        """An event for each GPU whose health has changed."""
        healths = {gpu.uuid: gpu.health for gpu in before.gpus}
        for gpu in after.gpus:
            if gpu.health != healths.get(gpu.uuid, Health.HEALTHY):
                health = Health(gpu.health).name
                tx.events.record(
                    project=ORGANISATION,
                    object_id=node.node_id,
                    at=now,
                    actor=actors.HEALTH,
                    status=int(shown(node.status, node.maintenance)),
                    reason=f"GPU_{health}",
                    message=f"GPU {gpu.uuid} is {health.lower()}: {gpu.message or 'all is well'}",
                    run_id="",
                )

    async def _tell(self, hits: Sequence[Hit]) -> None:
        for hit in hits:
            await self._tell_run(hit.run_id, why=hit.why, stop=hit.stop)


def _want_to_leave(record: NodeHealth, hits: Sequence[Hit]) -> None:
    """Keep which runs have to leave, so that they do also when this server ends before they are told."""
    known = {one.run_id for one in record.leaving}
    for hit in hits:
        if hit.stop and hit.run_id not in known:
            known.add(hit.run_id)
            record.leaving.add(run_id=hit.run_id, why=hit.why)


def _leaving(tx: Transaction, record: NodeHealth) -> list[Hit]:
    """The runs that have to leave and have not been told yet; the others are forgotten."""
    left = []
    for one in record.leaving:
        run = tx.runs.get(one.run_id)
        if run is not None and run.active and not run.device_fault:
            left.append(NodeHealth.Leaving(run_id=one.run_id, why=one.why))
    del record.leaving[:]
    record.leaving.extend(left)
    return [Hit(one.run_id, one.why, stop=True) for one in left]


def _runs_by_gpu(tx: Transaction, node_id: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for run in tx.runs.active_on([node_id]):
        for uuid in run.gpu_uuids.split(",") if run.gpu_uuids else ():
            found.setdefault(uuid, []).append(run)
    return found


def _one_of(holders: Sequence[Any]) -> tuple[str, str, str]:
    """The run of a GPU that one holds, its job and project; empty for none, and for several."""
    if len(holders) != 1:
        return "", "", ""
    return holders[0].run_id, holders[0].job_id, holders[0].project


def _indexes(node: NodeRow) -> dict[str, int]:
    return {gpu.uuid: gpu.index for gpu in Inventory.FromString(node.inventory).gpus}


def _hit(run_id: str, gpu: GpuHealth, indexes: Mapping[str, int], fault: Fault) -> Hit:
    why = f"GPU {indexes[gpu.uuid]} ({gpu.uuid}): {fault.kind}, {fault.words}"
    return Hit(run_id, why, fault.stops_task)
