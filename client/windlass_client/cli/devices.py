"""The GPUs of a node in detail: where they are, what they can, and what slows them down."""

from typing import TYPE_CHECKING

from windlass_client.cli.output import cell, table

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from windlass.resources.v1 import node_pb2

# A card that rests is not slowed down by anything.
_AT_REST = "GPU_IDLE"


def device_table(node: "node_pb2.Node") -> "Table":
    """A line for each GPU of a node."""
    right = ["MEM TEMP", "CLOCK", "ENERGY"]
    made = table(
        "GPU", "UUID", "BUS", "CAPABILITY", "MIG", "NVLINK", *right, "SLOWED DOWN BY", right=right
    )
    for gpu in node.gpus:
        made.add_row(cell(gpu.index), cell(gpu.uuid), *_device_cells(gpu))
    return made


def _device_cells(gpu: "node_pb2.Gpu") -> "list[Text]":
    from windlass.types.v1 import gpu_pb2

    reasons = [gpu_pb2.Throttle.Reason.Name(reason) for reason in gpu.throttle_reasons]
    mig = gpu_pb2.Mig.Mode.Name(gpu.mig_mode) if gpu.mig_mode else "-"
    celsius = gpu.memory_temperature_celsius
    return [
        cell(gpu.pci_bus_id),
        cell(gpu.compute_capability),
        cell(mig),
        cell(f"{len(gpu.nvlink_peers)} peers" if gpu.nvlink_peers else "-"),
        cell(f"{celsius:.0f}°C" if celsius else "-"),
        cell(f"{gpu.sm_clock_mhz:.0f}MHz" if gpu.HasField("sample_time") else "-"),
        cell(_energy(gpu.energy_joules)),
        cell(", ".join(reason for reason in reasons if reason != _AT_REST), "yellow"),
    ]


def _energy(joules: float) -> str:
    """In kilowatt-hours, as a bill has it."""
    return f"{joules / 3.6e6:.3g}kWh" if joules else "-"
