"""A small trace in OpenB's format, written by hand: six nodes of three models, and what came to them."""

from pathlib import Path

NODES = """\
sn,cpu_milli,memory_mib,gpu,model
node-0,64000,262144,2,T4
node-1,64000,262144,2,T4
node-2,96000,393216,8,G2
node-3,96000,393216,8,G2
node-4,16000,65536,2,P100
node-5,32000,131072,0,
"""

TASKS = """\
name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos
task-00,12000,16384,1,1000,,LS
task-01,6000,12288,1,460,,LS
task-02,6000,12288,1,460,T4|P100,LS
task-03,3152,5600,1,810,,BE
task-04,3152,5600,1,160,,BE
task-05,48000,131072,4,1000,,LS
task-06,8000,30517,0,0,,BE
task-07,32000,49152,0,,,BE
task-08,4000,15258,1,320,,BE
task-09,64000,262144,8,1000,G2,LS
task-10,11400.0,48128,1,1000,,LS
task-11,4000,15258,1,220,,BE
"""


def files(folder: Path, nodes: str = NODES, tasks: str = TASKS) -> tuple[Path, Path]:
    """The two files of a trace."""
    written = folder / "nodes.csv", folder / "tasks.csv"
    for path, text in zip(written, (nodes, tasks), strict=True):
        path.write_text(text, encoding="utf-8")
    return written
