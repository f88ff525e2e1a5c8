"""What nodes measure now, in Prometheus' text format.

GPUs have the names, units and labels of NVIDIA's dcgm-exporter, so that dashboards made for it show
them; beside its labels are those of the work that holds a GPU. Nodes that are not connected have no values:
what was true of them last is not true now.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from windlass.agents.v1 import agent_pb2
from windlass.agents.v1.agent_pb2 import Series
from windlass.agents.v1.health_pb2 import GpuHealth, NodeHealth
from windlass.resources.v1 import node_pb2
from windlass_server.access.policy import Caller, role_in
from windlass_server.resources.maintenance import shown
from windlass_server.resources.states import Status
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import NodeRow
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.latest import LatestTelemetry, Values

# How much is looked at, or written out, before others get their turn.
_NODES_AT_ONCE = 100
_LINES_AT_ONCE = 1000
_MIB = 1 << 20
_QUOTED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Family(Generic[V]):
    """One metric: what is written of each thing."""

    name: str
    kind: str
    about: str
    value: Callable[[V], float]


def _of(measured: Series.Field, scale: float = 1.0) -> Callable[[Values], float]:
    def value(values: Values) -> float:
        return values.number(measured) * scale if values.has(measured) else math.nan

    return value


def _free_mib(values: Values) -> float:
    used, total = Series.GPU_MEMORY_USED_BYTES, Series.GPU_MEMORY_TOTAL_BYTES
    if not (values.has(used) and values.has(total)):
        return math.nan
    return (values.number(total) - values.number(used)) / _MIB


def _last_xid(gpu: GpuHealth) -> float:
    """0 when there was none that is remembered, as NVIDIA's own exporter has it."""
    codes = [fault.kind.removeprefix("XID_") for fault in gpu.faults if fault.kind[:4] == "XID_"]
    return float(codes[-1]) if codes else 0.0


def _ecc(gpu: GpuHealth, name: str) -> float:
    report = gpu.report
    return float(getattr(report.ecc_errors, name)) if report.HasField("ecc_errors") else math.nan


def _rows(gpu: GpuHealth, name: str) -> float:
    report = gpu.report
    told = report.HasField("remapped_rows")
    return float(getattr(report.remapped_rows, name)) if told else math.nan


def _replays(gpu: GpuHealth) -> float:
    report = gpu.report
    return float(report.pcie_link.replays) if report.HasField("pcie_link") else math.nan


