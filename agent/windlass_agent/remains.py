"""Clears up after a run: ends what a lost supervisor left of it, writes its end, removes its folder."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from windlass_agent import frames, processes, rundir, task_secrets
from windlass_agent.cgroups import Group
from windlass_agent.kept_runs import KeptRuns
from windlass_agent.run_types import Cause, Level, RunExit
from windlass_agent.rundir import Intent

# What a run folder is named while it is removed.
TRASH = ".trash-"
_PATIENCE_SECONDS = 10.0


def group_of(folder: Path, intent: Intent) -> Group:
    """The cgroup that a run has or had."""
    claimed = rundir.read_claim(folder)
    if claimed is None or not claimed.group:
        return Group()
    bases = intent.setup.cgroup_bases
    return Group({controller: f"{base}/{claimed.group}" for controller, base in bases.items()})


def strays(run_id: str) -> set[int]:
    """Processes that carry a run's id in their environment: all that is known without a cgroup."""
    mark = f"WINDLASS_RUN_ID={run_id}".encode()
    found = set()
    for name in os.listdir("/proc"):  # noqa: PTH208  (names only)
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                if mark in file.read().split(b"\0"):
                    found.add(int(name))
    return found


def end_processes(folder: Path, intent: Intent) -> bool:
    """Kill what is left of a run; False if something still lives after ten seconds."""
    group = group_of(folder, intent)
    deadline = time.monotonic() + _PATIENCE_SECONDS

    def left() -> set[int]:
        # A pid namespace dies with its init, and that with the shim.
        alone = not group.folders and intent.setup.isolation.level < Level.NAMESPACES
        return group.pids() | (strays(intent.request.run_id) if alone else set())

    while left():
        group.kill()
        processes.signal_all(left, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return group.remove()


def write_end(folder: Path, cause: Cause, message: str) -> RunExit | None:
    """Write the result that the run's shim did not; None if a shim lives and will.

    The claim is what makes this safe: a shim that is forked late finds the run taken.
    """
    if rundir.claim_is_held(folder):
        return None
    held = rundir.claim(folder)
    if held is None and rundir.claim_is_held(folder):
        return None
    try:
        written = rundir.read_result(folder)
        if written:
            return written
        exit_ = RunExit(
            cause,
            end_time_ns=time.clock_gettime_ns(time.CLOCK_REALTIME),
            log_end=frames.file_end(folder / rundir.LOG),
            message=message,
        )
        rundir.write_whole(folder / rundir.RESULT, asdict(exit_), durable=True)
        return exit_
    finally:
        if held is not None:
            os.close(held)


def empty(folder: Path, names: Iterable[str]) -> None:
    """Empty folders of a run that exist."""
    for name in names:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
            (folder / name).mkdir(mode=0o700)


def remove(folder: Path, intent: Intent, kept: KeptRuns | None = None) -> None:
    """Remove the cgroup of a run that has ended, and its folder, unless that is `kept`."""
    group_of(folder, intent).remove(patience_seconds=0)
    task_secrets.remove_files(intent.secrets_folder)
    if kept is not None and kept.keep(folder):
        return
    # Renamed first: a run folder that is removed by halves would be read as another story.
    trash = folder.with_name(f"{TRASH}{folder.name}")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
