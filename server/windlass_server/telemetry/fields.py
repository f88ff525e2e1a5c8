"""What can be measured, by the names that the API has for it.

A field's name is its name in `agents.v1.Series.Field`, in small letters: `gpu_power_watts`. The unit is
the name's end.
"""

import enum
import re
from functools import cache

from windlass.agents.v1.agent_pb2 import Series

MAX_SUBJECT_CHARS = 128
RUN_ID = re.compile(r"run-[0-9a-z]{26}")

# What only ever grows, until the device or its driver starts anew.
_COUNTERS = frozenset({"gpu_energy_joules"})
# Masks of bits: nothing of them adds up, so no history of them is kept.
_MASKS = frozenset({"gpu_throttle_reasons"})
_RUN = frozenset(
    {
        "cpu_used_millis",
        "memory_used_bytes",
        "io_read_bytes_per_second",
        "io_write_bytes_per_second",
        "network_receive_bytes_per_second",
        "network_send_bytes_per_second",
    }
)
_MACHINE = _RUN | {"load_1m", "memory_total_bytes"}


class Kind(enum.Enum):
    """What a field is measured of."""

    MACHINE = enum.auto()
    RUN = enum.auto()
    GPU = enum.auto()


LIVE_NAMES: dict[int, str] = {
    number: name.lower() for name, number in Series.Field.items() if number != 0
}
"""Of what there are values."""
NAMES: dict[int, str] = {number: name for number, name in LIVE_NAMES.items() if name not in _MASKS}
"""Of what a history is kept."""
NUMBERS: dict[str, int] = {name: number for number, name in NAMES.items()}


def is_counter(field: int) -> bool:
    """Whether its values only grow, so that what counts is by how much."""
    return NAMES.get(field) in _COUNTERS


@cache
def _kinds(field: int) -> frozenset[Kind]:
    name = LIVE_NAMES.get(field, "")
    if name.startswith("gpu_"):
        return frozenset({Kind.GPU})
    kinds = {Kind.MACHINE: _MACHINE, Kind.RUN: _RUN}
    return frozenset(kind for kind, names in kinds.items() if name in names)


def is_measurable(field: int, subject: str) -> bool:
    """Whether that can be measured of such a thing; an agent's word is not trusted."""
    kinds = _kinds(field)
    if not subject:
        return Kind.MACHINE in kinds
    if Kind.GPU in kinds:
        return len(subject) <= MAX_SUBJECT_CHARS
    return Kind.RUN in kinds and RUN_ID.fullmatch(subject) is not None
