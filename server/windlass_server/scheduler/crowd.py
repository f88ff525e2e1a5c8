"""Those who might be stopped, as arrays: which nodes are worth a closer look, and the best of them first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from windlass_server.scheduler.policies import PreemptionRules
from windlass_server.scheduler.preempting import GaveWay
from windlass_server.scheduler.rooms import (
    Column,
    Mask,
    Room,
    copied,
    gpu_key,
    most_of_a_card,
    suited,
)
from windlass_server.scheduler.run_columns import RunColumns, columns_of
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Snapshot
from windlass_server.scheduler.victims import MILLISECOND, Victim


class Crowd:
    """The jobs that run and may be stopped at all, in the order of their ids.

    Args:
        snapshot: the world.
        places: index of each node by its id.
        pools: of each node.
    """

    def __init__(self, snapshot: Snapshot, places: Mapping[str, int], pools: Sequence[str]) -> None:
        runs = columns_of(snapshot.running)
        firsts, gave_way = runs.firsts(), snapshot.preemptions.gave_way
        jobs = np.flatnonzero(
            np.logical_and.reduceat(runs.stoppable, firsts) if len(firsts) else ()
        )
        self.victims = _Victims(runs, firsts, jobs, snapshot.now)
        self.numbers = {
            runs.runs[first].job_id: number for number, first in enumerate(firsts[jobs].tolist())
        }
        self._priority = runs.priority[firsts[jobs]]
        self._started_at = _each(np.minimum, runs.started_at, firsts)[jobs]
        self._gave_way_at = np.full(len(jobs), _LONG_AGO)
        for job_id in gave_way.keys() & self.numbers.keys():
            self._gave_way_at[self.numbers[job_id]] = gave_way[job_id].at
        self._there = np.ones(len(jobs), np.bool_)
        self.on_several = np.diff(firsts, append=len(runs.runs))[jobs] > 1
        self._pools = list(pools)
        number = np.full(len(firsts), -1)
        number[jobs] = np.arange(len(jobs))
        lost = runs.millis * (np.maximum(snapshot.now - runs.saved_at, 0) // MILLISECOND)
        loss = _each(np.add, lost, firsts)[jobs]
        self._parts = _Parts.of(runs, number[runs.job], loss, runs.on(places))

    def remove(self, victims: Sequence[Victim]) -> None:
        """They are being stopped."""
        self._there[[self.numbers[one.job_id] for one in victims]] = False

    def lower(
        self, demand: Demand, rules: PreemptionRules, now: int, gave_way: GaveWay | None
    ) -> Mask:
        """Which of them are so much lower than a demand that they may be stopped for it."""
        able: Mask = self._priority <= demand.priority - rules.min_priority_gap
        return able & self.ripe(rules, now, gave_way)

    def ripe(self, rules: PreemptionRules, now: int, gave_way: GaveWay | None) -> Mask:
        """Which of them have run for long enough, and were not stopped a short while ago.

        Nor are they what the demand itself gave way to a short while ago, or higher.
        """
        ripe: Mask = self._there & (self._started_at + rules.min_run <= now)
        ripe &= self._gave_way_at + rules.back_off <= now
        if gave_way is not None and now < gave_way.at + rules.back_off:
            ripe &= self._priority < gave_way.to_priority
        return ripe

    def crowding(self, able: Mapping[str, Mask]) -> "Crowding":
        """What those hold who may be stopped, by the pool of the node on which that is."""
        parts = self._parts
        chosen = np.zeros(len(parts.node), np.bool_)
        pools = np.array(self._pools)[parts.node]
        for pool, mask in able.items():
            chosen |= (pools == pool) & mask[parts.victim]
        return Crowding(self, parts.only(chosen))


_LONG_AGO = -(1 << 62)


class _Victims:
    """The victims by their numbers, each made when it is looked at."""

    def __init__(self, runs: RunColumns, firsts: Column, jobs: Column, now: int) -> None:
        self._runs, self._now = runs.runs, now
        self._first: list[int] = firsts[jobs].tolist()
        self._end: list[int] = np.append(firsts, len(runs.runs))[jobs + 1].tolist()
        self._known: dict[int, Victim] = {}

    def __getitem__(self, number: int) -> Victim:
        known = self._known.get(number)
        if known is None:
            runs = self._runs[self._first[number] : self._end[number]]
            known = self._known[number] = Victim.of(runs, self._now)
        return known


def _each(sums: np.ufunc, values: Column, firsts: Column) -> Column:
    """Of the values of each job that begins there one."""
    together: Column = sums.reduceat(values, firsts) if len(firsts) else values
    return together


def _column(values: Iterable[int]) -> Column:
    return np.array([*values], np.int64)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What each victim holds of each of its nodes; a card of which it has a share counts as one GPU.

    Attributes:
        node: index of the node.
        victim: number of the victim.
        loss: of the victim.
        cpu: thousandths of a core.
        memory: bytes.
        gpus: how many.
        kind: of which type, as a number.
        kinds: the keys of the types.
    """

    node: Column
    victim: Column
    loss: Column
    cpu: Column
    memory: Column
    gpus: Column
    kind: Column
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, runs: RunColumns, victim: Column, loss: Column, node: Column) -> "_Parts":
        """Of these runs, each of which is of one of the victims or of none (-1), on one of the nodes or on none."""
        here = np.flatnonzero((victim >= 0) & (node >= 0))
        keys = [gpu_key(gpu_type) for gpu_type in runs.kinds]
        kinds = sorted(set(keys))
        codes = _column(map(kinds.index, keys))
        victims = victim[here]
        parts = cls(
            node[here],
            victims,
            loss[victims],
            runs.cpu[here],
            runs.memory[here],
            runs.gpus[here],
            codes[runs.kind[here]] if len(codes) else runs.kind[here],
            tuple(kinds),
        )
        pairs, first, part = np.unique(
            np.stack([parts.victim, parts.node]), axis=1, return_index=True, return_inverse=True
        )
        return parts if pairs.shape[1] == len(here) else parts._together(first, part.reshape(-1))

    def _together(self, first: Column, part: Column) -> "_Parts":
        """With one row for what several runs of a victim hold of a node."""
        only = self.only(first)
        for sums, amounts in (
            (only.cpu, self.cpu),
            (only.memory, self.memory),
            (only.gpus, self.gpus),
        ):
            sums[:] = 0
            np.add.at(sums, part, amounts)
        return only

    def only(self, chosen: Mask | Column) -> "_Parts":
        return _Parts(
            self.node[chosen],
            self.victim[chosen],
            self.loss[chosen],
            self.cpu[chosen],
            self.memory[chosen],
            self.gpus[chosen],
            self.kind[chosen],
            self.kinds,
        )


