"""Demands and amounts in the words of the sentences that people read."""

from collections.abc import Callable, Sequence

import numpy as np

from windlass_server.scheduler.filters import Blocked, Dimension, Refusal
from windlass_server.scheduler.snapshot import Demand, LabelRule, LabelTest
from windlass_server.scheduler.topology import Level

_GIB = 1 << 30
_MIB = 1 << 20
# How many pools a sentence names; of more it says the number.
_POOLS_NAMED = 3
_ISOLATION_NAMES = ("any", "RLIMITS", "NAMESPACES", "SANDBOX")


def isolation_text(level: int) -> str:
    """The name of `windlass.types.v1.Isolation.Level`, or the number of one that is newer."""
    return _ISOLATION_NAMES[level] if 0 <= level < len(_ISOLATION_NAMES) else f"level {level}"


def memory_text(amount: int) -> str:
    """In GiB when that is exact to two places, else in whole MiB, else in bytes.

    Never rounded: "needs 4 GiB, has 4 GiB" must not be.
    """
    gib = round(amount / _GIB, 2)
    if gib * _GIB == amount:
        return f"{gib:g} GiB"
    mib, rest = divmod(amount, _MIB)
    return f"{amount} bytes" if rest else f"{mib} MiB"


def cpu_text(amount: int) -> str:
    return "1 core" if amount == 1000 else f"{amount / 1000:.12g} cores"


def gpus_text(count: int, gpu_type: str) -> str:
    """As in `8 H100`, or `1 GPU` when the type does not matter."""
    return f"{count} {gpu_type or ('GPU' if count == 1 else 'GPUs')}"


def demanded_gpus_text(demand: Demand) -> str:
    """As `gpus_text`; also `2 instances 1g.10gb`, or `1 GPU with 20 GiB`."""
    count = demand.gpu_count
    gpu_type = types_text(demand)
    if demand.gpu_millis:
        return share_text(demand.gpu_millis, gpu_type)
    if demand.mig_profile:
        of_type = f" of {gpu_type}" if gpu_type else ""
        return f"{count_text(count, 'instance')} {demand.mig_profile}{of_type}"
    having = f" with {memory_text(demand.gpu_memory_bytes)}" if demand.gpu_memory_bytes else ""
    return gpus_text(count, gpu_type) + having


def types_text(demand: Demand) -> str:
    """As in `H100 or A100`; empty when the type does not matter."""
    return " or ".join(demand.gpu_types) or demand.gpu_type


_TESTS = {
    LabelTest.IN: "",
    LabelTest.NOT_IN: "not ",
    LabelTest.EXISTS: "any",
    LabelTest.ABSENT: "none",
}


def rule_text(rule: LabelRule) -> str:
    """As in `zone eu or us`, `zone not eu`, `zone any` or `zone none`."""
    return f"{rule.key} {_TESTS[rule.test]}{' or '.join(rule.values)}"


def _labels_text(demand: Demand) -> str:
    rules = ", ".join(rule_text(rule) for rule in demand.labels if not rule.preferred)
    return f"the labels {rules}"


def share_text(millis: int, gpu_type: str) -> str:
    """As in `0.25 H100`, or `0.25 GPU` when the type does not matter."""
    return f"{millis / 1000:g} {gpu_type or 'GPU'}"


