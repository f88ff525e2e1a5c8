"""Traces in OpenB's format, good and bad."""

from pathlib import Path

import pytest

from tests.unit.simulation.traces import NODES, TASKS, files
from windlass_server.scheduler.packing.fleet import Node, Task
from windlass_server.scheduler.packing.shapes import Shape
from windlass_server.simulation import openb
from windlass_server.simulation.trace import TraceError, demand_of


def test_a_trace_is_read(tmp_path: Path):
    trace = openb.read(*files(tmp_path))
    assert trace.nodes[0] == Node("node-0", 64_000, 262_144, (1000, 1000), "T4")
    assert trace.nodes[5] == Node("node-5", 32_000, 131_072)
    assert trace.capacity == 22_000
    assert len(trace.tasks) == 12
    assert trace.tasks[2] == Task(Shape(6_000, 1, 460, ("P100", "T4")), 12_288)
    assert trace.tasks[6:8] == (Task(Shape(8_000), 30_517), Task(Shape(32_000), 49_152))
    assert trace.tasks[10].shape == Shape(11_400, 1, 1000)
    assert demand_of(trace.tasks) == 2_000 + 12_000 + 460 * 2 + 810 + 160 + 320 + 220


def test_what_a_spreadsheet_adds_is_no_trouble(tmp_path: Path):
    nodes, tasks = files(tmp_path)
    nodes.write_bytes(b"\xef\xbb\xbf" + NODES.replace("\n", "\r\n").encode())
    assert openb.read(nodes, tasks) == openb.read(*files(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gpu,model", "gpus,model", "nodes.csv: there is no column gpu"),
        ("sn,cpu_milli", "name,cpu", "nodes.csv: there is no column sn, cpu_milli"),
        (
            "64000,262144,2,T4",
            "NaN,262144,2,T4",
            "nodes.csv, line 2: cpu_milli: NaN is not a whole",
        ),
        (
            "64000,262144,2,T4",
            "inf,262144,2,T4",
            "nodes.csv, line 2: cpu_milli: inf is not a whole",
        ),
        ("64000,262144,2,T4", "64000,-1,2,T4", "nodes.csv, line 2: memory_mib: -1 is less than 0"),
        ("64000,262144,2,T4", "64000,1e99,2,T4", "memory_mib: 1e99 is more than 1000000000000"),
        ("64000,262144,2,T4", "64000,262144,65,T4", "line 2: gpu: 65 is more than 64"),
        ("64000,262144,2,T4", "64000,262144,1.5,T4", "line 2: gpu: 1.5 is not a whole number"),
        ("64000,262144,2,T4", "64000,262144,2,", "line 2: model: GPUs need a model"),
        ("node-1", "node-0", "nodes.csv, line 3: sn: there are two nodes node-0"),
        ("node-1", " ", "line 3: sn: a node needs a name"),
        ("node-2,96000", "node-2", "line 4: there are not as many cells as columns"),
        ("node-2,96000", "node-2,1,96000", "line 4: there are not as many cells as columns"),
        (NODES[NODES.index("node-0") :], "", "nodes.csv: no node has a GPU"),
        (NODES, "", "nodes.csv: there is no column sn, cpu_milli, memory_mib, gpu, model"),
    ],
)
def test_nodes_that_cannot_be_are_refused(tmp_path: Path, old: str, new: str, said: str):
    refused(files(tmp_path, nodes=NODES.replace(old, new)), said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gpu_milli,gpu_spec", "gpu_share,models", "no column gpu_milli, gpu_spec"),
        ("1,460,,LS", "1,nan,,LS", "tasks.csv, line 3: gpu_milli: nan is not a whole number"),
        ("1,460,,LS", "1,,,LS", "line 3: gpu_milli: '' is not a number"),
        ("1,460,,LS", "1,0,,LS", "line 3: gpu_milli: 0 of a GPU; it is 1 to 1000"),
        ("1,460,,LS", "1,1001,,LS", "line 3: gpu_milli: 1001 of a GPU; it is 1 to 1000"),
        ("1,460,,LS", "2,460,,LS", "line 3: gpu_milli: a task with 2 GPUs takes whole ones"),
        ("1,460,,LS", "-1,460,,LS", "line 3: num_gpu: -1 is less than 0"),
        ("6000,12288", "much,12288", "line 3: cpu_milli: 'much' is not a number"),
        ("T4|P100", "T4|H900", "line 4: gpu_spec: no node has H900; there are G2, P100, T4"),
        (TASKS[TASKS.index("task-00") :], "t,1,1,0,0,,BE\n", "tasks.csv: no task takes a GPU"),
        (TASKS[TASKS.index("task-00") :], "", "tasks.csv: no task takes a GPU"),
    ],
)
def test_tasks_that_cannot_be_are_refused(tmp_path: Path, old: str, new: str, said: str):
    refused(files(tmp_path, tasks=TASKS.replace(old, new)), said)


def refused(paths: tuple[Path, Path], said: str) -> None:
    with pytest.raises(TraceError) as caught:
        openb.read(*paths)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "this is not text in UTF-8"),
        (NODES.encode() + b'"unclosed', "this is not CSV"),
        (NODES.encode() + b"x" * 200_000, "this is not CSV"),
    ],
)
def test_files_that_are_something_else_are_refused(tmp_path: Path, content: bytes, said: str):
    nodes, tasks = files(tmp_path)
    nodes.write_bytes(content)
    refused((nodes, tasks), said)


def test_files_that_are_not_there_are_refused(tmp_path: Path):
    refused((tmp_path / "none.csv", tmp_path / "none.csv"), "none.csv: No such file or directory")
    refused((tmp_path, tmp_path), "Is a directory")
