"""What quotas say of the jobs of one cycle, as the plan goes on. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property

from windlass_server.scheduler.filters import first_refusal
from windlass_server.scheduler.quota import Ask, Dimension, Quota, Refusal, Use
from windlass_server.scheduler.rooms import full_room, gpu_key
from windlass_server.scheduler.snapshot import WHOLE, Demand, NodeState, Running


class QuotaGate:
    """Lets jobs through to the nodes, or says which quota keeps them back.

    Args:
        quotas: all that there are, with what their owners have before the plan.
        nodes: all of them, for the types of GPUs that there are.
    """

    def __init__(self, quotas: Sequence[Quota], nodes: Sequence[NodeState] = ()) -> None:
        self._use = Use(quotas)
        self._bounded = {one.project for one in quotas}
        self._nodes = nodes
        # Whose quotas ask of which type a GPU is.
        self._typed = {one.project for one in quotas if one.gpu_type}
        self._types = _types_of(nodes, parts=False) if self._typed else ()
        self._types_of_parts = _types_of(nodes, parts=True) if self._typed else ()

    def refusal(self, demand: Demand) -> Refusal | None:
        """What dominates of that which does not allow it; None: it may be placed, as `narrowed`."""
        if demand.project not in self._bounded:
            return None
        least = replace(demand, nodes=demand.min_nodes)
        if (refusal := self._refused(least)) is not None:
            return refusal
        refused = self._refused_types(least)
        if not refused or (len(refused) < len(self._types_for(demand)) and not demand.takes_parts):
            return None
        return min(refused.items())[1]

    def never(self, demand: Demand) -> bool:
        """Whether it would be too much even if nobody had anything, by the quotas as they are."""
        return all(self._use.never(ask) for ask in least_asks(demand, self._nodes))

    def narrowed(self, demand: Demand) -> Demand:
        """What of it its quotas allow, when they do not refuse it: on fewer nodes, on smaller ones, and with other GPUs."""
        if demand.project not in self._bounded:
            return demand
        while demand.nodes > demand.min_nodes and self._is_too_much(demand):
            demand = replace(demand, nodes=demand.nodes - 1)
        if demand.exclusive:
            return replace(demand, too_large=self._too_large(demand))
        refused = self._refused_types(demand)
        if not refused:
            return demand
        asked = demand.gpu_types or self._types
        allowed = tuple(one for one in asked if one.casefold() not in refused)
        if len(allowed) == 1:
            return replace(demand, gpu_type=allowed[0], gpu_types=())
        return replace(demand, gpu_types=allowed)

    def placed(self, demand: Demand, gpu_type: str = "") -> None:
        """Count a job that the plan has placed, on GPUs of this type; whoever has nodes alone, on the largest of them."""
        asks = self._asks_for_whole_nodes(demand)
        allowed = [ask for ask in asks if not self._use.refusals(ask)]
        self._use.take(each_of(allowed, max) if allowed else ask_of(demand, gpu_type))

    def _refused(self, demand: Demand) -> Refusal | None:
        """What dominates of that which does not allow it on so many nodes, whatever GPUs and nodes it gets."""
        asks = self._asks_for_whole_nodes(demand) or [ask_of(demand)]
        refusals = [self._use.refusals(ask) for ask in asks]
        return None if not all(refusals) else refusals[0][0]

    def _is_too_much(self, demand: Demand) -> bool:
        """Whether it would be too much on so many nodes."""
        if self._refused(demand) is not None:
            return True
        refused = self._refused_types(demand)
        return bool(refused) and len(refused) == len(self._types_for(demand))

    def _refused_types(self, demand: Demand) -> dict[str, Refusal]:
        """Of which types its project has too much, where it does not say which it wants."""
        if demand.project not in self._typed or not demand.gpu_count or _type_asked(demand):
            return {}
        # Whoever has a node alone gets what there is on it.
        types = () if demand.exclusive else self._types_for(demand)
        found = {kind: self._use.refusals(ask_of(demand, kind)) for kind in types}
        return {kind: refusals[0] for kind, refusals in found.items() if refusals}

    def _types_for(self, demand: Demand) -> tuple[str, ...]:
        """The types of GPUs that a job may get, as types are compared."""
        if demand.gpu_types:
            return tuple(one.casefold() for one in demand.gpu_types)
        return self._types + (self._types_of_parts if demand.takes_parts else ())

    def _too_large(self, demand: Demand) -> frozenset[str]:
        """The nodes that would be too much for its quotas, if it had so many of them alone."""
        if demand.project not in self._bounded:
            return frozenset()
        return frozenset(
            node.node_id
            for alike in self._sizes
            if self._use.refusals(_whole(alike[0], demand))
            for node in alike
        )

    def _asks_for_whole_nodes(self, demand: Demand) -> list[Ask]:
        """What a job would have that gets nodes alone, for each size of nodes that it could get; the smallest first."""
        if not demand.exclusive or demand.project not in self._bounded:
            return []
        return [_whole(alike[0], demand) for alike in self._sizes if _may_hold(alike[0], demand)]

    @cached_property
    def _sizes(self) -> list[list[NodeState]]:
        """The nodes by what there is on them, the smallest first."""
        return _by_size(self._nodes)


def _by_size(nodes: Iterable[NodeState]) -> list[list[NodeState]]:
    """Those together that are alike in what quotas count, the smallest first."""
    sizes: dict[tuple[int, int, int, tuple[str, ...]], list[NodeState]] = {}
    for node in nodes:
        kinds = tuple(sorted(gpu_key(gpu.gpu_type) for gpu in node.gpus))
        size = len(node.gpus), node.cpu_millis, node.memory_bytes, kinds
        sizes.setdefault(size, []).append(node)
    return [sizes[size] for size in sorted(sizes)]


def _whole(node: NodeState, demand: Demand) -> Ask:
    """What a job has of its project's quotas that has so many such nodes alone."""
    count = demand.nodes
    kinds = Counter(gpu_key(gpu.gpu_type) for gpu in node.gpus)
    return Ask(
        demand.project,
        demand.user,
        {
            Dimension.GPU: count * WHOLE * len(node.gpus),
            Dimension.CPU: count * node.cpu_millis,
            Dimension.MEMORY: count * node.memory_bytes,
            Dimension.RUNNING: 1,
        },
        {kind: count * WHOLE * number for kind, number in kinds.items()},
    )


