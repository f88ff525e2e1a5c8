"""The nodes of a simulation: from a CSV file, or from a few words such as `16x8xH100`."""

import re
from dataclasses import replace
from pathlib import Path

from windlass_server.scheduler.snapshot import Gpu, NodeState
from windlass_server.simulation import cells, quantities
from windlass_server.simulation.rows import Row, rows
from windlass_server.simulation.trace import TraceError

COLUMNS = (
    *("name", "gpus", "gpu_type", "cpu", "memory", "count", "sharers"),
    *("pool", "cluster", "labels"),
)
MOST_NODES = 100_000

_MOST_GPUS_OF_A_NODE = 1024
_MOST_SHARERS = 64
_ISOLATION = 3
# As `resources.pooling` has it, which takes a second to import.
_DEFAULT_POOL = "default"
_WORD = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,3})x([A-Za-z0-9][A-Za-z0-9._-]{0,62})")
# What comes with each GPU where only GPUs are named: enough that GPUs decide.
CORES_BESIDE, GIB_BESIDE, SHARERS = 16, 128, 8


def read(file: Path) -> tuple[NodeState, ...]:
    """The nodes of a file; a line stands for `count` of them.

    Raises:
        TraceError: the file cannot be read, or does not say what it should; with file and line.
    """
    found: dict[str, NodeState] = {}
    for row in rows(file, ("name", "cpu", "memory"), COLUMNS):
        row.check()
        count = row.number("count", MOST_NODES) if row.text("count") else 1
        if not row.text("name"):
            raise row.error("name", "a node needs a name")
        for number in range(count):
            node = _node(row, row.text("name") + (f"-{number}" if count > 1 else ""))
            if node.node_id in found:
                raise row.error("name", f"there are two nodes {node.node_id}")
            found[node.node_id] = node
            if len(found) > MOST_NODES:
                raise row.error("count", f"that makes more than {MOST_NODES} nodes")
    if not found:
        raise TraceError(f"{file}: there is no node, so there is nothing to simulate")
    return tuple(found[name] for name in sorted(found))


def made(text: str) -> tuple[NodeState, ...]:
    """Nodes such as `16x8xH100` (16 of 8 GPUs each), with 16 cores and 128 GiB beside each GPU.

    Eight may share one of their GPUs.

    Several kinds have commas between.

    Raises:
        ValueError: it is something else; with a sentence.
    """
    found = list[NodeState]()
    for word in text.split(","):
        match = _WORD.fullmatch(word.strip())
        if match is None:
            raise ValueError(f"{word.strip()!r} is not NODESxGPUSxTYPE, such as 16x8xH100")
        count, gpus, gpu_type = int(match[1]), int(match[2]), match[3]
        if len(found) + count > MOST_NODES or gpus > _MOST_GPUS_OF_A_NODE:
            raise ValueError(
                f"{word!r} is too much: at most {MOST_NODES} nodes of {_MOST_GPUS_OF_A_NODE} GPUs"
            )
        cpu, memory = gpus * CORES_BESIDE * 1000, gpus * GIB_BESIDE << 30
        first = len(found)
        found += (
            node(f"node-{number:05}", gpus, gpu_type, cpu, memory, SHARERS)
            for number in range(first, first + count)
        )
    return tuple(found)


def node(
    name: str, gpus: int, gpu_type: str, cpu_millis: int, memory_bytes: int, sharers: int = 0
) -> NodeState:
    """An empty node with its GPUs; at most `sharers` may share one of them."""
    return NodeState(
        name,
        name,
        True,
        cpu_millis,
        memory_bytes,
        cpu_millis,
        memory_bytes,
        tuple(Gpu(f"{name}/{index:04}", gpu_type, True, False) for index in range(gpus)),
        _ISOLATION,
        max_sharers=sharers,
        address=name,
    )


def _node(row: Row, name: str) -> NodeState:
    gpus = row.number("gpus", _MOST_GPUS_OF_A_NODE) if row.text("gpus") else 0
    gpu_type = row.text("gpu_type")
    if bool(gpus) != bool(gpu_type):
        what = "GPUs need a type" if gpus else "a type of no GPUs"
        raise row.error("gpu_type", what)
    sharers = row.number("sharers", _MOST_SHARERS) if row.text("sharers") else 0
    try:
        column = "cpu"
        cpu = quantities.cores(row.text(column))
        column = "memory"
        memory = quantities.memory(row.text(column))
        column = "labels"
        labels = cells.labels(row.text(column))
    except ValueError as error:
        raise row.error(column, str(error)) from None
    said = dict(labels)
    return replace(
        node(name, gpus, gpu_type, cpu, memory, sharers),
        pool=row.text("pool") or _DEFAULT_POOL,
        labels=labels,
        # As `resources.capacity` has it.
        place=(
            row.text("cluster"),
            said.get("zone", ""),
            said.get("block", ""),
            said.get("rack", ""),
        ),
    )
