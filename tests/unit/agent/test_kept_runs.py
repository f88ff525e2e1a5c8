"""Folders of runs in debug mode are kept for a bounded time, and so many of them."""

import os
from pathlib import Path

from windlass_agent.kept_runs import MOST, KeptRuns


def a_run(folder: Path, name: str) -> Path:
    run = folder / "runs" / name
    (run / "work").mkdir(parents=True)
    (run / "work" / "core").write_text("x")
    return run


def test_a_folder_is_kept_until_its_time_is_over(tmp_path):
    kept = KeptRuns(tmp_path / "kept", 60)
    run = a_run(tmp_path, "run-1.1")
    assert kept.keep(run)
    assert not run.exists()
    there = tmp_path / "kept" / "run-1.1"
    assert (there / "work" / "core").read_text() == "x"
    ended = there.stat().st_mtime
    kept.tidy(ended + 59)
    assert there.exists()
    kept.tidy(ended + 60)
    assert not there.exists()


def test_the_newest_are_kept_and_no_more_than_so_many(tmp_path):
    kept = KeptRuns(tmp_path / "kept", 3600)
    for number in range(MOST + 3):
        kept.keep(a_run(tmp_path, f"run-{number:02}.1"))
        now = (tmp_path / "kept" / f"run-{number:02}.1").stat().st_mtime
        os.utime(tmp_path / "kept" / f"run-{number:02}.1", (now, now - 100 + number))
    kept.tidy()
    assert sorted(one.name for one in (tmp_path / "kept").iterdir()) == [
        f"run-{number:02}.1" for number in range(3, MOST + 3)
    ]


def test_where_nothing_is_to_be_kept_the_folder_stays_with_its_owner(tmp_path):
    run = a_run(tmp_path, "run-1.1")
    assert not KeptRuns(tmp_path / "kept", 0).keep(run)
    assert run.exists()
    KeptRuns(tmp_path / "never", 60).tidy()


def test_a_folder_that_is_gone_is_no_trouble(tmp_path):
    assert KeptRuns(tmp_path / "kept", 60).keep(tmp_path / "runs" / "run-9.1")