_GPU = "DCGM_FI_DEV_"
GPUS = (
    Family(_GPU + "SM_CLOCK", "gauge", "SM clock frequency (in MHz).", _of(Series.GPU_SM_CLOCK_MHZ)),
    Family(
        _GPU + "MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).",
        _of(Series.GPU_MEMORY_CLOCK_MHZ),
    ),
    Family(
        _GPU + "GPU_TEMP", "gauge", "GPU temperature (in C).", _of(Series.GPU_TEMPERATURE_CELSIUS)
    ),
    Family(
        _GPU + "MEMORY_TEMP", "gauge", "Memory temperature (in C).",
        _of(Series.GPU_MEMORY_TEMPERATURE_CELSIUS),
    ),
    Family(_GPU + "POWER_USAGE", "gauge", "Power draw (in W).", _of(Series.GPU_POWER_WATTS)),
    Family(
        _GPU + "POWER_MGMT_LIMIT", "gauge", "Power management limit (in W).",
        _of(Series.GPU_POWER_LIMIT_WATTS),
    ),
    Family(
        _GPU + "TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ).",
        _of(Series.GPU_ENERGY_JOULES, 1000),
    ),
    Family(
        _GPU + "GPU_UTIL", "gauge", "GPU utilization (in %).", _of(Series.GPU_UTILIZATION_PERCENT)
    ),
    Family(_GPU + "FB_FREE", "gauge", "Framebuffer memory free (in MiB).", _free_mib),
    Family(
        _GPU + "FB_USED", "gauge", "Framebuffer memory used (in MiB).",
        _of(Series.GPU_MEMORY_USED_BYTES, 1 / _MIB),
    ),
    Family(
        _GPU + "CLOCK_THROTTLE_REASONS", "gauge", "Clock throttle reasons (a mask of bits).",
        _of(Series.GPU_THROTTLE_REASONS),
    ),
    Family(
        "windlass_gpu_healthy", "gauge", "Whether the GPU can be given to jobs.",
        _of(Series.GPU_HEALTHY),
    ),
)  # fmt: skip
HEALTH: tuple[Family[GpuHealth], ...] = (
    Family(
        _GPU + "XID_ERRORS", "gauge", "Value of the last XID error encountered.",
        _last_xid,
    ),
    Family(
        _GPU + "ECC_SBE_VOL_TOTAL", "counter", "Total number of single-bit volatile ECC errors.",
        lambda gpu: _ecc(gpu, "corrected_volatile"),
    ),
    Family(
        _GPU + "ECC_DBE_VOL_TOTAL", "counter", "Total number of double-bit volatile ECC errors.",
        lambda gpu: _ecc(gpu, "uncorrected_volatile"),
    ),
    Family(
        _GPU + "ECC_SBE_AGG_TOTAL", "counter", "Total number of single-bit persistent ECC errors.",
        lambda gpu: _ecc(gpu, "corrected_aggregate"),
    ),
    Family(
        _GPU + "ECC_DBE_AGG_TOTAL", "counter", "Total number of double-bit persistent ECC errors.",
        lambda gpu: _ecc(gpu, "uncorrected_aggregate"),
    ),
    Family(
        _GPU + "UNCORRECTABLE_REMAPPED_ROWS", "counter",
        "Number of remapped rows for uncorrectable errors.",
        lambda gpu: _rows(gpu, "uncorrectable"),
    ),
    Family(
        _GPU + "CORRECTABLE_REMAPPED_ROWS", "counter",
        "Number of remapped rows for correctable errors.",
        lambda gpu: _rows(gpu, "correctable"),
    ),
    Family(
        _GPU + "ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed.",
        lambda gpu: _rows(gpu, "failure"),
    ),
    Family(
        _GPU + "PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries.",
        _replays,
    ),
    Family(
        "windlass_gpu_health", "gauge",
        "Health of the GPU: 1 healthy, 2 unhealthy, 3 suspect, 4 recovering.",
        lambda gpu: float(gpu.health),
    ),
)  # fmt: skip
MACHINES = (
    Family(
        "windlass_node_cpu_used_cores", "gauge", "CPU time in use on the node (in cores).",
        _of(Series.CPU_USED_MILLIS, 1 / 1000),
    ),
    Family(
        "windlass_node_memory_used_bytes", "gauge", "Memory in use on the node.",
        _of(Series.MEMORY_USED_BYTES),
    ),
    Family(
        "windlass_node_memory_total_bytes", "gauge", "Memory of the node.",
        _of(Series.MEMORY_TOTAL_BYTES),
    ),
    Family("windlass_node_load1", "gauge", "One-minute load average.", _of(Series.LOAD_1M)),
)  # fmt: skip
RUNS = (
    Family(
        "windlass_run_cpu_used_cores", "gauge", "CPU time that the run uses (in cores).",
        _of(Series.CPU_USED_MILLIS, 1 / 1000),
    ),
    Family(
        "windlass_run_memory_used_bytes", "gauge", "Memory that the run uses.",
        _of(Series.MEMORY_USED_BYTES),
    ),
)  # fmt: skip

_Things = list[tuple[str, Values]]


@dataclass(slots=True)
class _World:
    """Everything that has values, by its labels."""

    gpus: _Things = field(default_factory=list)
    health: list[tuple[str, GpuHealth]] = field(default_factory=list)
    machines: _Things = field(default_factory=list)
    runs: _Things = field(default_factory=list)
    nodes: Counter[str] = field(default_factory=Counter)


