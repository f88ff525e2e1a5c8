"""Whose process is this, and what does a run use?"""

import os
from collections.abc import Mapping

import psutil

from windlass_agent import processes
from windlass_agent.cgroups import Group, GroupUsage
from windlass_agent.run_types import RunUsage
from windlass_agent.tracked import Tracked


def usage(run: Tracked, now: float) -> RunUsage | None:
    """What a run uses; `now` is the monotonic clock. None before its command runs.

    The first call for a run has nothing to compare CPU time with and gives 0.
    """
    if run.started is None:
        return None
    group = Group(run.started.cgroups)
    measured = group.usage() if group.folders else _of_tree(run.started.task.pid)
    seen, run.cpu_seen = run.cpu_seen, (measured.cpu_nanos, now)
    millis = 0.0
    if seen and now > seen[1]:
        millis = max(0, measured.cpu_nanos - seen[0]) / (now - seen[1]) / 1e6
    return RunUsage(millis, measured.memory_bytes, measured.pids)


def _of_tree(root: int) -> GroupUsage:
    """Sums over living processes: what has ended and was not reaped by the task is missing."""
    nanos, memory, count = 0.0, 0, 0
    for pid in [root, *processes.descendants(root)]:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                memory += process.memory_info().rss
        except psutil.Error:
            continue
        nanos += (times.user + times.system + times.children_user + times.children_system) * 1e9
        count += 1
    return GroupUsage(int(nanos), memory, count)


def run_of_pid(pid: int, runs: Mapping[str, Tracked]) -> str:
    """The run that a process belongs to, by its cgroup or else by its ancestors; "" when none."""
    groups = {
        os.path.basename(path): run_id  # noqa: PTH119
        for run_id, run in runs.items()
        if run.started
        for path in run.started.cgroups.values()
    }
    for name in _cgroup_names(pid):
        if name in groups:
            return groups[name]
    roots = {run.started.task.pid: run_id for run_id, run in runs.items() if run.started}
    while pid > 1:
        if pid in roots:
            return roots[pid]
        pid = processes.parent(pid)
    return ""


def _cgroup_names(pid: int) -> set[str]:
    try:
        with open(f"/proc/{pid}/cgroup") as file:  # noqa: PTH123
            return {os.path.basename(line.strip()) for line in file}  # noqa: PTH119
    except OSError:
        return set()