def each_of(asks: Sequence[Ask], choose: Callable[[Iterable[int]], int]) -> Ask:
    """Of each amount of these the least, the most, or the sum."""
    amounts = {key: choose(ask.amounts[key] for ask in asks) for key in asks[0].amounts}
    kinds = sorted({kind for ask in asks for kind in ask.gpus})
    gpus = {kind: choose(ask.gpus.get(kind, 0) for ask in asks) for kind in kinds}
    return replace(asks[0], amounts=amounts, gpus=gpus)


def guaranteed_first(queue: Sequence[Demand], quotas: Sequence[Quota]) -> list[Demand]:
    """The same queue, but what its projects can count on goes before everything else.

    So nobody borrows what its owner is about to use. Both parts keep their order, and each job counts
    for those of its project behind it.
    """
    use = Use(quotas)
    if not use.guarantees:
        return list(queue)
    first, others = list[Demand](), list[Demand]()
    for demand in queue:
        ask = ask_of(demand)
        if use.within_guarantee(ask):
            use.take(ask)
            first.append(demand)
        else:
            others.append(demand)
    return first + others


def ask_of(demand: Demand, gpu_type: str = "", *, jobs: int = 1) -> Ask:
    """What a job would have of what quotas count.

    Args:
        demand: the job.
        gpu_type: of which type its GPUs are; empty: as it asks, where that says it.
        jobs: how many jobs that is; 0 for what is held without one.
    """
    gpus = demand.nodes * demand.gpu_count * (demand.gpu_millis or WHOLE)
    kind = gpu_type or _type_asked(demand)
    return Ask(
        demand.project,
        demand.user,
        {
            Dimension.GPU: gpus,
            Dimension.CPU: demand.nodes * demand.cpu_millis,
            Dimension.MEMORY: demand.nodes * demand.memory_bytes,
            Dimension.RUNNING: jobs,
        },
        {kind.casefold(): gpus} if kind and gpus else {},
    )


def least_of(demand: Demand) -> Ask:
    """What a job would have on as few nodes as it makes do with."""
    return ask_of(replace(demand, nodes=demand.min_nodes))


def least_asks(demand: Demand, nodes: Iterable[NodeState]) -> list[Ask]:
    """What a job would have of what quotas count, one of these: where it is too much in all, it can never run.

    For a job that has nodes alone there is one for each size of those that could hold it.

    Args:
        demand: the job.
        nodes: those that there are, and such as were only declared.
    """
    if not demand.exclusive:
        return [least_of(demand)]
    least = replace(demand, nodes=demand.min_nodes)
    could = [node for node in nodes if first_refusal(demand, full_room(node)) is None]
    asks = [_whole(alike[0], least) for alike in _by_size(could)]
    # Of several nodes each may be of another size.
    return [each_of(asks, min)] if asks and demand.min_nodes > 1 else asks or [least_of(demand)]


def held_by(running: Running) -> Ask:
    """What somebody holds of what quotas count."""
    gpus = len(running.gpu_uuids) * (running.gpu_millis or WHOLE)
    return Ask(
        running.project,
        running.user,
        {
            Dimension.GPU: gpus,
            Dimension.CPU: running.cpu_millis,
            Dimension.MEMORY: running.memory_bytes,
        },
        {running.gpu_type.casefold(): gpus} if gpus else {},
    )


def _type_asked(demand: Demand) -> str:
    """The type of the GPUs that it will get; empty where more than one will do."""
    if not demand.gpu_type or demand.gpu_memory_bytes:
        return ""
    return f"{demand.gpu_type}-{demand.mig_profile}" if demand.mig_profile else demand.gpu_type


def _may_hold(node: NodeState, demand: Demand) -> bool:
    """Whether a node has what a job asks for, when nothing else is there."""
    types = {one.casefold() for one in demand.gpu_types or (demand.gpu_type,) if one}
    gpus = sum(not types or gpu.gpu_type.casefold() in types for gpu in node.gpus)
    return (
        node.cpu_millis >= demand.cpu_millis
        and node.memory_bytes >= demand.memory_bytes
        and gpus >= demand.gpu_count
    )


def _types_of(nodes: Sequence[NodeState], *, parts: bool) -> tuple[str, ...]:
    """The types of whole GPUs, or of instances of divided ones, as types are compared."""
    gpus = (gpu for node in nodes for gpu in node.gpus if gpu.part == parts)
    return tuple(sorted({gpu.gpu_type.casefold() for gpu in gpus}))