class NodeExposition:
    """Writes what nodes measure.

    Args:
        latest: the newest values.
    """

    def __init__(self, database: Database, latest: LatestTelemetry) -> None:
        self._database = database
        self._latest = latest

    async def text(self, who: Caller | None) -> AsyncIterator[bytes]:
        """The text in pieces, each of whole lines.

        Args:
            who: whose projects' runs are named; None: everyone's.
        """
        world = await self._look(who)
        yield _node_counts(world.nodes).encode()
        for families, things in (
            (GPUS, world.gpus),
            (MACHINES, world.machines),
            (RUNS, world.runs),
        ):
            async for piece in _families_text(families, things):
                yield piece
        async for piece in _families_text(HEALTH, world.health):
            yield piece

    async def _look(self, who: Caller | None) -> _World:
        world, behind = _World(), ""
        while True:
            nodes, holders = await self._database.read(_page(behind))
            for node in nodes:
                seen = [
                    run
                    for run in holders.get(node.node_id, ())
                    if who is None or role_in(who, run.project) is not None
                ]
                self._add(world, node, seen)
            if len(nodes) < _NODES_AT_ONCE:
                return world
            behind = nodes[-1].node_id
            await asyncio.sleep(0)

    def _add(self, world: _World, node: NodeRow, runs: Sequence[Any]) -> None:
        status = node_pb2.Node.Status.Name(shown(node.status, node.maintenance))
        world.nodes[status] += 1
        if node.status != Status.READY:
            return
        inventory = agent_pb2.Inventory.FromString(node.inventory)
        machine = {"Hostname": node.name, "node_id": node.node_id, "cluster": node.cluster}
        host = self._latest.host(node.node_id)
        if host is not None:
            world.machines.append((labels(machine), host))
        work = _work(runs)
        for run in runs:
            values = self._latest.run(node.node_id, run.run_id)
            if values is not None:
                world.runs.append((labels(machine | _whose(run)), values))
        health = {gpu.uuid: gpu for gpu in NodeHealth.FromString(node.health).gpus}
        for gpu in inventory.gpus:
            values = self._latest.gpu(node.node_id, gpu.uuid)
            if values is not None:
                card = _card(gpu, inventory.gpu_driver_version)
                written = labels(card | machine | work.get(gpu.uuid, {}))
                world.gpus.append((written, values))
                if gpu.uuid in health:
                    world.health.append((written, health[gpu.uuid]))


def labels(values: Mapping[str, str]) -> str:
    """Labels as Prometheus writes them; a label without a value is as good as none."""
    return ",".join(
        f'{name}="{value.translate(_QUOTED)}"' for name, value in values.items() if value
    )


def number(value: float) -> str:
    """A number as people write it."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _card(gpu: agent_pb2.GpuDevice, driver: str) -> dict[str, str]:
    """What dcgm-exporter says of a card."""
    part = {"GPU_I_PROFILE": gpu.mig_instance.profile} if gpu.HasField("mig_instance") else {}
    return part | {
        "gpu": str(gpu.index),
        "UUID": gpu.uuid,
        "pci_bus_id": gpu.pci_bus_id,
        "device": f"nvidia{gpu.index}",
        "modelName": gpu.model,
        "DCGM_FI_DRIVER_VERSION": driver,
    }


def _whose(run: Any) -> dict[str, str]:
    return {"job_id": run.job_id, "run_id": run.run_id, "project": run.project}


def _work(runs: Sequence[Any]) -> dict[str, dict[str, str]]:
    """What runs on each GPU; what a card does that may be shared is no single one's."""
    return {
        uuid: _whose(run) for run in runs if not run.gpu_millis for uuid in run.gpu_uuids.split(",")
    }


def _page(behind: str) -> Callable[[Transaction], tuple[Sequence[NodeRow], dict[str, list[Any]]]]:
    """Some nodes, and the runs on each of them."""

    def load(tx: Transaction) -> tuple[Sequence[NodeRow], dict[str, list[Any]]]:
        nodes = tx.nodes.page(after=behind, size=_NODES_AT_ONCE)
        holders: dict[str, list[Any]] = {}
        for run in tx.runs.active_on([node.node_id for node in nodes]) if nodes else ():
            holders.setdefault(run.node_id, []).append(run)
        return nodes, holders

    return load


def _node_counts(nodes: Mapping[str, int]) -> str:
    head = _head("windlass_nodes", "gauge", "Nodes by status.")
    lines = [f'windlass_nodes{{status="{status}"}} {nodes[status]}\n' for status in sorted(nodes)]
    return head + "".join(lines) if lines else ""


async def _families_text(
    families: Sequence[Family[V]], things: Sequence[tuple[str, V]]
) -> AsyncIterator[bytes]:
    for family in families:
        # An empty family would be a name without a value.
        for piece in _family_text(family, things):
            yield piece.encode()
            await asyncio.sleep(0)


def _family_text(family: Family[V], things: Sequence[tuple[str, V]]) -> Iterator[str]:
    head = _head(family.name, family.kind, family.about)
    for first in range(0, len(things), _LINES_AT_ONCE):
        lines = []
        for written, values in things[first : first + _LINES_AT_ONCE]:
            value = family.value(values)
            if math.isfinite(value):
                lines.append(f"{family.name}{{{written}}} {number(value)}\n")
        if lines:
            yield head + "".join(lines)
            head = ""


def _head(name: str, kind: str, about: str) -> str:
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n"
