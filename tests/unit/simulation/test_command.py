"""`windlass simulate`, from its flags to what it prints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.simulation.traces import TASKS, files
from windlass_server.simulation.__main__ import main

PNG = b"\x89PNG\r\n"


def flags(folder: Path, *more: str) -> list[str]:
    nodes, tasks = files(folder)
    return ["--nodes", str(nodes), "--jobs", str(tasks), *more]


def test_json_is_one_object_with_the_allocation_at_each_mark(tmp_path: Path, capsys):
    given = "--format", "openb", "--demand", "1.3", "--seed", "42", "--output", "json"
    assert main(flags(tmp_path, *given, "--policy", "fgd")) == 0
    captured = capsys.readouterr()
    printed = json.loads(captured.out)
    assert printed["gpu_allocation_percent"].keys() == {"80", "90", "100", "130"}
    assert all(0 < value <= 100 for value in printed["gpu_allocation_percent"].values())
    assert (printed["policy"], printed["seeds"]) == ("fgd", [42])
    assert 0 < printed["placed"] <= printed["tasks"]
    assert printed["seconds"] > 0
    assert printed["placements_per_second"] > 0
    assert captured.err == ""


def test_a_mark_that_was_never_reached_is_null(tmp_path: Path, capsys):
    main(flags(tmp_path, "--demand", "0.85", "--output", "json"))
    percents = json.loads(capsys.readouterr().out)["gpu_allocation_percent"]
    assert [percents[mark] is None for mark in ("80", "90", "100", "130")] == [
        False, *[True] * 3,
    ]  # fmt: skip


def test_a_table_has_a_line_for_each_policy(tmp_path: Path, capsys):
    chosen = [f"--policy={name}" for name in ("random", "fgd", "random")]
    assert main(flags(tmp_path, *chosen, "--seeds", "3")) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert "at 100 %" in heading
    assert [line.split()[0] for line in lines] == ["random", "fgd"]
    assert all("±" in line for line in lines)


def test_more_policies_than_one_are_all_in_the_json(tmp_path: Path, capsys):
    main(flags(tmp_path, "--policy=fgd", "--policy=random", "-o", "json", "--seeds", "2"))
    printed = json.loads(capsys.readouterr().out)
    assert [one["policy"] for one in printed["policies"]] == ["fgd", "random"]
    assert [one["seeds"] for one in printed["policies"]] == [[42, 43]] * 2


def test_learning_is_worse_informed_but_places_tasks_too(tmp_path: Path, capsys):
    assert main(flags(tmp_path, "--popularity", "learned", "-o", "json")) == 0
    assert json.loads(capsys.readouterr().out)["placed"] > 0


@pytest.mark.parametrize(("name", "begins"), [("plot.svg", b"<?xml"), ("PLOT.PNG", PNG)])
def test_plots_are_drawn_and_are_the_same_each_time(tmp_path: Path, name: str, begins: bytes):
    drawn = []
    for _ in range(2):
        file = tmp_path / name
        assert main(flags(tmp_path, "--policy=fgd", "--policy=random", "--plot", str(file))) == 0
        drawn.append(file.read_bytes())
    assert drawn[0].startswith(begins)
    assert drawn[0] == drawn[1]


def test_a_plot_that_cannot_be_written_is_refused(tmp_path: Path, capsys):
    assert main(flags(tmp_path, "--plot", str(tmp_path / "none" / "plot.svg"))) == 2
    assert "plot.svg: No such file or directory" in capsys.readouterr().err


def test_files_that_cannot_be_simulated_are_refused_in_one_line(tmp_path: Path, capsys):
    given = flags(tmp_path)
    Path(given[3]).write_text(TASKS.replace("1,460", "1,NaN"), encoding="utf-8")
    assert main(given) == 2
    said = capsys.readouterr().err
    assert said.startswith("windlass simulate: ")
    assert said.endswith("tasks.csv, line 3: gpu_milli: NaN is not a whole number\n")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--demand", "nan"], "argument --demand: 'nan' is not above 0 and at most 10"),
        (["--demand", "-1"], "'-1' is not above 0"),
        (["--demand", "many"], "'many' is not above 0"),
        (["--seed", "-1"], "argument --seed: '-1' is not from 0 to 4294967295"),
        (["--seed", "1.5"], "'1.5' is not from 0"),
        (["--seeds", "0"], "argument --seeds: '0' is not from 1 to 1000"),
        (["--plot", "x.gif"], "'x.gif' ends in neither .svg nor .png"),
        (["--policy", "best"], "invalid choice: 'best'"),
        (["--format", "xml"], "invalid choice: 'xml'"),
        (["--polic", "fgd"], "unrecognized arguments: --polic"),
    ],
)
def test_flags_that_cannot_be_are_refused_in_one_line(tmp_path: Path, capsys, wrong, said: str):
    with pytest.raises(SystemExit) as caught:
        main(flags(tmp_path, *wrong))
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_the_trace_is_needed(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "the following arguments are required: --nodes, --jobs" in capsys.readouterr().err


def test_the_windlass_command_hands_over_what_it_is_given(tmp_path: Path):
    argv = [sys.executable, "-m", "windlass_client.cli.main", "--output", "json", "simulate"]
    ran = subprocess.run(
        [*argv, *flags(tmp_path, "--policy", "random", "--seed", "7")],
        capture_output=True,
        check=True,
    )
    printed = json.loads(ran.stdout)
    assert (printed["policy"], printed["seeds"]) == ("random", [7])
