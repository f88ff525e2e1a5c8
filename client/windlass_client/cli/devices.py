"""The GPUs of a node in detail, what was wrong with them, and the conditions of the node."""

from collections import Counter
from typing import TYPE_CHECKING

from windlass_client.cli.output import ago, cell, status_cell, table
from windlass_client.quantities import format_joules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.table import Table
    from rich.text import Text

    from windlass.resources.v1 import node_pb2

# A card that rests is not slowed down by anything.
_AT_REST = "GPU_IDLE"


def device_table(node: "node_pb2.Node") -> "Table":
    """A line for each GPU of a node."""
    right = ["MEM TEMP", "CLOCK", "ENERGY", "ECC LOST", "ROWS"]
    made = table(
        "GPU", "UUID", "BUS", "PCIE", "CAPABILITY", "MIG", "NVLINK", *right, "SLOWED DOWN BY",
        right=right,
    )  # fmt: skip
    for gpu in node.gpus:
        made.add_row(cell(gpu.index), cell(gpu.uuid), *_device_cells(gpu))
    return made


def card_table(node: "node_pb2.Node", now: "datetime") -> "Table | None":
    """A line for each card that is divided, or that the server may divide; None without any."""
    cards = [card for card in node.cards if card.divided or card.may_be_divided]
    if not cards:
        return None
    made = table("CARD", "TYPE", "BY", "DIVIDED INTO", "LAYOUT", "FOR", "WHY", right=["FOR"])
    for card in cards:
        made.add_row(
            cell(card.uuid),
            cell(card.gpu_type),
            cell("server" if card.may_be_divided else "operator"),
            cell(_instances(card.instances) or ("nothing" if card.divided else "-")),
            _layout(card),
            cell(ago(card.layout_time, now) if card.HasField("layout_time") else "-"),
            cell(card.layout_message, "red"),
        )
    return made


def _layout(card: "node_pb2.GpuCard") -> "Text":
    from windlass.resources.v1 import node_pb2

    if card.layout_state == node_pb2.GpuCard.CHANGING:
        return cell(f"CHANGING to {_instances(card.layout) or 'whole'}", "yellow")
    name = node_pb2.GpuCard.LayoutState.Name(card.layout_state) if card.layout_state else "-"
    return cell(name, "red" if card.layout_state == node_pb2.GpuCard.FAILED else "")


def _instances(instances: "Sequence[node_pb2.GpuCard.Instance]") -> str:
    """As in `3g.40gb + 2x1g.10gb`."""
    counts = Counter(one.profile for one in instances)
    return " + ".join(f"{n}x{name}" if n > 1 else name for name, n in counts.items())


def _device_cells(gpu: "node_pb2.Gpu") -> "list[Text]":
    from windlass.types.v1 import gpu_pb2

    reasons = [gpu_pb2.Throttle.Reason.Name(reason) for reason in gpu.throttle_reasons]
    mig = gpu_pb2.Mig.Mode.Name(gpu.mig_mode) if gpu.mig_mode else "-"
    if gpu.HasField("mig_instance"):
        mig = f"{gpu.mig_instance.profile} at {gpu.mig_instance.memory_start}"
    celsius = gpu.memory_temperature_celsius
    return [
        cell(gpu.pci_bus_id),
        _pcie(gpu),
        cell(gpu.compute_capability),
        cell(mig),
        cell(f"{len(gpu.nvlink_peers)} peers" if gpu.nvlink_peers else "-"),
        cell(f"{celsius:.0f}°C" if celsius else "-"),
        cell(f"{gpu.sm_clock_mhz:.0f}MHz" if gpu.HasField("sample_time") else "-"),
        cell(format_joules(gpu.energy_joules) if gpu.energy_joules else "-"),
        _lost_data(gpu),
        _rows(gpu),
        cell(", ".join(reason for reason in reasons if reason != _AT_REST), "yellow"),
    ]


def _pcie(gpu: "node_pb2.Gpu") -> "Text":
    """The link as card and machine can do it; one with fewer lanes than that is badly plugged in."""
    if not gpu.HasField("pcie_link"):
        return cell("-")
    link = gpu.pcie_link
    narrow = link.width < link.max_width
    lanes = f"{link.width}/{link.max_width}" if narrow else str(link.max_width)
    return cell(f"gen{link.max_generation} x{lanes}", "yellow" if narrow else "")


def _lost_data(gpu: "node_pb2.Gpu") -> "Text":
    """How often the memory has lost data: since the driver was loaded, and ever."""
    if not gpu.HasField("ecc_errors"):
        return cell("-")
    now, ever = gpu.ecc_errors.uncorrected_volatile, gpu.ecc_errors.uncorrected_aggregate
    return cell(f"{now}/{ever}", "red" if now else "")


def _rows(gpu: "node_pb2.Gpu") -> "Text":
    """Rows of the memory that were replaced, and whether one waits for it or cannot be."""
    if not gpu.HasField("remapped_rows"):
        return cell("-")
    rows = gpu.remapped_rows
    count = str(rows.correctable + rows.uncorrectable)
    if rows.failure:
        return cell(f"{count} failed", "red")
    return cell(f"{count} pending", "yellow") if rows.pending else cell(count)


def condition_table(node: "node_pb2.Node", now: "datetime") -> "Table":
    """A line for each condition of a node."""
    from windlass.resources.v1 import node_pb2

    made = table("CONDITION", "STATUS", "SINCE", "REASON", "")
    for one in node.conditions:
        made.add_row(
            cell(one.type),
            status_cell(node_pb2.NodeCondition.Status.Name(one.status)),
            cell(ago(one.last_transition_time, now)),
            cell(one.reason),
            cell(one.message),
        )
    return made


def fault_table(node: "node_pb2.Node", now: "datetime") -> "Table | None":
    """A line for each fault of a node's GPUs, the newest first; None when there was none."""
    from windlass.resources.v1 import node_pb2

    found = [(fault, gpu.index) for gpu in node.gpus for fault in gpu.faults]
    if not found:
        return None
    made = table("FAULT", "GPU", "AGO", "WHAT WAS DONE", "JOB", "")
    for fault, index in sorted(found, key=lambda each: each[0].time.ToNanoseconds(), reverse=True):
        made.add_row(
            cell(fault.kind + (f" x{fault.count}" if fault.count > 1 else "")),
            cell(index),
            cell(ago(fault.time, now)),
            cell(node_pb2.GpuFault.Action.Name(fault.action)),
            cell(fault.job_id or fault.run_id, "cyan"),
            cell(fault.message),
        )
    return made
