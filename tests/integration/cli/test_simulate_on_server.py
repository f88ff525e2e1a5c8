"""`windlass simulate --on-server`: a file of jobs becomes a request."""

import json
from pathlib import Path

import grpc
import pytest

from tests.support.fake_api import Failure
from windlass_server.simulation import clusters, csv_jobs, synthetic

JOBS = """\
submit_time,run_time,time_limit,gpus,gpu_type,cpu,memory,nodes,project,user,name,queue,priority
2026-03-01T12:00:30Z,90,2m,8,H100,64,512GiB,2,vision,ann,train,nightly,-5
2026-03-01T12:00:00Z,1.5h,,,,,,,,,,,
"""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    file = tmp_path / "jobs.csv"
    file.write_text(JOBS, encoding="utf-8")
    return file


def test_the_jobs_of_a_file_are_sent(windlass, plane, trace: Path):
    flags = "--policy", "fifo", "--policy", "built-in", "--cluster", "4x8xH100,2x4xL4"
    done = windlass("simulate", str(trace), "--on-server", *flags)
    assert done.exit_code == 0, done.output
    assert [line.split()[:4] for line in done.stdout.splitlines()] == [
        ["POLICY", "FINISHED", "UNPLACED", "GIVEN"],
        ["fifo", "2", "0", "12.3%"],
    ]
    (request,) = plane.state.requests["Simulate"]
    first, second = request.jobs
    assert (first.submit_time.seconds, second.submit_time.seconds) == (30, 0)
    assert (first.run_time.seconds, second.run_time.seconds) == (90, 5400)
    assert (first.time_limit.seconds, second.HasField("time_limit")) == (120, False)
    assert (first.gpu_count, first.gpu_type, first.cpu_millis, first.nodes) == (
        8,
        "H100",
        64_000,
        2,
    )
    assert (first.memory_bytes, second.memory_bytes) == (512 << 30, 1 << 30)
    assert (first.project, first.user, first.queue, first.priority) == (
        "vision",
        "ann",
        "nightly",
        -5,
    )
    assert list(request.policies) == ["fifo", "built-in"]
    assert [(one.count, one.gpu_count, one.gpu_type) for one in request.nodes] == [
        (4, 8, "H100"),
        (2, 4, "L4"),
    ]


@pytest.mark.parametrize(
    ("cell", "one", "several"),
    [
        ("H100", "H100", []),
        ("H100|A100", "", ["H100", "A100"]),
        (" H100 | A100|H100 |", "", ["H100", "A100"]),
        ("H100|", "H100", []),
    ],
)
def test_types_of_which_any_will_do_are_sent_the_best_first(
    windlass, plane, trace, cell, one, several
):
    trace.write_text(JOBS.replace("H100", cell), encoding="utf-8")
    assert windlass("simulate", str(trace), "--on-server").exit_code == 0
    (request,) = plane.state.requests["Simulate"]
    assert (request.jobs[0].gpu_type, list(request.jobs[0].gpu_types)) == (one, several)


def test_a_trace_that_was_made_is_sent(windlass, plane, tmp_path: Path):
    """It has all columns, and says nothing in those that a server does not play."""
    made = synthetic.made(clusters.made("2x8xH100"), 20, 1.2, 7)
    with (tmp_path / "made.csv").open("w", encoding="utf-8", newline="") as file:
        csv_jobs.write(made, file)
    done = windlass("simulate", str(tmp_path / "made.csv"), "--on-server")
    assert done.exit_code == 0, done.output
    (request,) = plane.state.requests["Simulate"]
    assert len(request.jobs) == 20


def test_the_answer_is_printed_as_json(windlass, plane, trace: Path):
    done = windlass("-o", "json", "simulate", str(trace), "--on-server")
    assert json.loads(done.stdout)["results"][0]["policy"] == "fifo"
    (request,) = plane.state.requests["Simulate"]
    assert not request.nodes
    assert not request.policies


def test_a_server_that_has_no_time_is_told(windlass, plane, trace: Path):
    failure = Failure(grpc.StatusCode.INVALID_ARGUMENT, "too many", "TOO_MANY_NODES")
    plane.state.failures["Simulate"] = [failure]
    done = windlass("simulate", str(trace), "--on-server")
    assert done.exit_code == 2
    assert "too many" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no column submit_time"),
        ("submit_time,run_time,priorty\n", "there is an unknown column 'priorty'"),
        ("submit_time,run_time\n", "jobs.csv: there is no job"),
        ("submit_time,run_time\n0\n", "line 2: there are not as many cells as columns"),
        ("submit_time,run_time\n0,1\nsoon,1\n", "line 3: submit_time: 'soon' is not a duration"),
        (
            "submit_time,run_time\n2026-01-01,1\n",
            "submit_time: '2026-01-01' does not say its offset",
        ),
        ("submit_time,run_time\n0,\n", "line 2: run_time: '' is not a duration"),
        ("submit_time,run_time,gpus\n0,1,x\n", "line 2: gpus: 'x' is not a whole number"),
        ("submit_time,run_time,cpu\n0,1,x\n", "line 2: cpu: 'x' is not a number of CPUs"),
        ("submit_time,run_time,memory\n0,1,x\n", "line 2: memory: 'x' is not a size"),
        ("submit_time,run_time,gpu_share\n0,1,0.5\n", "gpu_share: that is not played on a server"),
        ("submit_time,run_time,exclusive\n0,1,yes\n", "exclusive: that is not played on a server"),
        ("submit_time,run_time,after\n0,1,after:x\n", "after: that is not played on a server"),
    ],
)
def test_a_file_that_cannot_be_is_refused(windlass, trace: Path, text: str, said: str):
    trace.write_text(text, encoding="utf-8")
    done = windlass("simulate", str(trace), "--on-server")
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--on-server needs a TRACE, a CSV file of jobs"),
        (["none.csv"], "none.csv: No such file or directory"),
        (
            ["a.csv", "--seed", "4"],
            "--on-server takes TRACE, --cluster and --policy, and not --seed 4",
        ),
        (["a.csv", "--cluster"], "argument --cluster: expected one argument"),
        (["a.csv", "--cluster", "many"], "'many' is not NODESxGPUSxTYPE, such as 16x8xH100"),
    ],
)
def test_flags_that_cannot_be_are_refused(windlass, flags: list[str], said: str):
    done = windlass("simulate", "--on-server", *flags)
    assert done.exit_code == 2
    assert said in done.stderr
