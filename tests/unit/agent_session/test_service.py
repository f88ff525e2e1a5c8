import shutil
import stat
import subprocess
import sys

import pytest

from windlass_agent.__main__ import main
from windlass_agent.config import ConfigError, load_config
from windlass_agent.service import quoted, unit

SERVER = ["--server", "10.0.0.5:50051"]


def installed(tmp_path, *flags):
    """The unit that these flags make; read from the disk."""
    path = tmp_path / "units" / "windlass-agent.service"
    config = ["--install-service", "--service-file", str(path), "--data-dir", str(tmp_path / "d")]
    assert main([*SERVER, *config, *flags]) == 0
    return path


def command_of(path):
    (line,) = [line for line in path.read_text().splitlines() if line.startswith("ExecStart=")]
    return line.removeprefix("ExecStart=")


def test_the_service_runs_the_same_agent_and_joins_by_a_file_of_its_own(tmp_path, capsys):
    path = installed(tmp_path, "--join-token", "wlj_secret", "--labels", "zone=a,rack=r7")
    token = tmp_path / "d" / "join.token"
    assert command_of(path).split() == [
        *(sys.executable, "-P", "-m", "windlass_agent", *SERVER),
        *("--data-dir", str(tmp_path / "d"), "--labels", "zone=a,rack=r7"),
        *("--join-token-file", str(token)),
    ]
    assert "wlj_secret" not in path.read_text()
    assert (token.read_text(), stat.S_IMODE(token.stat().st_mode)) == ("wlj_secret\n", 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert f"wrote {path}\nto start it: systemctl" in capsys.readouterr().out


def test_a_service_of_a_node_that_has_joined_needs_no_token(tmp_path):
    path = installed(tmp_path)
    assert "--join-token-file" not in command_of(path)
    assert not (tmp_path / "d").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    odd = ["--labels", 'a=100% of "$x" \\ 7', "--hide-paths", f"{tmp_path}/with blank,/b"]
    path = installed(tmp_path, *odd, "--insecure", "--join-token", "t")
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_keeps_tasks_through_a_restart_and_gives_up_a_bad_configuration(tmp_path):
    lines = installed(tmp_path).read_text().splitlines()
    for line in (
        "KillMode=process",
        "Delegate=yes",
        "Restart=always",
        "RestartPreventExitStatus=2",
    ):
        assert line in lines
    assert "WantedBy=multi-user.target" in unit(["x"], own=False)
    assert "WantedBy=default.target" in unit(["x"], own=True)


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("--server", "--server"),
        ("a b", '"a b"'),
        ("100%", "100%%"),
        ("$HOME", '"$$HOME"'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("", '""'),
        ("it's;", '"it\'s;"'),
    ],
)
def test_what_systemd_would_understand_otherwise_is_quoted(argument, written):
    assert quoted(argument) == written


def test_a_line_break_cannot_be_part_of_a_unit():
    with pytest.raises(ConfigError):
        quoted("a\nExecStartPre=/bin/evil")


def test_a_folder_that_cannot_be_written_is_said_in_a_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    argv = [*SERVER, "--install-service", "--service-file", str(tmp_path / "file" / "x.service")]
    assert main([*argv, "--data-dir", str(tmp_path / "d")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_flags_say_again_what_was_said_by_flags_environment_and_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "agent.toml"
    file.write_text(
        'cpu = "1.5"\nlabels = {zone = "a", rack = "r7"}\nhide_paths = ["/a", "b"]\ninsecure = false\n'
        'reserve_memory = 1024\nlog_level = "debug"\n'
    )
    environ = {
        "WINDLASS_AGENT_CONFIG": str(file),
        "WINDLASS_AGENT_DATA_DIR": "data",
        "WINDLASS_AGENT_CA_PIN": f"sha256:{'AB:' * 31}CD",
        "WINDLASS_JOIN_TOKEN": "secret",
    }
    config = load_config([*SERVER, "--simulate-gpus", "8xH100", "--log-level", "error"], environ)
    assert "secret" not in config.flags
    monkeypatch.chdir("/")
    again = load_config(config.flags, {"WINDLASS_JOIN_TOKEN": "secret"})
    assert again == config
    assert again.data_dir == tmp_path / "data"
    assert again.hide_paths[1] == tmp_path / "b"
    assert (again.log_level, again.cpu_millis) == ("error", 1500)
    switched = load_config([*SERVER, "--insecure"], {})
    assert load_config(switched.flags, {}).insecure
