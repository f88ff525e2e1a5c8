"""What processes have moved, as the kernel counts it."""

import os
import subprocess
from pathlib import Path

import pytest

from windlass_agent.run_counters import disk_bytes, network_bytes

MIB = 1 << 20
NO_PROCESS = 1 << 22


def test_what_reaches_the_disk_is_counted_also_of_a_process_that_was_reaped(tmp_path: Path) -> None:
    _, before = disk_bytes([os.getpid()])
    subprocess.run(
        ["dd", "if=/dev/zero", f"of={tmp_path}/file", "bs=1M", "count=4", "conv=fsync"],
        check=True,
        capture_output=True,
    )
    _, after = disk_bytes([os.getpid(), NO_PROCESS])
    assert after - before >= 4 * MIB


def test_a_process_in_the_machines_network_has_none_of_its_own() -> None:
    assert network_bytes(os.getpid()) is None
    assert network_bytes(NO_PROCESS) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="making a network takes root")
def test_a_process_in_a_network_of_its_own_has_what_that_has_moved() -> None:
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo there; exec sleep 60"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            assert network_bytes(process.pid) == (0, 0)
        finally:
            process.kill()
