"""Logs in the Standard Workload Format, good and bad."""

import gzip
import json
from pathlib import Path

import pytest

from tests.unit.simulation.timed import a_node
from windlass_server.simulation import swf
from windlass_server.simulation.__main__ import main
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.workload import SECOND, Workload

LOG = """\
; Version: 2.2
; Computer: IBM SP2
; MaxNodes: 25 (some of them twice)
;  MaxProcs:  100
; MaxJobs: 6
  1     0   10  100   8  -1 -1   8  200 2048 1  3  1  5  1 -1 -1 -1
  2    60   -1  50.5 16  -1 -1  -1   -1   -1 0 -1 -1 -1 -1 -1 -1 -1

  3    30    0  300   4  -1 -1   4  200   -1 1  3  2  5  2 -1 -1 -1
  4    70    0   -1  -1  -1 -1   4  200   -1 5  3  2  5  2 -1 -1 -1
  5    80    0    0  -1  -1 -1   4  200   -1 5  3  2  5  2 -1 -1 -1
  6    90    0   20   4  -1 -1   4  200   -1 2  3  2  5  2 -1 -1 -1
  7    95    0   20  -1  -1 -1  -1  200   -1 1  3  2  5  2 -1 -1 -1
"""


def read(folder: Path, text: str, name: str = "log.swf", *nodes) -> Workload:
    file = folder / name
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(text.encode()))
    else:
        file.write_text(text, encoding="utf-8")
    return swf.read(file, nodes)


@pytest.mark.parametrize("name", ["log.swf", "log.swf.gz"])
def test_jobs_are_read_in_the_order_in_which_they_came(tmp_path: Path, name: str):
    workload = read(tmp_path, LOG, name)
    first, late, second = workload.jobs
    assert [job.submitted_at // SECOND for job in workload.jobs] == [0, 30, 60]
    asked = first.demand
    assert (asked.cpu_millis, asked.memory_bytes) == (8000, 8 * 2048 * 1024)
    assert (asked.time_limit, first.run_time) == (200 * SECOND, 100 * SECOND)
    assert (asked.project, asked.user, first.name) == ("group-1", "user-3", "executable-5")
    assert asked.queue == "queue-1"
    assert (first.was_started_at, second.was_started_at) == (10 * SECOND, None)
    assert (second.demand.cpu_millis, second.demand.memory_bytes) == (16_000, 0)
    assert (second.demand.project, second.demand.user, second.name) == ("default", "", "")
    assert (second.run_time, second.demand.time_limit) == (50_500_000, None)
    assert late.takes == late.demand.time_limit == 300 * SECOND


def test_the_header_tells_of_the_machine(tmp_path: Path):
    (machine,) = read(tmp_path, LOG).nodes
    assert (machine.cpu_millis, machine.gpus) == (100_000, ())
    (machine,) = read(tmp_path, LOG.replace("MaxProcs", "Procs")).nodes
    assert machine.cpu_millis == 25_000
    assert read(tmp_path, LOG, "log.swf", a_node()).nodes == (a_node(),)


def test_a_job_that_is_larger_than_a_node_takes_several(tmp_path: Path):
    first, late, second = read(tmp_path, LOG, "log.swf", a_node(cpu=6), a_node("n2", cpu=4)).jobs
    assert (first.demand.nodes, first.demand.cpu_millis) == (2, 4000)
    assert first.demand.memory_bytes == 4 * 2048 * 1024
    assert (second.demand.nodes, second.demand.cpu_millis) == (3, 5334)
    assert late.demand.nodes == 1


def test_what_is_left_out_is_said(tmp_path: Path):
    assert read(tmp_path, LOG).notes == (
        "1 jobs do not say how many processors they took: left out",
        "2 jobs never ran in the log: left out",
        "1 jobs ran longer in the log than they had asked for: their limit is what they ran",
        "1 lines are parts of jobs that have a line as a whole: left out",
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  -1 -1   8  200 2048 1", "  -1 -1   8  200 1", "log.swf, line 6: there are 17 fields"),
        ("50.5", "soon", "line 7: run time: 'soon' is not a number"),
        ("50.5", "nan", "line 7: run time: nan is neither a number from 0 nor -1 for unknown"),
        ("50.5", "-2", "line 7: run time: -2 is neither"),
        ("50.5", "1e99", "line 7: run time: 1e99 is neither"),
        ("  2    60", "  2    -1", "line 7: submit time: a job that was never submitted"),
        ("MaxProcs:  100", "MaxProcs: many", "line 4: MaxProcs: 'many' is not a number from 1"),
        ("MaxProcs:  100", "MaxProcs: 0", "line 4: MaxProcs: '0' is not a number from 1"),
        (LOG[LOG.index("  1 ") :], "", "there is no job that ran"),
        (LOG[: LOG.index("  1 ")], "", "no header says MaxProcs or MaxNodes; --nodes or --cluster"),
    ],
)
def test_logs_that_cannot_be_are_refused(tmp_path: Path, old: str, new: str, said: str):
    assert old in LOG
    with pytest.raises(TraceError) as caught:
        read(tmp_path, LOG.replace(old, new))
    assert said in str(caught.value)


def test_all_wrong_lines_are_named(tmp_path: Path):
    with pytest.raises(TraceError) as caught:
        read(tmp_path, "1 2 3\n" * 30)
    assert len(str(caught.value).splitlines()) == 21


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x1f\x8b but no more",
        gzip.compress(LOG.encode())[:-9],
        gzip.compress(LOG.encode())[:10] + b"\xff" * 99,
    ],
)
def test_what_is_not_gzip_is_refused(tmp_path: Path, content: bytes):
    file = tmp_path / "log.swf.gz"
    file.write_bytes(content)
    with pytest.raises(TraceError, match=r"log\.swf\.gz: "):
        swf.read(file)


def test_a_log_is_played_by_its_name(tmp_path: Path, capsys):
    file = tmp_path / "log.swf"
    file.write_text(LOG, encoding="utf-8")
    assert main([str(file), "--policy", "fifo", "--policy", "backfill", "-o", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["unit"], printed["jobs"], printed["finished"]) == ("CPU", 3, 3)
    assert len(printed["notes"]) == 4
    assert main([str(file)]) == 0
    assert "note: 2 jobs never ran in the log: left out\n" in capsys.readouterr().out