class Crowding:
    """What those hold who may be stopped for a demand."""

    def __init__(self, crowd: Crowd, parts: _Parts) -> None:
        self._crowd = crowd
        self._victims = crowd.victims
        self._parts = parts
        order = np.argsort(parts.node, kind="stable")
        self._nodes, self._by_node = parts.node[order], parts.victim[order]
        self._nodes_of: dict[str, list[int]] = {}

    def alone(self) -> "Crowding":
        """Those of them who run on one node alone."""
        return Crowding(self._crowd, self._parts.only(~self._crowd.on_several[self._parts.victim]))

    def of(self, victims: Iterable[Victim]) -> "Crowding":
        """These of them."""
        numbers = [self._crowd.numbers[one.job_id] for one in victims]
        return Crowding(self._crowd, self._parts.only(np.isin(self._parts.victim, numbers)))

    def wide(self, victims: Iterable[Victim]) -> list[Victim]:
        """Of these those who run on several nodes."""
        crowd = self._crowd
        return [one for one in victims if crowd.on_several[crowd.numbers[one.job_id]]]

    def wide_on(self, nodes: Mask) -> list[Victim]:
        """Those of them who run on several nodes, some of these among them."""
        there = self._parts.victim[nodes[self._parts.node]]
        return self.wide(self._victims[int(number)] for number in np.unique(there))

    def nodes_of(self, victim: Victim) -> list[int]:
        """The nodes on which one of them may be stopped."""
        known = self._nodes_of.get(victim.job_id)
        if known is None:
            here = self._parts.victim == self._crowd.numbers[victim.job_id]
            known = self._nodes_of[victim.job_id] = self._parts.node[here].tolist()
        return known

    def on(self, index: int) -> list[Victim]:
        """Those of a node."""
        first, last = np.searchsorted(self._nodes, [index, index + 1])
        return [self._victims[int(number)] for number in self._by_node[first:last]]

    def nodes(self, count: int) -> Mask:
        """On which of so many nodes there are any."""
        there = np.zeros(count, np.bool_)
        there[self._parts.node] = True
        return there

    def gone(self, free: Room[Column]) -> Room[Column]:
        """What would be free without them, or more: a card of which one has a share counts as free."""
        parts, room = self._parts, copied(free)
        np.add.at(room.cpu_millis, parts.node, parts.cpu)
        np.add.at(room.memory_bytes, parts.node, parts.memory)
        for code, key in enumerate(parts.kinds):
            of_kind = (parts.kind == code) & (parts.gpus > 0)
            column = room.gpus.setdefault(key, room.none.copy())
            np.add.at(column, parts.node[of_kind], parts.gpus[of_kind])
        whole = [column for key, column in room.gpus.items() if key not in room.parts]
        room.gpus[ANY_GPU_TYPE] = np.maximum.reduce(whole) if whole else room.none.copy()
        # Which of them reach each other is seen when a node is looked at.
        return replace(room, islands=room.gpus)

    def least(self, demand: Demand, free: Room[Column]) -> Column:
        """How many of them each node must lose at least, by each amount alone; at least one."""
        if demand.gpu_millis:
            roomy = most_of_a_card(gpu_key(demand.gpu_type), free) >= demand.gpu_millis
            gpus, needed = roomy.astype(np.int64), 1
        else:
            gpus, needed = suited(demand, free, free.gpus), demand.gpu_count
        parts = self._parts
        most: Column = np.maximum.reduce(
            [
                np.ones(len(free.none), np.int64),
                _least(parts.node, parts.gpus, gpus, needed),
                _least(parts.node, parts.cpu, free.cpu_millis, demand.cpu_millis),
                _least(parts.node, parts.memory, free.memory_bytes, demand.memory_bytes),
            ]
        )
        return most

    def least_loss(self, least: Column) -> Column:
        """What each node's so many cheapest lose together."""
        parts = self._parts
        order = np.lexsort((parts.loss, parts.node))
        nodes, loss = parts.node[order], parts.loss[order]
        number = np.arange(len(nodes)) - np.searchsorted(nodes, nodes)
        cheapest = number < least[nodes]
        sums = np.zeros(len(least), np.int64)
        np.add.at(sums, nodes[cheapest], loss[cheapest])
        return sums


def _least(node: Column, amount: Column, free: Column, needed: int) -> Column:
    """How many have to go from each node so that there is enough, those who hold most first."""
    order = np.lexsort((-amount, node))
    nodes, held = node[order], amount[order]
    before = np.cumsum(held) - held
    before -= before[np.searchsorted(nodes, nodes)] if len(nodes) else 0
    short = free[nodes] + before < needed
    return np.bincount(nodes[short], minlength=len(free)).astype(np.int64)
