"""Nodes while tasks are placed on them: chooses the node and the GPUs of each task.

Nodes that have the same left are alike, so ways are compared per state and not per node: each state that
a node was ever in has a number, and what the best way costs is kept for each shape and state until the
policy changes its mind. After a placement one node has a new state; nothing else is computed again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from windlass_server.scheduler.packing.moves import NO_GPU, Moves, firsts, ways
from windlass_server.scheduler.packing.policies import Policy
from windlass_server.scheduler.packing.shapes import (
    Floats,
    Integers,
    Mask,
    Shape,
    States,
    admitted,
)

_Key = tuple[int, int, tuple[int, ...]]


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """A node and what is idle on it; all of its GPUs are of one type.

    Attributes:
        node_id: its id.
        cpu_millis: thousandths of a core.
        memory_mib: MiB.
        gpus: thousandths of each GPU.
        gpu_type: theirs; empty without GPUs.
    """

    node_id: str
    cpu_millis: int
    memory_mib: int
    gpus: tuple[int, ...] = ()
    gpu_type: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What a task takes."""

    shape: Shape
    memory_mib: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a task went: the index of the node in `Fleet.nodes`, and its GPUs, ascending."""

    node: int
    gpus: tuple[int, ...]


class Fleet:
    """Nodes by id, and what is idle on them.

    Attributes:
        nodes: sorted by their ids; of equals the first is taken.
        cpu: idle thousandths of a core, N.
        memory: idle MiB, N.
        gpus: idle thousandths of each GPU, N x G; 0 for what is not there.
    """

    def __init__(
        self, nodes: Sequence[Node], policy: Policy, chance: np.random.Generator | None = None
    ) -> None:
        """Take nodes as they are; `chance` is for a policy that takes any of equals."""
        self.nodes = tuple(sorted(nodes, key=lambda node: node.node_id))
        self.gpu_types = tuple(sorted({node.gpu_type for node in nodes}))
        # Of thousands of nodes most are alike: what follows is worked out once for those.
        sorts, which = _sorts(self.nodes)
        self.cpu = np.array([node.cpu_millis for node in sorts], np.int64)[which]
        self.memory = np.array([node.memory_mib for node in sorts], np.int64)[which]
        width = max([1, *(len(node.gpus) for node in sorts)])
        rows = [node.gpus + (0,) * (width - len(node.gpus)) for node in sorts]
        self.gpus = np.array(rows, np.int64).reshape(-1, width)[which]
        kinds = [self.gpu_types.index(node.gpu_type) for node in sorts]
        self._kinds = np.array(kinds, np.int64)[which]
        self._policy = policy
        self._chance = chance or np.random.default_rng(0)
        self._book = _StateBook(width)
        numbers = [
            self._book.number(node.cpu_millis, kind, np.sort(row))
            for node, kind, row in zip(sorts, kinds, rows, strict=True)
        ]
        self._state = np.array(numbers, np.int64)[which]
        self._best: dict[Shape, _Best] = {}
        # The nodes whose states have changed, one after the other.
        self._changed: list[int] = []

    def place(self, task: Task, able: Mask | None = None) -> Placed | None:
        """Place a task where it costs least; None, and nothing changes, where it fits nowhere.

        `able` says which nodes may take it, N; all of them when it is None.
        """
        best = self._costs(task.shape)
        costs = best.cost[self._state]
        fits = (costs < np.inf) & (self.memory >= task.memory_mib)
        if able is not None:
            fits &= able
        if not fits.any():
            return None
        node = self._pick(np.where(fits, costs, np.inf))
        return self._take(node, task, self._used(task.shape, int(self._state[node]), best))

    def costs(self, task: Task, able: Mask) -> Floats:
        """What a task would cost on each node, N; infinite where it fits not, or that may not take it."""
        costs = self._costs(task.shape).cost[self._state]
        if task.memory_mib:
            able = able & (self.memory >= task.memory_mib)
        return np.where(able, costs, np.inf)

    def used(self, task: Task, node: int) -> int:
        """How much is idle on the GPU of a node that a task would go to, in thousandths."""
        return int(self._costs(task.shape).used[self._state[node]])

    def put(self, node: int, cpu_millis: int, gpus: Sequence[int]) -> None:
        """Note what is idle on a node, whoever took the rest: CPU, and thousandths of its GPUs."""
        self.cpu[node] = cpu_millis
        self.gpus[node] = 0
        self.gpus[node, : len(gpus)] = gpus
        self._state[node] = self._number(node)
        self._changed.append(node)

    def follow(self, policy: Policy) -> None:
        """Place what comes from now on by another policy, or by one that knows more."""
        self._policy = policy
        self._best.clear()

    def renew(self) -> None:
        """Let the policy look at the whole fleet."""
        numbers, nodes = np.unique(self._state, return_counts=True)
        if self._policy.renew(self._book.states(numbers), nodes.astype(np.int64)):
            self._best.clear()

    def _pick(self, costs: Floats) -> int:
        if self._policy.any_of_equals:
            return int(self._chance.choice((costs == costs.min()).nonzero()[0]))
        return int(costs.argmin())

    def _used(self, shape: Shape, state: int, best: "_Best") -> int:
        """How much is idle on the GPU that the task goes to."""
        if not self._policy.any_of_equals:
            return int(best.used[state])
        moves = ways(shape, self._admits(shape), self._book.states(np.array([state])))
        costs = self._policy.costs(moves)
        return int(self._chance.choice(moves.used[costs == costs.min()]))

    def _take(self, node: int, task: Task, used: int) -> Placed:
        shape = task.shape
        gpus: Integers = np.empty(0, np.int64)
        if used != NO_GPU:
            gpus = (self.gpus[node] == used).nonzero()[0][: shape.gpu_count]
            self.gpus[node, gpus] -= shape.gpu_millis
        self.cpu[node] -= shape.cpu_millis
        self.memory[node] -= task.memory_mib
        self._state[node] = self._number(node)
        self._changed.append(node)
        return Placed(node, tuple(gpus.tolist()))

    def _number(self, node: int) -> int:
        gpus = np.sort(self.gpus[node])
        return self._book.number(int(self.cpu[node]), int(self._kinds[node]), gpus)

    def _admits(self, shape: Shape) -> Mask:
        return np.array(admitted(shape, self.gpu_types), np.bool_)

    def _costs(self, shape: Shape) -> "_Best":
        """The best way of each state that a node is in."""
        best = self._best.get(shape)
        if best is None:
            best = self._best[shape] = _Best()
            entered = np.unique(self._state)
        else:
            entered = np.unique(self._state[self._changed[best.seen :]])
        best.seen = len(self._changed)
        best.grow(len(self._book))
        unknown = entered[np.isnan(best.cost[entered])]
        if len(unknown):
            moves = ways(shape, self._admits(shape), self._book.states(unknown))
            best.learn(unknown, moves, self._policy.costs(moves))
        return best


def _sorts(nodes: Sequence[Node]) -> tuple[list[Node], Integers]:
    """One node of each sort, in the order in which they come first, and which sort each node is of."""
    sorts: dict[tuple[int, int, tuple[int, ...], str], int] = {}
    which = [
        sorts.setdefault((one.cpu_millis, one.memory_mib, one.gpus, one.gpu_type), len(sorts))
        for one in nodes
    ]
    return [Node("", *sort) for sort in sorts], np.array(which, np.int64)


class _StateBook:
    """Numbers the states that nodes have been in."""

    def __init__(self, width: int) -> None:
        self._numbers: dict[_Key, int] = {}
        self._cpu = np.zeros(64, np.int64)
        self._kinds = np.zeros(64, np.int64)
        self._gpus = np.zeros((64, width), np.int64)

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, cpu: int, kind: int, gpus: Integers) -> int:
        """The number of a state, a new one where it was never seen; `gpus` are ascending."""
        key = cpu, kind, tuple(gpus.tolist())
        known = self._numbers.get(key)
        if known is not None:
            return known
        number = self._numbers[key] = len(self._numbers)
        if number == len(self._cpu):
            self._cpu = np.concatenate([self._cpu, np.zeros_like(self._cpu)])
            self._kinds = np.concatenate([self._kinds, np.zeros_like(self._kinds)])
            self._gpus = np.concatenate([self._gpus, np.zeros_like(self._gpus)])
        self._cpu[number], self._kinds[number], self._gpus[number] = cpu, kind, gpus
        return number

    def states(self, numbers: Integers) -> States:
        """The states with these numbers."""
        return States(self._cpu[numbers], self._gpus[numbers], self._kinds[numbers])


class _Best:
    """What the best way of one shape costs in each state, and what it uses.

    The cost is infinite where there is no way, and NaN where nobody asked. `used` is how much is idle
    on the GPU that the best way takes. So many changes of nodes were `seen`.
    """

    def __init__(self) -> None:
        self.cost = np.full(0, np.nan)
        self.used = np.full(0, NO_GPU)
        self.seen = 0

    def grow(self, states: int) -> None:
        if len(self.cost) < states:
            more = max(states, 2 * len(self.cost)) - len(self.cost)
            self.cost = np.concatenate([self.cost, np.full(more, np.nan)])
            self.used = np.concatenate([self.used, np.full(more, NO_GPU)])

    def learn(self, numbers: Integers, moves: Moves, costs: Floats) -> None:
        """Keep the cheapest way of each state; of equals the first."""
        self.cost[numbers] = np.inf
        order = np.lexsort((costs, moves.rows))
        chosen, found = order[firsts(moves.rows)], numbers[moves.origins]
        self.cost[found] = costs[chosen]
        self.used[found] = moves.used[chosen]
