"""Whose process is this, and what does a run use?"""

import os
from collections.abc import Iterable, Mapping

import psutil

from windlass_agent import processes
from windlass_agent.cgroups import Group, GroupUsage
from windlass_agent.run_counters import Counters, disk_bytes, network_bytes
from windlass_agent.run_types import RunUsage
from windlass_agent.tracked import Tracked


def usage(run: Tracked, now: float) -> RunUsage | None:
    """What a run uses; `now` is the monotonic clock. None before its command runs.

    The first call for a run has nothing to compare with and gives 0 for what is in a second.
    """
    if run.started is None:
        return None
    group = Group(run.started.cgroups)
    root = run.started.task.pid
    pids = group.pids() if group.folders else {root, *processes.descendants(root)}
    measured = group.usage() if group.folders else _of_processes(pids)
    counted = Counters(now, measured.cpu_nanos, *disk_bytes(pids), network_bytes(root))
    seen, run.seen = run.seen or counted, counted
    received, sent = _network(seen, counted)
    return RunUsage(
        _rate(seen, counted, seen.cpu_nanos, counted.cpu_nanos) / 1e6,
        measured.memory_bytes,
        measured.pids,
        _rate(seen, counted, seen.read, counted.read),
        _rate(seen, counted, seen.written, counted.written),
        received,
        sent,
    )


def _rate(seen: Counters, counted: Counters, before: int, after: int) -> float:
    """How much in a second; 0 at the first look, and where a count began anew."""
    seconds = counted.at - seen.at
    return max(0, after - before) / seconds if seconds > 0 else 0.0


def _network(seen: Counters, counted: Counters) -> tuple[float | None, float | None]:
    if seen.network is None or counted.network is None:
        return None, None
    received, sent = (
        _rate(seen, counted, before, after)
        for before, after in zip(seen.network, counted.network, strict=True)
    )
    return received, sent


def _of_processes(pids: Iterable[int]) -> GroupUsage:
    """Sums over living processes: what has ended and was not reaped by the task is missing."""
    nanos, memory, count = 0.0, 0, 0
    for pid in pids:
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
