"""What a job would have to ask for instead, so that it starts at once.

Each change is of one field and the smallest of that field: as many GPUs as there are, as much memory as is
free on a node that has the rest. It is tried with the planner's own choice of a node.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.rooms import gpu_key, gpu_keys, most_of_a_card
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand
from windlass_server.scheduler.topology import Level
from windlass_server.scheduler.wording import (
    cpu_text,
    isolation_text,
    memory_text,
    rule_text,
    share_text,
    span_text,
    types_text,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a job with another value.

    Attributes:
        field: its path in `jobs.v1.Job`, such as `resources.gpu_count`.
        asked: what the job asks for, in words; empty for nothing.
        enough: what would do instead; empty: to ask for nothing there.
        changed: the job with that value.
    """

    field: str
    asked: str
    enough: str
    changed: Demand


def smallest_changes(
    demand: Demand, ledger: Ledger, any_pools: tuple[str, ...] | None
) -> tuple[Change, ...]:
    """The changes that would each let a demand start on what is free, in the order of `_WAYS`.

    Args:
        demand: it finds no place now.
        ledger: what the jobs before it leave.
        any_pools: the pools that its project may use; None for all.
    """
    found = [*(way(demand, ledger) for way in _WAYS), _pool(demand, ledger, any_pools)]
    return tuple(change for change in found if change is not None)


def _if_it_starts(
    ledger: Ledger, field: str, asked: str, enough: str, changed: Demand
) -> Change | None:
    choose = ledger.choose_gang if changed.nodes > 1 else ledger.choose
    return Change(field, asked, enough, changed) if choose(changed) is not None else None


def _nodes(demand: Demand, ledger: Ledger) -> Change | None:
    for count in range(demand.nodes - 1, 0, -1):
        changed = replace(demand, nodes=count, min_nodes=min(demand.min_nodes, count))
        asked, enough = str(demand.nodes), str(count)
        if change := _if_it_starts(ledger, "nodes", asked, enough, changed):
            return change
    return None


def _topology(demand: Demand, ledger: Ledger) -> Change | None:
    """A wider level; at last none."""
    required = demand.topology.required
    if not required:
        return None
    for level in (Level.BLOCK, 0) if required == Level.RACK else (0,):
        changed = replace(demand, topology=replace(demand.topology, required=level))
        asked, enough = Level(required).name, Level(level).name if level else ""
        if change := _if_it_starts(ledger, "topology.required", asked, enough, changed):
            return change
    return None


def _gpu_count(demand: Demand, ledger: Ledger) -> Change | None:
    for count in range(demand.gpu_count - 1, 0, -1):
        changed = replace(demand, gpu_count=count)
        asked, enough = str(demand.gpu_count), str(count)
        if change := _if_it_starts(ledger, "resources.gpu_count", asked, enough, changed):
            return change
    return None


def _gpu_share(demand: Demand, ledger: Ledger) -> Change | None:
    if not demand.gpu_millis:
        return None
    view = ledger.reserved.view(demand, ledger.free)
    able = fits(replace(demand, gpu_millis=1), view)
    cards = [most_of_a_card(key, view) for key in gpu_keys(demand)]
    most = max(int(np.where(able, card, 0).max(initial=0)) for card in cards)
    if not 0 < most < demand.gpu_millis:
        return None
    changed = replace(demand, gpu_millis=most)
    asked, enough = share_text(demand.gpu_millis, ""), share_text(most, "")
    return _if_it_starts(ledger, "resources.gpu_millis", asked, enough, changed)


def _gpu_type(demand: Demand, ledger: Ledger) -> Change | None:
    """Another type with room; the types in the order of their names."""
    if not demand.gpu_type and not demand.gpu_types:
        return None
    field = "gpu_types" if demand.gpu_types else "resources.gpu_type"
    asked = types_text(demand)
    for gpu_type in _types(ledger):
        if gpu_key(gpu_type) in gpu_keys(demand):
            continue
        changed = replace(demand, gpu_type=gpu_type, gpu_types=())
        if change := _if_it_starts(ledger, field, asked, gpu_type, changed):
            return change
    return None


def _node_labels(demand: Demand, ledger: Ledger) -> Change | None:
    """One rule less; the rules in their order."""
    for rule in demand.labels:
        if rule.preferred:
            continue
        others = tuple(one for one in demand.labels if one is not rule)
        changed = replace(demand, labels=others)
        field, asked = "constraints.node_labels", rule_text(rule)
        if change := _if_it_starts(ledger, field, asked, "", changed):
            return change
    return None


def _spread(demand: Demand, ledger: Ledger) -> Change | None:
    """The next number of which one domain may have as many."""
    if demand.apart is None or not demand.apart.most:
        return None
    asked = demand.apart.most
    for most in sorted({count + 1 for _, count in demand.beside if count >= asked} | {asked + 1}):
        changed = replace(demand, apart=replace(demand.apart, most=most))
        field = "spread.max_per_domain"
        if change := _if_it_starts(ledger, field, str(asked), str(most), changed):
            return change
    return None


