"""Reads traces in the format of OpenB, Alibaba's GPU cluster trace of 2023.

Two CSV files with a line of headings. Nodes: `sn`, `cpu_milli`, `memory_mib`, `gpu` (how many), `model`.
Tasks: `cpu_milli`, `memory_mib`, `num_gpu`, `gpu_milli` (of each GPU; of one GPU alone it may be less than
1000), `gpu_spec` (models that it takes, with `|` between; empty for any). Other columns are not read.
"""

from pathlib import Path

from windlass_server.scheduler.packing.fleet import Node, Task
from windlass_server.scheduler.packing.shapes import WHOLE, Shape
from windlass_server.simulation.rows import Row, rows
from windlass_server.simulation.trace import Trace, TraceError

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
TASK_COLUMNS = ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec")

_MOST_GPUS_OF_A_NODE = 64


def read(nodes: Path, tasks: Path) -> Trace:
    """The trace in two files.

    Raises:
        TraceError: a file cannot be read, or does not say what it should; with file and line.
    """
    known = _nodes(nodes)
    models = {node.gpu_type for node in known if node.gpus}
    read_tasks = tuple(_task(row, models) for row in rows(tasks, TASK_COLUMNS))
    if not any(task.shape.gpu_count for task in read_tasks):
        raise TraceError(f"{tasks}: no task takes a GPU, so there is nothing to simulate")
    return Trace(known, read_tasks)


def _nodes(file: Path) -> tuple[Node, ...]:
    found: dict[str, Node] = {}
    for row in rows(file, NODE_COLUMNS):
        node = _node(row)
        if node.node_id in found:
            raise row.error("sn", f"there are two nodes {node.node_id}")
        found[node.node_id] = node
    if not any(node.gpus for node in found.values()):
        raise TraceError(f"{file}: no node has a GPU, so there is nothing to simulate")
    return tuple(sorted(found.values()))


def _node(row: Row) -> Node:
    row.check()
    gpus = row.number("gpu", _MOST_GPUS_OF_A_NODE)
    if not row.text("sn"):
        raise row.error("sn", "a node needs a name")
    if gpus and not row.text("model"):
        raise row.error("model", "GPUs need a model")
    return Node(
        row.text("sn"),
        row.number("cpu_milli"),
        row.number("memory_mib"),
        (WHOLE,) * gpus,
        row.text("model") if gpus else "",
    )


def _task(row: Row, models: set[str]) -> Task:
    row.check()
    count = row.number("num_gpu", _MOST_GPUS_OF_A_NODE)
    cpu, memory = row.number("cpu_milli"), row.number("memory_mib")
    if not count:
        return Task(Shape(cpu), memory)
    millis = row.number("gpu_milli")
    if not 0 < millis <= WHOLE:
        raise row.error("gpu_milli", f"{millis} of a GPU; it is 1 to {WHOLE}")
    if count > 1 and millis < WHOLE:
        raise row.error("gpu_milli", f"a task with {count} GPUs takes whole ones, {WHOLE} each")
    wanted = sorted({name.strip() for name in row.text("gpu_spec").split("|")} - {""})
    for name in wanted:
        if name not in models:
            raise row.error(
                "gpu_spec", f"no node has {name}; there are {', '.join(sorted(models))}"
            )
    return Task(Shape(cpu, count, millis, tuple(wanted)), memory)
