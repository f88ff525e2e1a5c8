"""`windlass simulate` on jobs with times, from its flags to what it prints."""

import json
from pathlib import Path

import pytest

from windlass_server.simulation.__main__ import main

JOBS = """\
submit_time,run_time,time_limit,gpus,project,name
0,100,200,6,vision,train
10,100,200,8,language,tune
20,50,60,2,vision,eval
30,10,,16,vision,too-large
"""


@pytest.fixture
def trace(tmp_path: Path) -> str:
    file = tmp_path / "jobs.csv"
    file.write_text(JOBS, encoding="utf-8")
    return str(file)


def test_json_is_one_object_with_all_measures(trace: str, capsys):
    assert main([trace, "--cluster", "1x8xH100", "-o", "json"]) == 0
    captured = capsys.readouterr()
    printed = json.loads(captured.out)
    assert (printed["policy"], printed["jobs"], printed["finished"]) == ("built-in", 4, 3)
    assert printed["never_placed"] == [
        {
            "job": "job-0000003",
            "name": "too-large",
            "reason": "INSUFFICIENT_GPUS",
            "message": "needs 16 GPUs; the most on one node is 8 (node node-00000)",
        }
    ]
    assert printed["wait_seconds"]["max"] == 90
    assert {"mean", "p50", "p90", "p99", "max"} == printed["bounded_slowdown"].keys()
    assert printed["jain"].keys() == {"projects", "users"}
    assert [one["project"] for one in printed["projects"]] == ["language", "vision"]
    assert len(printed["over_time"]) == 50
    assert "policies" not in printed
    assert captured.err == ""


def test_policies_stand_beside_each_other(trace: str, capsys):
    flags = [trace, "--cluster", "1x8xH100", "--policy", "fifo", "--policy", "greedy"]
    assert main([*flags, "--output", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [one["policy"] for one in printed["policies"]] == ["fifo", "greedy"]
    assert [one["wait_seconds"]["max"] for one in printed["policies"]] == [180, 90]
    assert main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fifo", "greedy"]
    assert next(line.split()[-2:] for line in lines if line.startswith("jobs finished"))
    assert "fifo: job-0000003 (too-large) never got a place: INSUFFICIENT_GPUS: needs" in "\n".join(
        lines
    )


def test_what_was_stands_beside_what_would_have_been(tmp_path: Path, capsys):
    file = tmp_path / "jobs.csv"
    file.write_text("submit_time,run_time,gpus,start_time\n0,10,8,4\n0,10,8,60\n", encoding="utf-8")
    flags = [str(file), "--cluster", "1x8xH100", "--policy", "recorded", "--policy", "fifo"]
    assert main([*flags, "-o", "json"]) == 0
    was, would = json.loads(capsys.readouterr().out)["policies"]
    assert (was["policy"], was["wait_seconds"]["mean"]) == ("recorded", 32)
    assert would["wait_seconds"]["mean"] == 5
    file.write_text("submit_time,run_time,gpus,start_time\n0,10,8,4\n0,10,8,\n", encoding="utf-8")
    assert main(flags) == 2
    assert "the trace does not say when job-0000001 started" in capsys.readouterr().err


def test_jobs_are_made_saved_and_read_again(tmp_path: Path, capsys):
    saved = tmp_path / "made.csv"
    make = ["--generate", "60", "--load", "1.5", "--seed", "3", "--save", str(saved)]
    printed = []
    for flags in (make, make, [str(saved)]):
        assert main([*flags, "--cluster", "1x8xH100", "-o", "json"]) == 0
        printed.append(json.loads(capsys.readouterr().out) | {"seconds": 0})
    assert printed[0]["jobs"] == 60
    assert printed[0] == printed[1] == printed[2]


@pytest.mark.parametrize(("name", "begins"), [("plot.svg", b"<?xml"), ("PLOT.PNG", b"\x89PNG\r\n")])
def test_plots_are_drawn_and_are_the_same_each_time(tmp_path: Path, name: str, begins: bytes):
    drawn = []
    for _ in range(2):
        file = tmp_path / name
        flags = ["--generate", "50", "--cluster", "1x8xH100", "--plot", str(file)]
        assert main([*flags, "--policy", "fifo", "--policy", "greedy"]) == 0
        drawn.append(file.read_bytes())
    assert drawn[0].startswith(begins)
    assert drawn[0] == drawn[1]


def test_nodes_may_come_from_a_file(trace: str, tmp_path: Path, capsys):
    nodes = tmp_path / "nodes.csv"
    nodes.write_text("name,gpus,gpu_type,cpu,memory\na,16,H100,64,1TiB\n", encoding="utf-8")
    assert main(["--format", "csv", "--jobs", trace, "--nodes", str(nodes), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["never_placed"] == []


def test_wrong_lines_are_all_named(trace: str, capsys):
    Path(trace).write_text(JOBS.replace(",100,", ",soon,"), encoding="utf-8")
    assert main([trace, "--cluster", "1x8xH100"]) == 2
    said = capsys.readouterr().err
    assert "jobs.csv, line 2: run_time: 'soon' is not a number from 0\n" in said
    assert "jobs.csv, line 3: run_time: 'soon' is not a number from 0\n" in said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["jobs.csv"], "there are no nodes: give --nodes FILE, or --cluster such as 16x8xH100"),
        (["--cluster", "1x8xH100"], "the following arguments are required: --nodes, --jobs"),
        (["--format", "csv", "--cluster", "1x8xH100"], "give a TRACE, or --generate N to make one"),
        (["a.csv", "--jobs", "b.csv"], "TRACE and --jobs are the same: give one of them"),
        (["a.csv", "--cluster", "8xH100"], "'8xH100' is not NODESxGPUSxTYPE, such as 16x8xH100"),
        (["a.csv", "--cluster", "1x8xH100", "--nodes", "n.csv"], "give one of them"),
        (
            ["a.csv", "--cluster", "1x8xH100", "--demand", "1"],
            "--demand means nothing for jobs with times",
        ),
        (
            ["a.csv", "--cluster", "1x8xH100", "--load", "1"],
            "--load means nothing for a trace that is there",
        ),
        (
            ["a.csv", "--cluster", "1x8xH100", "--policy", "fgd"],
            "invalid choice: 'fgd' (choose from fifo, greedy",
        ),
        (["a.csv", "--generate", "5", "--cluster", "1x8xH100"], "give a TRACE, or --generate N"),
        (["--generate", "0", "--cluster", "1x8xH100"], "'0' is not from 1 to 1000000"),
        (["--nodes", "a", "--jobs", "b", "--save", "c"], "--save means nothing for openb"),
    ],
)
def test_flags_that_cannot_be_are_refused_in_one_line(capsys, flags: list[str], said: str):
    with pytest.raises(SystemExit) as caught:
        main(flags)
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_files_that_cannot_be_written_are_refused(tmp_path: Path, trace: str, capsys):
    absent = str(tmp_path / "none" / "file")
    flags = ["--generate", "5", "--cluster", "1x8xH100"]
    assert main([*flags, "--save", absent]) == 2
    assert main([trace, "--cluster", "1x8xH100", "--plot", f"{absent}.svg"]) == 2
    assert capsys.readouterr().err.count("No such file or directory") == 2