def count_text(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def span_text(micros: int) -> str:
    """A time of which there is at least so much, coarse enough to stay the same for minutes.

    As in `3h`, `25m` or `40s`: sentences that change are stored anew.
    """
    seconds = max(micros // 1_000_000, 0)
    for unit, size, step in (("d", 86_400, 1), ("h", 3_600, 1), ("m", 60, 5), ("m", 60, 1)):
        if seconds >= 2 * size * step:
            return f"{seconds // (size * step) * step}{unit}"
    return f"{seconds // 10 * 10}s"


def time_text(micros: int) -> str:
    """As in `2030-03-17T17:46:40Z`, not before it."""
    return f"{np.datetime64(-(-micros // 1_000_000), 's')}Z"


def several_text(demand: Demand) -> str:
    """As in `4 nodes in one rack with 8 H100, 4 cores and 1 GiB of memory each`."""
    linked = " of one NVLink island" if demand.topology.required == Level.NVLINK else ""
    gpus = f"{demanded_gpus_text(demand)}{linked}, " if demand.gpu_count else ""
    each = f"{gpus}{cpu_text(demand.cpu_millis)} and {memory_text(demand.memory_bytes)} of memory"
    return f"{count_text(demand.min_nodes, 'node')}{within_text(demand)} with {each} each"


def within_text(demand: Demand) -> str:
    """As in ` in one rack`; empty where no level is required."""
    level = demand.topology.required
    return f" in one {Level(level).name.lower()}" if level >= Level.RACK else ""


def pools_text(demand: Demand) -> str:
    """As in `pool a`, or `pools a or b`."""
    names = demand.pools or ()
    if len(names) > _POOLS_NAMED:
        return f"the {len(names)} pools that its project may use"
    return f"pool{'' if len(names) == 1 else 's'} {' or '.join(names)}"


def _pool_need_text(demand: Demand) -> str:
    return f"a node of {pools_text(demand)}" if demand.pools else "a pool that its project may use"


def _spread_text(demand: Demand) -> str:
    apart = demand.apart
    assert apart is not None
    return f"a {apart.node_label or 'node'} with fewer than {apart.most} of those that it is spread with"


_NEEDS: dict[Dimension, Callable[[Demand], str]] = {
    "pool": _pool_need_text,
    "node_labels": lambda demand: f"a node with {_labels_text(demand)}",
    "exclusive_node": lambda _: "a node on which nothing else is",
    "quota": lambda _: "a node that its quotas let it hold whole",
    "spread": _spread_text,
    "gpu_type": demanded_gpus_text,
    "mig_profile": demanded_gpus_text,
    "gpu_memory_bytes": demanded_gpus_text,
    "gpu_count": demanded_gpus_text,
    "topology": lambda demand: f"{demanded_gpus_text(demand)} of one NVLink island",
    "gpu_millis": demanded_gpus_text,
    "memory_bytes": lambda demand: f"{memory_text(demand.memory_bytes)} of memory",
    "cpu_millis": lambda demand: cpu_text(demand.cpu_millis),
    "min_isolation": lambda demand: f"isolation {isolation_text(demand.min_isolation)}",
}

_GPU_NEEDS: tuple[Dimension, ...] = (
    "gpu_type",
    "mig_profile",
    "gpu_memory_bytes",
    "gpu_count",
    "topology",
    "gpu_millis",
)

_AMOUNTS: dict[Dimension, Callable[[int], str]] = {
    "pool": str,
    "node_labels": str,
    "exclusive_node": str,
    "quota": str,
    "spread": str,
    "gpu_type": str,
    "mig_profile": str,
    "gpu_memory_bytes": memory_text,
    "gpu_count": str,
    "topology": str,
    "gpu_millis": lambda millis: share_text(millis, ""),
    "memory_bytes": memory_text,
    "cpu_millis": cpu_text,
    "min_isolation": isolation_text,
}


def need_text(demand: Demand, dimension: Dimension) -> str:
    """What the demand asks for in a dimension, as in `64 GiB of memory`."""
    return _NEEDS[dimension](demand)


def amount_text(amount: int, dimension: Dimension) -> str:
    """An amount of a dimension, as in `32 GiB`."""
    return _AMOUNTS[dimension](amount)


def earlier_needs_text(demand: Demand, stuck: Blocked) -> str:
    """What the nearest nodes do have, as in ` with 8 H100 and 64 GiB of memory`; often empty."""
    sharing = any(each.refusal is Refusal.GPU_SHARING_UNAVAILABLE for each in stuck.passed)
    dimensions = [
        each.dimension
        for each in stuck.passed
        if each.dimension and each.refusal is not Refusal.GPU_SHARING_UNAVAILABLE
    ]
    dimensions = [each for each in dimensions if each not in ("pool", "quota", "spread")]
    where = f" of {pools_text(demand)}" if demand.pools else ""
    where += " where jobs may share GPUs" if sharing else ""
    # Each of these is said by a need of the others.
    said = [each for each in (*dimensions, stuck.filter.dimension) if each in _GPU_NEEDS]
    texts = [_having_text(demand, one) for one in dimensions if one not in said[:-1]]
    return where + _listed(" with ", texts)


def _having_text(demand: Demand, dimension: Dimension) -> str:
    """What a node has of what the demand asks for."""
    if dimension == "node_labels":
        return _labels_text(demand)
    return "nothing on it" if dimension == "exclusive_node" else need_text(demand, dimension)


def _listed(before: str, texts: Sequence[str]) -> str:
    return before + " and ".join(texts) if texts else ""
