"""What an agent does with the runs of the agents before it."""

import os
import re
import shutil
from pathlib import Path

from windlass_agent import remains, rundir, task_secrets, tracked
from windlass_agent.cgroups import Group
from windlass_agent.processes import boot_id
from windlass_agent.run_types import RUN_ID, Cause
from windlass_agent.rundir import Intent
from windlass_agent.tracked import Tracked

_FOLDER = re.compile(rf"{RUN_ID.pattern}\.\d+")


def scan(runs: Path, cgroup_bases: dict[str, str], *, keeps: bool = False) -> list[Tracked]:
    """Every run that has a folder; those without shim and result are ended as LOST.

    But for those whose files were on their way: these are begun anew.

    With `keeps`, runs whose checkpoint has still to be kept have not ended.

    Blocks: it reads files, kills what is left of lost runs and waits for that.
    """
    found = []
    for folder in sorted(runs.iterdir()):
        if folder.name.startswith(remains.TRASH):
            shutil.rmtree(folder, ignore_errors=True)
        elif _FOLDER.fullmatch(folder.name):
            intent = rundir.read_intent(folder)
            if intent is None:  # its agent died before anything was promised
                shutil.rmtree(folder, ignore_errors=True)
            else:
                found.append(_adopt(folder, intent, keeps=keeps))
    claims = [rundir.read_claim(run.folder) for run in found if not run.over]
    alive = {claimed.group for claimed in claims if claimed}
    _remove_stale_groups(cgroup_bases, alive)
    return found


def _adopt(folder: Path, intent: Intent, *, keeps: bool) -> Tracked:
    run = tracked.new(folder, intent, keeps=keeps)
    run.look()
    if not run.over and not rundir.claim_is_held(folder):
        anew = intent.request.source_id and not intent.request.has_secrets
        if anew and rundir.read_claim(folder) is None:
            run.unstarted = True
            return run
        mark_lost(folder, intent)
        run.look()
    return run


def mark_lost(folder: Path, intent: Intent) -> None:
    """End a run that has no shim any more; leaves one alone whose shim lives after all."""
    if rundir.claim_is_held(folder):
        return
    claimed = rundir.read_claim(folder)
    if claimed is None:
        message = "The agent ended before the task was started."
    elif claimed.shim.boot_id != boot_id():
        message = "The machine was booted; the exit status is unknown."
    else:
        message = "The task's supervisor was killed; the exit status is unknown."
    if claimed is not None and not remains.end_processes(folder, intent):
        message += " Some of its processes could not be killed."
    task_secrets.remove_files(intent.secrets_folder)
    remains.write_end(folder, Cause.LOST, message)


def _remove_stale_groups(bases: dict[str, str], alive: set[str]) -> None:
    for controller, base in bases.items():
        if not os.path.isdir(base):  # noqa: PTH112
            continue
        for entry in list(os.scandir(base)):
            if entry.is_dir() and entry.name not in alive:
                group = Group({controller: entry.path})
                group.kill()
                group.remove()
