"""Which of the nodes that fit is best. A score is in [0, 1] for each node; higher is better."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from windlass_server.scheduler.policies import SPREAD, Policies
from windlass_server.scheduler.rooms import (
    ANY_DEVICE,
    Column,
    Room,
    enough_memory,
    marked,
    passes,
    suitable,
    suited,
)
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand

Scores: TypeAlias = NDArray[np.float64]
# For a score that does not tell the nodes apart; spreads over all of them.
_ALL_ALIKE: Scores = np.ones(())


@dataclass(frozen=True, slots=True)
class Score:
    """A preference and its weight.

    `measure` gets the demand, what is free and what the nodes have when they are empty. Its value
    means something only where the demand fits; there it is in [0, 1].
    """

    weight: float
    measure: Callable[[Demand, Room[Column], Room[Column]], Scores]


def no_fault(demand: Demand, free: Room[Column], _: Room[Column]) -> Scores:
    """1 where no run of the job was lost or could not be started."""
    if not demand.faults:
        return _ALL_ALIKE
    faulty = marked(free, [fault.node_id for fault in demand.faults])
    trusted: Scores = (1 - faulty).astype(np.float64)
    return trusted


def wished_labels(demand: Demand, free: Room[Column], _: Room[Column]) -> Scores:
    """The share of the rules that are only preferred which a node passes."""
    preferred = [rule for rule in demand.labels if rule.preferred]
    if not preferred:
        return _ALL_ALIKE
    passed: Scores = sum((passes(rule, free) for rule in preferred), free.none) / len(preferred)
    return passed


def gpu_packing(demand: Demand, free: Room[Column], _: Room[Column]) -> Scores:
    """1 where no free GPU is left over, 1/2 where one is, 1/9 where eight are.

    Small jobs fill up what is already broken into, so that big nodes stay whole for big jobs. It
    counts GPUs and not shares of a node: eight left over on one node are worth more than on two.
    A job without GPUs also goes where it blocks the fewest of them. For who is spread it is the other
    way round.
    """
    there = suited(demand, free, free.gpus) if demand.gpu_count else free.gpus[ANY_GPU_TYPE]
    left = there - demand.gpu_count
    packed: Scores = 1.0 / (left.clip(0) + 1.0)
    return 1.0 - packed if demand.spread else packed


def smallest_gpus(demand: Demand, free: Room[Column], _: Room[Column]) -> Scores:
    """For a job that asks for memory of a GPU: the share that it asked for of what it would get."""
    if not demand.gpu_memory_bytes:
        return _ALL_ALIKE
    least = np.full(free.none.shape, np.inf)
    for key in suitable(demand, free, free.gpus):
        able = free.gpus[key] * enough_memory(demand, free, key) >= max(demand.gpu_count, 1)
        least = np.where(able, np.minimum(least, free.memory.get(key, free.none)), least)
    return demand.gpu_memory_bytes / least


def gpu_nodes_for_gpu_jobs(demand: Demand, _: Room[Column], full: Room[Column]) -> Scores:
    """For a job without GPUs: 1 where the node has none, so that it cannot strand any."""
    if demand.gpu_count:
        return _ALL_ALIKE
    without: Scores = (full.installed[ANY_DEVICE] == 0).astype(np.float64)
    return without


def tightest_fit(demand: Demand, free: Room[Column], full: Room[Column]) -> Scores:
    """The mean share of CPU and memory in use afterwards (best fit); for who is spread, what is free."""
    cpu = (free.cpu_millis - demand.cpu_millis) / full.cpu_millis.clip(1)
    memory = (free.memory_bytes - demand.memory_bytes) / full.memory_bytes.clip(1)
    left: Scores = (cpu + memory) / 2.0
    return left if demand.spread else 1.0 - left


SCORES: tuple[Score, ...] = (
    Score(10_000.0, no_fault),
    Score(3000.0, wished_labels),
    Score(400.0, smallest_gpus),
    Score(100.0, gpu_nodes_for_gpu_jobs),
    Score(100.0, gpu_packing),
    Score(1.0, tightest_fit),
)
"""The weights make a node that has failed the job the last choice, then go by wishes, then spare large GPUs, and CPU and
memory decide only between nodes that are equal for GPUs."""


def total(demand: Demand, free: Room[Column], full: Room[Column]) -> Scores:
    """The weighted sum of all scores, for each node."""
    sums = np.zeros(free.none.shape)
    for each in SCORES:
        sums += each.weight * each.measure(demand, free, full)
    return sums


def as_policies_pack(queue: Sequence[Demand], policies: Policies) -> Sequence[Demand]:
    """The same jobs, those spread that are by the policies of their queues and pools."""
    if not policies.may_spread:
        return queue
    spread: dict[tuple[str, tuple[str, ...] | None], bool] = {}
    for name, pools in {(each.queue, each.pools) for each in queue}:
        spread[name, pools] = policies.of_job(name, pools).packing == SPREAD
    return [
        replace(each, spread=True) if spread[each.queue, each.pools] else each for each in queue
    ]
