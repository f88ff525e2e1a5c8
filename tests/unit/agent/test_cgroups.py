from pathlib import Path

import pytest

from windlass_agent.cgroups import UNIFIED, Group, Limits, find

V1_MOUNTS = """\
30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
V2_MOUNTS = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
CONTAINER_MOUNTS = "30 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"


def proc(folder: Path, mounts: str, own: str) -> Path:
    (folder / "mountinfo").write_text(mounts)
    (folder / "cgroup").write_text(own)
    return folder


@pytest.mark.parametrize(
    ("mounts", "own", "version", "bases"),
    [
        (
            V1_MOUNTS,
            "4:memory:/slice/agent\n2:cpu,cpuacct:/\n0::/slice\n",
            "v1",
            {
                "memory": "/sys/fs/cgroup/memory/slice/agent",
                "cpu": "/sys/fs/cgroup/cpu,cpuacct",
                "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
            },
        ),
        (V2_MOUNTS, "0::/system.slice/a\n", "v2", {UNIFIED: "/sys/fs/cgroup/system.slice/a"}),
        (V2_MOUNTS, "0::/a/windlass-agent\n", "v2", {UNIFIED: "/sys/fs/cgroup/a"}),
        (CONTAINER_MOUNTS, "0::/docker/abc/x\n", "v2", {UNIFIED: "/sys/fs/cgroup/x"}),
        ("", "0::/\n", "", {}),
    ],
)
def test_groups_go_below_the_agents_own(tmp_path, mounts, own, version, bases):
    found = find(Path("/data"), proc=proc(tmp_path, mounts, own))
    assert found.version == version
    assert {name: str(Path(base).parent) for name, base in found.bases.items()} == bases


def test_two_agents_of_a_machine_have_different_folders(tmp_path):
    here = proc(tmp_path, V2_MOUNTS, "0::/\n")
    assert find(Path("/a"), proc=here) != find(Path("/b"), proc=here)


def test_limits_of_version_2_are_written_where_the_kernel_reads_them(tmp_path):
    # A machine with version 2 is not needed to see what is written to it.
    files = [
        "memory.max",
        "memory.oom.group",
        "memory.swap.max",
        "cpu.max",
        "cpu.weight",
        "pids.max",
    ]
    for name in files:
        (tmp_path / name).touch()
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n")
    Group({UNIFIED: str(tmp_path)}).limit(Limits(cpu_millis=1500, memory_bytes=1 << 20, pids=9))
    assert [(tmp_path / name).read_text() for name in files] == [
        *("1048576", "1", "0", "150000 100000", "150", "9")
    ]


def test_usage_of_version_2_leaves_out_what_the_kernel_can_drop(tmp_path):
    (tmp_path / "cpu.stat").write_text("usage_usec 7\nuser_usec 5\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 300\n")
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "pids.current").write_text("4\n")
    (tmp_path / "memory.events").write_text("oom 2\noom_kill 1\n")
    group = Group({UNIFIED: str(tmp_path)})
    usage = group.usage()
    assert (usage.cpu_nanos, usage.memory_bytes, usage.pids) == (7000, 700, 4)
    assert group.oom_kills() == 1
