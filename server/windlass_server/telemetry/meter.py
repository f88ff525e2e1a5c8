"""How much of what they hold runs and allocations use, added up as their nodes measure it.

A value that a node measures stands for the time since the one before it. Where that is longer than
`MAX_GAP` nothing is known of it: what is used is counted beside the time that was measured, so that a
gap is seen as a gap, and never as idleness.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from windlass.agents.v1.agent_pb2 import Series
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.telemetry.readings import Key, Layout, Readings

MAX_GAP = 15 * MICROS_PER_SECOND
SLOT = 3600 * MICROS_PER_SECOND
"""What is used is kept by the hour."""
# Layouts of a node that are remembered, and things of it that are metered before it begins anew.
_LAYOUTS = 8
_MOST_PLACES = 4096

_WHOLE_GPU = 1000  # thousandths

Place: TypeAlias = tuple[str, str, int]
"""A holder, the node that measured it, and the beginning of the hour (µs)."""
Hold: TypeAlias = tuple[str, str, str, int]
"""A node, one of its GPUs by UUID, who holds it, and how many thousandths of it."""
_Holders: TypeAlias = Mapping[str, Sequence[tuple[str, int]]]
_Ints: TypeAlias = NDArray[np.int64]
_Floats: TypeAlias = NDArray[np.float64]


@dataclass(slots=True)
class Measured:
    """What a holder used, and for how long that is known.

    Attributes:
        gpu_used: GPUs times microseconds in which a kernel ran.
        gpu_known: GPUs times microseconds.
        energy: millijoules that its GPUs drew.
        energy_known: GPUs times microseconds.
        cpu_used: thousandths of a core times milliseconds.
        cpu_known: microseconds.
        memory_used: KiB times milliseconds.
        memory_known: microseconds.
    """

    gpu_used: int = 0
    gpu_known: int = 0
    energy: int = 0
    energy_known: int = 0
    cpu_used: int = 0
    cpu_known: int = 0
    memory_used: int = 0
    memory_known: int = 0


@dataclass(frozen=True, slots=True)
class _Metered:
    """A field that is metered.

    Attributes:
        used: where in `Measured` it is added up.
        known: where the time is.
        most: what is believed of one value.
        scale: from its unit times microseconds to that of `used`.
        of_run: whether it is measured of a run, and not of a GPU.
    """

    used: str
    known: str
    most: float
    scale: float
    of_run: bool


_METERED: Mapping[int, _Metered] = MappingProxyType(
    {
        int(Series.GPU_UTILIZATION_PERCENT): _Metered(
            "gpu_used", "gpu_known", 100.0, 1 / 100, of_run=False
        ),
        int(Series.GPU_POWER_WATTS): _Metered("energy", "energy_known", 1e5, 1e-3, of_run=False),
        int(Series.CPU_USED_MILLIS): _Metered("cpu_used", "cpu_known", 1e9, 1e-3, of_run=True),
        int(Series.MEMORY_USED_BYTES): _Metered(
            "memory_used", "memory_known", 2.0**50, 1e-3 / 1024, of_run=True
        ),
    }
)


@dataclass(slots=True)
class _Node:
    """What is added up of one node, by field and subject; all arrays are by place."""

    settled: float
    # By GPU: who holds how much of it.
    holders: _Holders
    places: dict[Key, int] = field(default_factory=dict)
    layouts: OrderedDict[int, tuple[Layout, _Ints, _Ints]] = field(default_factory=OrderedDict)
    last: _Floats = field(default_factory=lambda: np.empty(0))
    most: _Floats = field(default_factory=lambda: np.empty(0))
    sums: _Floats = field(default_factory=lambda: np.empty(0))
    known: _Floats = field(default_factory=lambda: np.empty(0))

    def columns(self, layout: Layout) -> tuple[_Ints, _Ints]:
        """The columns of a layout that are metered, and their places."""
        found = self.layouts.get(id(layout))
        if found is None:
            metered = {n: key for n, key in enumerate(layout.keys) if key[0] in _METERED and key[1]}
            places = [self._place(key) for key in metered.values()]
            found = (layout, np.array(list(metered), np.int64), np.array(places, np.int64))
            self.layouts[id(layout)] = found
            if len(self.layouts) > _LAYOUTS:
                self.layouts.popitem(last=False)
        return found[1], found[2]

    def _place(self, key: Key) -> int:
        place = self.places.setdefault(key, len(self.places))
        if place == len(self.last):
            self.last = np.append(self.last, -np.inf)
            self.most = np.append(self.most, _METERED[key[0]].most)
            self.sums = np.append(self.sums, 0.0)
            self.known = np.append(self.known, 0.0)
        return place


class UsageMeter:
    """Adds up what nodes measure of GPUs and runs, for whoever holds them.

    Args:
        clock: in whose hours it is kept. A node's own clock only says how far apart its values are.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._nodes: dict[str, _Node] = {}
        self._holders: dict[str, dict[str, list[tuple[str, int]]]] = {}
        self._pending: dict[Place, Measured] = {}

    def take(self, node_id: str, readings: Readings) -> None:
        """Take in what a node measured."""
        node = self._nodes.get(node_id)
        if node is None:
            holders = self._holders.get(node_id, {})
            node = self._nodes[node_id] = _Node(self._clock.monotonic(), holders)
        columns, places = node.columns(readings.layout)
        if not len(columns):
            return
        for time, row in zip(readings.times.tolist(), readings.rows[:, columns], strict=True):
            last = node.last[places]
            seen = np.isfinite(row)
            elapsed = np.where(seen, time - last, 0.0)
            elapsed[(elapsed < 0) | (elapsed > MAX_GAP)] = 0.0
            values = np.clip(np.where(seen, row, 0.0), 0.0, node.most[places])
            node.sums[places] += values * elapsed
            node.known[places] += elapsed
            node.last[places] = np.where(seen, time, last)

    def hold(self, claims: Iterable[Hold]) -> None:
        """Take note of who holds which GPU from now on, in an order that only a change changes."""
        self._holders = {}
        for node_id, uuid, holder, millis in claims:
            self._holders.setdefault(node_id, {}).setdefault(uuid, []).append((holder, millis))
        for node_id, node in self._nodes.items():
            holders = self._holders.get(node_id, {})
            if holders != node.holders:
                self._settle(node_id, node)
                node.holders = holders

    def drain(self) -> dict[Place, Measured]:
        """What was added up since the last time; it is kept here no longer."""
        for node_id, node in list(self._nodes.items()):
            silent = not node.known.any()
            self._settle(node_id, node)
            if silent or len(node.places) > _MOST_PLACES:
                del self._nodes[node_id]
        drained, self._pending = self._pending, {}
        return drained

    def give_back(self, sums: Mapping[Place, Measured]) -> None:
        """Take back what was drained and could not be used."""
        for place, measured in sums.items():
            total = self._pending.setdefault(place, Measured())
            for name in Measured.__slots__:
                setattr(total, name, getattr(total, name) + getattr(measured, name))

    def _settle(self, node_id: str, node: _Node) -> None:
        """Give what was added up to its holders."""
        slot, now = self._clock.now() // SLOT * SLOT, self._clock.monotonic()
        # A node whose clock runs ahead does not measure more time than there was.
        limit = (now - node.settled) * MICROS_PER_SECOND + MAX_GAP
        believed = np.minimum(1.0, limit / np.maximum(node.known, 1.0))
        sums, known = (node.sums * believed).tolist(), (node.known * believed).tolist()
        node.settled = now
        node.sums[:] = 0.0
        node.known[:] = 0.0
        for (measured, subject), place in node.places.items():
            if not known[place]:
                continue
            of = _METERED[measured]
            holders = [(subject, 1.0, 1.0)] if of.of_run else _parts(node.holders.get(subject, ()))
            for holder, of_used, of_known in holders:
                total = self._pending.setdefault((holder, node_id, slot), Measured())
                used, time = sums[place] * of.scale * of_used, known[place] * of_known
                setattr(total, of.used, getattr(total, of.used) + round(used))
                setattr(total, of.known, getattr(total, of.known) + round(time))


def _parts(holders: Sequence[tuple[str, int]]) -> Iterator[tuple[str, float, float]]:
    """Who has what part of what a GPU did, and of its time.

    What several do on one card cannot be told apart: each has of it as of what is held of the card.
    """
    held = sum(millis for _, millis in holders)
    for holder, millis in holders:
        yield holder, millis / held, millis / _WHOLE_GPU
