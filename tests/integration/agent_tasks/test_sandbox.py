import json
import os
from pathlib import Path

import pytest

from tests.support.tasks import Bench, a_bench, a_run, a_script

pytestmark = pytest.mark.usefixtures("sandbox")


async def test_a_task_sees_neither_the_agents_data_nor_another_run(bench: Bench, data_dir: Path):
    (data_dir / "token").write_text("secret")
    other = a_script("echo mine > file")
    await bench.end(other)
    run = a_script('find "$1"; cat "$1/token" "$1"/runs/*/result.json', str(data_dir))
    said = await bench.output(run)
    assert "secret" not in said
    assert other.run_id not in said
    assert "token: No such file" in said


async def test_hidden_folders_are_empty_and_shared_ones_are_writable(machine, data_dir: Path):
    hidden, shared, agent = data_dir / "server", data_dir / "shared", data_dir / "agent"
    for folder in (hidden, shared, agent):
        folder.mkdir()
    (hidden / "key").write_text("secret")
    async with a_bench(agent, machine, hidden_paths=(hidden,), shared_paths=(shared,)) as bench:
        run = a_script('ls -A "$1"; echo kept > "$2/file"', str(hidden), str(shared))
        assert await bench.output(run) == ""
    assert (shared / "file").read_text() == "kept\n"


@pytest.mark.parametrize(
    "path", ["/etc/x", "/usr/x", "/x", "/root/x", "/sys/x", "{data}/x", "{data}/runs/x"]
)
async def test_a_task_cannot_write_outside_of_its_own_folders(bench: Bench, data_dir: Path, path):
    target = path.format(data=data_dir)
    exit_ = await bench.end(a_script('echo x > "$1"', target))
    assert exit_.exit_code != 0
    assert not os.access(target, os.F_OK)


async def test_tmp_and_the_private_folder_are_writable_and_private(bench: Bench):
    run = a_script(
        'echo x > /tmp/a && echo y > "$HOME/b" && pwd && ls /tmp && [ "$PWD" = "$HOME" ]'
    )
    assert (await bench.output(run)).split()[1:] == ["a"]
    assert (await bench.end(run)).exit_code == 0
    assert not os.access("/tmp/a", os.F_OK)


async def test_keys_of_the_machines_owner_are_hidden(bench: Bench):
    said = await bench.output(a_script("cat /etc/shadow; ls -A /etc/ssh /root/.ssh"))
    assert "root:" not in said
    assert "key" not in said


async def test_a_task_has_no_capabilities_and_sees_only_itself(bench: Bench):
    run = a_script("grep -E 'CapEff|NoNewPrivs' /proc/self/status; ls /proc | grep -c '^[0-9]'")
    words = (await bench.output(run)).split()
    assert words[:4] == ["CapEff:", "0" * 16, "NoNewPrivs:", "1"]
    assert int(words[-1]) < 6


async def test_the_kernels_settings_cannot_be_changed(bench: Bench):
    run = a_script("echo x > /proc/sys/kernel/core_pattern; echo b > /proc/sysrq-trigger")
    assert (await bench.end(run)).exit_code != 0


async def test_the_agents_environment_and_descriptors_do_not_leak(any_bench: Bench, monkeypatch):
    monkeypatch.setenv("WINDLASS_SECRET", "leak")
    assert os.environ["WINDLASS_SECRET"] == "leak"
    said = await any_bench.output(a_script("env; ls -l /proc/self/fd"))
    assert "leak" not in said
    descriptors = [line for line in said.splitlines() if "->" in line]
    assert len(descriptors) == 4  # the three standard ones and that of ls


async def test_variables_of_the_user_win_but_not_over_identity_and_gpus(any_bench: Bench):
    variables = {
        "HOME": "/elsewhere",
        "MODE": "a=b\nc",
        "CUDA_VISIBLE_DEVICES": "all",
        "WINDLASS_RUN_ID": "run-forged",
    }
    run = a_run(
        *("python3", "-c", "import os, json; print(json.dumps(dict(os.environ)))"),
        variables=variables,
        gpu_uuids=("GPU-1", "GPU-2"),
        job_id="job-1",
        project="vision",
        name="train",
        attempt=2,
    )
    seen = json.loads(await any_bench.output(run))
    expected = {
        "HOME": "/elsewhere",
        "MODE": "a=b\nc",
        "CUDA_VISIBLE_DEVICES": "GPU-1,GPU-2",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": "GPU-1,GPU-2",
        "PYTHONUNBUFFERED": "1",
        "WINDLASS_RUN_ID": run.run_id,
        "WINDLASS_JOB_ID": "job-1",
        "WINDLASS_PROJECT": "vision",
        "WINDLASS_JOB_NAME": "train",
        "WINDLASS_ATTEMPT": "2",
    }
    assert {name: seen.get(name) for name in expected} == expected


async def test_variables_cannot_reach_the_sandboxs_own_programs(bench: Bench):
    run = a_script(
        "exit 6", variables={"LD_PRELOAD": "/x.so", "PERL5OPT": "-Mnone", "BASH_ENV": "/x"}
    )
    assert (await bench.end(run)).exit_code == 6


async def test_only_granted_devices_are_there(bench: Bench):
    granted = a_script("ls /dev", device_paths=("/dev/loop-control", "/dev/absent"))
    said = (await bench.output(granted)).split()
    plain = (await bench.output(a_script("ls /dev"))).split()
    assert set(said) - set(plain) <= {"loop-control"}
    assert "vda" not in plain
    assert "null" in plain
