"""Chooses among nodes for GPUs by a policy of `packing/`, while a plan is being made.

The policy is told what jobs ask for: those of the queue, those that run, and one of every size that a node
could hold, so that a queue of small jobs does not make it forget that large ones come.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from windlass_server.scheduler.packing.fleet import Fleet, Node, Task
from windlass_server.scheduler.packing.policies import POLICIES
from windlass_server.scheduler.packing.shapes import Classes, Floats, Mask, Shape
from windlass_server.scheduler.rooms import gpu_key, gpu_keys, share_left
from windlass_server.scheduler.snapshot import (
    ANY_GPU_TYPE,
    WHOLE,
    Demand,
    NodeState,
    Running,
    Snapshot,
)

# Of more classes of jobs than this the most frequent are enough to tell good places from bad ones.
_CLASSES = 64
# The policy looks at all nodes again when so much of what was idle has been given out.
_RENEWED_AFTER = 0.05


class Packed:
    """What it costs to give GPUs of a node to a demand.

    Nodes whose GPUs are of several types, or of which none is known, have no costs: the scores of `scores.py`
    compare them.

    Args:
        nodes: in the order by which a cycle counts them: by their ids.
        demands: that wait.
        running: what runs.
        policy: a name of `POLICIES`.
    """

    def __init__(
        self,
        nodes: Sequence[NodeState],
        demands: Iterable[Demand],
        running: Iterable[Running],
        policy: str,
    ) -> None:
        modelled = _MODELS.of(nodes)
        self._knows = np.array([bool(node.gpu_type) for node in modelled], np.bool_)
        types = sorted({node.gpu_type for node in modelled})
        counted = _known(demands, running)
        for shape in _every_size(modelled):
            counted[shape] += 1
        classes = Classes.of(most_frequent(counted), types)
        self._fleet = Fleet(modelled, POLICIES[policy](classes))
        self._fleet.renew()
        self._idle = int(self._fleet.gpus.sum())
        self._renewed_at = self._idle

    def costs(self, demand: Demand, able: Mask) -> Floats:
        """What each node that is able costs; infinite where it is not, or has no way."""
        return self._fleet.costs(Task(_shape(demand)), able)

    def idle_of_card(self, demand: Demand, index: int) -> int:
        """How much is idle of the card of a node that a share shall go to, in thousandths."""
        return self._fleet.used(Task(_shape(demand)), index)

    def put(self, index: int, cpu_millis: int, idle: Sequence[int]) -> None:
        """Note what a node has left: CPU, and thousandths of each whole card that has any."""
        if not self._knows[index]:
            return
        self._idle += sum(idle) - int(self._fleet.gpus[index].sum())
        self._fleet.put(index, cpu_millis, idle)
        if self._idle < self._renewed_at * (1.0 - _RENEWED_AFTER):
            self._renewed_at = self._idle
            self._fleet.renew()


class Packings:
    """The packing policies of one plan, by the names that the jobs' policies give.

    Each is made when it is asked for the first time: where nothing fits, none is.

    Args:
        snapshot: the world.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._policies = snapshot.policies
        self._names: dict[tuple[str, tuple[str, ...] | None], str] = {}
        self._waiting = [demand for demand in snapshot.queue if packable(demand)]
        wanted = {self._name(demand) for demand in self._waiting} & POLICIES.keys()
        self._wanted = wanted if snapshot.nodes else set[str]()
        self._packed: dict[str, Packed] = {}
        # What was put before the last of them was made.
        self._puts = list[tuple[int, int, Sequence[int]]]()

    def of(self, demand: Demand) -> Packed | None:
        """The policy for a demand; None: the scores decide."""
        if not packable(demand) or (name := self._name(demand)) not in self._wanted:
            return None
        known = self._packed.get(name)
        return self._made(name) if known is None else known

    def put(self, index: int, cpu_millis: int, idle: Sequence[int]) -> None:
        """Tell all of them what a node has left."""
        if len(self._packed) < len(self._wanted):
            self._puts.append((index, cpu_millis, idle))
        for packed in self._packed.values():
            packed.put(index, cpu_millis, idle)

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def _made(self, name: str) -> Packed:
        nodes = sorted(self._snapshot.nodes, key=lambda node: node.node_id)
        made = self._packed[name] = Packed(nodes, self._waiting, self._snapshot.running, name)
        for put in self._puts:
            made.put(*put)
        return made

    def _name(self, demand: Demand) -> str:
        key = demand.queue, demand.pools
        known = self._names.get(key)
        if known is None:
            known = self._names[key] = self._policies.of_job(*key).packing
        return known


