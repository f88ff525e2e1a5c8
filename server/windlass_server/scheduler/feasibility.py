"""Whether a demand could ever be met; asked when a job is submitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from windlass_server.scheduler.snapshot import Demand, NodeState, Pool

Dimension = Literal["gpu_type", "gpu_count", "memory_bytes", "cpu_millis", "min_isolation"]


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """The field of the demand that nothing can meet, and a sentence with the best there is."""

    dimension: Dimension
    message: str


def could_ever_fit(
    demand: Demand, nodes: Sequence[NodeState], pools: Sequence[Pool]
) -> Unsatisfiable | None:
    """None when some registered node or declared pool holds the demand when it is empty."""
    raise NotImplementedError
