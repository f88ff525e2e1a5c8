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
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Running, Snapshot
from windlass_server.scheduler.victims import Victim


class Crowd:
    """The jobs that run and may be stopped at all, in the order of their ids.

    Args:
        snapshot: the world.
        places: index of each node by its id.
        pools: of each node.
    """

    def __init__(self, snapshot: Snapshot, places: Mapping[str, int], pools: Sequence[str]) -> None:
        by_job: dict[str, list[Running]] = {}
        for run in snapshot.running:
            if run.job_id:
                by_job.setdefault(run.job_id, []).append(run)
        self.victims = [
            Victim.of(runs, snapshot.now)
            for _, runs in sorted(by_job.items())
            if all(run.preemptible and not run.leaving for run in runs)
        ]
        gave_way = snapshot.preemptions.gave_way
        self._priority = _column(one.priority for one in self.victims)
        self._started_at = _column(one.started_at for one in self.victims)
        self._gave_way_at = _column(
            gave_way[one.job_id].at if one.job_id in gave_way else _LONG_AGO for one in self.victims
        )
        self._there = np.ones(len(self.victims), np.bool_)
        self.numbers = {one.job_id: number for number, one in enumerate(self.victims)}
        self.on_several = np.array(
            [len({run.node_id for run in one.runs}) > 1 for one in self.victims], np.bool_
        )
        self._pools = list(pools)
        self._parts = _Parts.of(self.victims, places)

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
    def of(cls, victims: Sequence[Victim], places: Mapping[str, int]) -> "_Parts":
        kinds = sorted({gpu_key(run.gpu_type) for one in victims for run in one.runs})
        codes = {key: code for code, key in enumerate(kinds)}
        rows: dict[tuple[int, int], list[int]] = {}
        for number, victim in enumerate(victims):
            for run in victim.runs:
                if run.node_id not in places:
                    continue
                key = places[run.node_id], number
                row = rows.setdefault(key, [victim.loss, 0, 0, 0, codes[gpu_key(run.gpu_type)]])
                row[1] += run.cpu_millis
                row[2] += run.memory_bytes
                row[3] += len(run.gpu_uuids)
        pairs = np.array([*rows], np.int64).reshape(-1, 2)
        amounts = np.array([*rows.values()], np.int64).reshape(-1, 5)
        loss, cpu, memory, gpus, kind = amounts.T
        return cls(pairs[:, 0], pairs[:, 1], loss, cpu, memory, gpus, kind, tuple(kinds))

    def only(self, chosen: Mask) -> "_Parts":
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
        return self.wide(self._victims[number] for number in np.unique(there))

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
        return [self._victims[number] for number in self._by_node[first:last]]

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