def packable(demand: Demand) -> bool:
    """Whether policies compare nodes for a demand: for whole GPUs, a share of one, or none."""
    return not demand.takes_parts


def idle_cards(node: NodeState) -> list[int]:
    """Thousandths of each card that can be given out, of those that are not divided."""
    return [
        share_left(gpu, node.max_sharers) if gpu.held else WHOLE
        for gpu in node.gpus
        if gpu.healthy and not gpu.part
    ]


def _modelled(node: NodeState) -> Node:
    types = {gpu_key(gpu.gpu_type) for gpu in node.gpus if not gpu.part}
    if len(types) != 1:
        return Node(node.node_id, max(node.cpu_free, 0), 0)
    idle = tuple(idle_cards(node))
    return Node(node.node_id, max(node.cpu_free, 0), 0, idle, types.pop())


class _Models:
    """Remembers what was made of the last nodes: one that has not changed is the same object."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[NodeState, Node]] = {}

    def of(self, nodes: Sequence[NodeState]) -> list[Node]:
        """The nodes as policies see them, in their order."""
        last = self._last
        pairs = [last.get(id(node)) or (node, _modelled(node)) for node in nodes]
        self._last = {id(node): pair for node, pair in zip(nodes, pairs, strict=True)}
        return [model for _, model in pairs]


_MODELS = _Models()


def _shape(demand: Demand) -> Shape:
    if not demand.gpu_count:
        return Shape(demand.cpu_millis)
    types = tuple(sorted(key for key in gpu_keys(demand) if key != ANY_GPU_TYPE))
    return Shape(demand.cpu_millis, demand.gpu_count, demand.gpu_millis or WHOLE, types)


def _known(demands: Iterable[Demand], running: Iterable[Running]) -> Counter[Shape]:
    counted = Counter(_shape(demand) for demand in demands if packable(demand))
    # Most of what runs is alike, and shapes take long to compare.
    alike = Counter(
        (each.cpu_millis, len(each.gpu_uuids), each.gpu_millis, each.gpu_type)
        for each in running
        if each.gpu_uuids
    )
    for (cpu_millis, gpus, millis, gpu_type), count in alike.items():
        types = (gpu_key(gpu_type),) if gpu_type else ()
        counted[Shape(cpu_millis, gpus, millis or WHOLE, types)] += count
    return counted


def most_frequent(counted: Counter[Shape]) -> list[tuple[Shape, int]]:
    """As many as are told to a policy; of those that are as frequent the first by what they ask for."""
    return sorted(counted.items(), key=lambda each: (-each[1], each[0]))[:_CLASSES]


def _every_size(nodes: Sequence[Node]) -> list[Shape]:
    """One GPU, two, four, … and all of a node; with no CPU, which is another question."""
    most = max((len(node.gpus) for node in nodes), default=0)
    sizes = {1 << power for power in range(most.bit_length())} | {most}
    return [Shape(0, size, WHOLE) for size in sorted(sizes) if size]


def least(costs: Floats) -> Mask:
    """Where costs are least; nowhere when all are infinite."""
    best: Mask = (costs == costs.min(initial=np.inf)) & (costs < np.inf)
    return best