def _reservation(demand: Demand, ledger: Ledger) -> Change | None:
    """To run anywhere."""
    if not demand.reservation:
        return None
    changed = replace(demand, reservation="")
    return _if_it_starts(ledger, "reservation_id", demand.reservation, "", changed)


def _exclusive_node(demand: Demand, ledger: Ledger) -> Change | None:
    if not demand.exclusive:
        return None
    changed = replace(demand, exclusive=False)
    return _if_it_starts(ledger, "exclusive_node", "true", "false", changed)


def _gpu_profile(demand: Demand, ledger: Ledger) -> Change | None:
    """Another profile with room; the profiles in the order of their names."""
    if not demand.mig_profile:
        return None
    for profile in sorted({part.profile for part in ledger.free.parts.values()}):
        changed = replace(demand, mig_profile=profile)
        if change := _if_it_starts(
            ledger, "resources.mig_profile", demand.mig_profile, profile, changed
        ):
            return change
    return None


def _gpu_memory(demand: Demand, ledger: Ledger) -> Change | None:
    sizes = {int(size) for column in ledger.free.memory.values() for size in column}
    for size in sorted(sizes, reverse=True):
        if not 0 < size < demand.gpu_memory_bytes:
            continue
        changed = replace(demand, gpu_memory_bytes=size)
        asked, enough = memory_text(demand.gpu_memory_bytes), memory_text(size)
        if change := _if_it_starts(ledger, "resources.gpu_memory_bytes", asked, enough, changed):
            return change
    return None


def _memory(demand: Demand, ledger: Ledger) -> Change | None:
    most = _most_beside(replace(demand, memory_bytes=0), ledger, "memory_bytes")
    if not 0 < most < demand.memory_bytes:
        return None
    changed = replace(demand, memory_bytes=most)
    asked, enough = memory_text(demand.memory_bytes), memory_text(most)
    return _if_it_starts(ledger, "resources.memory_bytes", asked, enough, changed)


def _cpu(demand: Demand, ledger: Ledger) -> Change | None:
    most = _most_beside(replace(demand, cpu_millis=0), ledger, "cpu_millis")
    if not 0 < most < demand.cpu_millis:
        return None
    changed = replace(demand, cpu_millis=most)
    asked, enough = cpu_text(demand.cpu_millis), cpu_text(most)
    return _if_it_starts(ledger, "resources.cpu_millis", asked, enough, changed)


def _most_beside(demand: Demand, ledger: Ledger, column: str) -> int:
    """The most of something that a node has that holds the rest of a demand."""
    view = ledger.reserved.view(demand, ledger.free)
    return int(np.where(fits(demand, view), getattr(view, column), 0).max(initial=0))


def _isolation(demand: Demand, ledger: Ledger) -> Change | None:
    for level in range(demand.min_isolation - 1, -1, -1):
        changed = replace(demand, min_isolation=level)
        asked, enough = isolation_text(demand.min_isolation), isolation_text(level)
        if change := _if_it_starts(ledger, "min_isolation", asked, enough, changed):
            return change
    return None


def _time_limit(demand: Demand, ledger: Ledger) -> Change | None:
    """The longest limit with which it is over before something that is kept begins."""
    for begins in reversed(ledger.reserved.begins()):
        left = begins - ledger.now
        if demand.time_limit is not None and left >= demand.time_limit:
            continue
        asked = "" if demand.time_limit is None else span_text(demand.time_limit)
        enough = f"{span_text(left)}, its grace period included"
        changed = replace(demand, time_limit=left)
        if change := _if_it_starts(ledger, "time_limit", asked, enough, changed):
            return change
    return None


def _pool(demand: Demand, ledger: Ledger, any_pools: tuple[str, ...] | None) -> Change | None:
    """Any pool that its project may use, when it names one."""
    if demand.pools is None or demand.pools == any_pools:
        return None
    changed = replace(demand, pools=any_pools)
    return _if_it_starts(ledger, "pool", ", ".join(demand.pools), "", changed)


def _types(ledger: Ledger) -> Iterator[str]:
    """The types of whole cards that there are, as nodes write them, by name."""
    written: dict[str, str] = {}
    for node in ledger.nodes:
        for gpu in node.gpus:
            if not gpu.part:
                written.setdefault(gpu_key(gpu.gpu_type), gpu.gpu_type)
    yield from (written[key] for key in sorted(written) if key != ANY_GPU_TYPE)


_WAYS: tuple[Callable[[Demand, Ledger], Change | None], ...] = (
    _nodes,
    _topology,
    _gpu_count,
    _gpu_share,
    _gpu_type,
    _gpu_profile,
    _gpu_memory,
    _memory,
    _cpu,
    _isolation,
    _node_labels,
    _spread,
    _exclusive_node,
    _time_limit,
    _reservation,
)
