"""`windlass agent --install-service`: the agent as a service of systemd, with the flags beside it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from windlass_agent.config import AgentConfig, ConfigError
from windlass_agent.data_dir import write_atomically

NAME = "windlass-agent.service"
_SYSTEM = Path("/etc/systemd/system") / NAME
_BOOTED = Path("/run/systemd/system")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")

_UNIT = """\
# Written by `windlass agent --install-service`, which writes it anew.
[Unit]
Description=windlass agent: runs this machine's jobs
After=network-online.target
Wants=network-online.target
# It tries for as long as the machine is up; how often is RestartSec.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
Restart=always
RestartSec=2
# A configuration that cannot be does not become better by itself.
RestartPreventExitStatus=2
# Tasks live on under their shims while the agent is restarted, in cgroups that it makes.
KillMode=process
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy={target}
"""


def install(config: AgentConfig, say: Callable[[str], None]) -> None:
    """Write the unit and, where systemd runs, start it now and at each boot.

    The join token goes to a file in the agent's directory that only its owner reads: it is used once,
    by the service itself.

    Args:
        config: what the service shall be.
        say: tells people a line.

    Raises:
        ConfigError: something cannot be written, or systemd refuses.
    """
    own = os.geteuid() != 0
    path = config.service_file or (_own_unit() if own else _SYSTEM)
    command = [sys.executable, "-P", "-m", "windlass_agent", *config.flags]
    if "--data-dir" not in config.flags:
        command += ["--data-dir", str(config.data_dir)]
    if config.join_token is not None:
        command += ["--join-token-file", str(_keep_token(config))]
    _write(path, unit(command, own=own))
    say(f"wrote {path}")
    control = ["systemctl", *(["--user"] if own else [])]
    steps = [[*control, "daemon-reload"], [*control, "enable", "--now", NAME]]
    if config.service_file is not None or not _runs():
        say("to start it: " + " && ".join(" ".join(step) for step in steps))
        return
    for step in steps:
        _call(step)
    say(f"started; its log: journalctl {'--user-unit' if own else '-u'} {NAME}")


def unit(command: Sequence[str], *, own: bool) -> str:
    """The unit's text.

    Args:
        command: the program, by its whole path, and its arguments.
        own: whether it is for a user's own manager.
    """
    target = "default.target" if own else "multi-user.target"
    return _UNIT.format(command=" ".join(map(quoted, command)), target=target)


def quoted(argument: str) -> str:
    """An argument as systemd reads it: `%` and `$` mean something there.

    Raises:
        ConfigError: it has a control character, which a unit cannot hold.
    """
    if not argument.isprintable():
        raise ConfigError(f"a service cannot be given {argument!r}")
    plain = argument.replace("%", "%%").replace("$", "$$")
    if _PLAIN.fullmatch(plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _keep_token(config: AgentConfig) -> Path:
    assert config.join_token is not None
    try:
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {config.data_dir}: {error.strerror}") from None
    path = config.data_dir / "join.token"
    write_atomically(path, f"{config.join_token}\n".encode())
    return path


def _own_unit() -> Path:
    return Path.home() / ".config/systemd/user" / NAME


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
        path.chmod(0o644)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


def _runs() -> bool:
    return _BOOTED.is_dir() and shutil.which("systemctl") is not None


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise ConfigError(f"{' '.join(command)}: {said}")
