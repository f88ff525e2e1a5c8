"""What an operator may set, from flags, environment and a TOML file, in that order of precedence.

Each option has one name: `--data-dir` as a flag, `WINDLASS_AGENT_DATA_DIR` in the environment,
`data_dir` in the file. Read once, at the edge; nothing else reads the environment.
"""

import argparse
import enum
import importlib.metadata
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from windlass_agent import authorities, option_values
from windlass_agent.gpu.fault_script import ScriptedFault
from windlass_agent.gpu.mig import COMPUTE_SLICES
from windlass_agent.gpu.profiles import GpuProfile

_PREFIX = "WINDLASS_AGENT_"
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)")
_LEVELS = ("debug", "info", "warning", "error")


class ConfigError(Exception):
    """What the operator asked for cannot be; the text is one line for them."""


class OnExit(enum.Enum):
    """What becomes of the tasks when the agent is told to end."""

    KEEP = "keep"  # they live on under their shims; the next agent adopts them
    STOP = "stop"  # they are stopped and reported first


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """Everything that can be set. `None` for an amount means: what the machine has."""

    server: str
    data_dir: Path
    join_token: str | None = None
    address: str = ""
    labels: Mapping[str, str]
    simulate_gpus: tuple[GpuProfile, ...] = ()
    simulate_faults: tuple[ScriptedFault, ...] = ()
    divide_gpus: bool = False
    cpu_millis: int | None = None
    memory_bytes: int | None = None
    reserve_cpu_millis: int = 0
    reserve_memory_bytes: int = 0
    on_exit: OnExit = OnExit.KEEP
    die_with_parent: bool = False
    ca_file: Path | None = None
    ca_pin: tuple[str, ...] = ()
    ca_data: bytes = b""
    insecure: bool = False
    hide_paths: tuple[Path, ...] = ()
    share_paths: tuple[Path, ...] = ()
    log_quota_bytes: int = option_values.LOG_QUOTA_BYTES
    debug_keep_seconds: float = option_values.DEBUG_KEEP_SECONDS
    log_rate_bytes: int = option_values.LOG_RATE_BYTES
    python_index_url: str = ""
    environment_limit_bytes: int = option_values.ENVIRONMENT_LIMIT_BYTES
    log_level: str = "info"
    log_format: str = "text"
    install_service: bool = False
    service_file: Path | None = None
    flags: tuple[str, ...] = field(default=(), compare=False)
    """All that was set, but for secrets, as flags that mean the same in any directory."""

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine, where plain text is nobody else's to read."""
        return _LOOPBACK.fullmatch(self.server.rpartition(":")[0]) is not None


@dataclass(frozen=True, slots=True)
class _Option:
    parse: Callable[[Any], Any]  # from a flag's text or a TOML value; ValueError when it is bad
    help: str
    metavar: str = ""
    switch: bool = False
    show: Callable[[Any], str] | None = None  # a parsed value as a flag; as it was given without


# What a service is not told again: secrets, and what it is that makes it one.
_NOT_KEPT = {"join_token", "join_token_file", "die_with_parent", "install_service", "service_file"}

_OPTIONS: dict[str, _Option] = {
    "server": _Option(option_values.address, "gRPC address of the server", "HOST:PORT"),
    "data_dir": _Option(
        option_values.absolute_path,
        "the agent's own directory; one agent for each",
        "PATH",
        show=str,
    ),
    "join_token": _Option(
        option_values.text, "token to join with; WINDLASS_JOIN_TOKEN hides it", "TOKEN"
    ),
    "join_token_file": _Option(
        option_values.absolute_path, "file that holds the join token", "PATH"
    ),
    "address": _Option(
        option_values.host,
        "where other nodes reach this one's tasks (default: as it reaches the server)",
        "HOST",
    ),
    "labels": _Option(
        option_values.labels,
        "labels of the node, separated by commas",
        "KEY=VALUE,...",
        show=option_values.shown_labels,
    ),
    "simulate_gpus": _Option(
        option_values.simulated_gpus, "pretend to have GPUs: 8xH100:nvlink=4,2xL40S", "SPEC"
    ),
    "simulate_faults": _Option(
        option_values.fault_script,
        "faults of simulated GPUs: '30s 0 xid 79; 5m 0 heal', or a file",
        "SCRIPT|@PATH",
    ),
    "divide_gpus": _Option(
        option_values.flag,
        "let the server divide idle GPUs into MIG instances, and undo it",
        switch=True,
    ),
    "cpu": _Option(option_values.cpu, "CPU for jobs instead of what the machine has", "CORES"),
    "memory": _Option(
        option_values.memory, "memory for jobs instead of what the machine has", "BYTES"
    ),
    "reserve_cpu": _Option(option_values.cpu, "CPU kept from jobs", "CORES"),
    "reserve_memory": _Option(option_values.memory, "memory kept from jobs", "BYTES"),
    "on_exit": _Option(
        option_values.choice("keep", "stop"), "tasks at the agent's end (default keep)", "WHAT"
    ),
    "die_with_parent": _Option(
        option_values.flag, "end, keeping tasks, when the parent ends", switch=True
    ),
    "hide_paths": _Option(
        option_values.absolute_paths,
        "folders that no task may see, such as a server's",
        "PATH,...",
        show=option_values.comma,
    ),
    "share_paths": _Option(
        option_values.absolute_paths,
        "folders that tasks may write to",
        "PATH,...",
        show=option_values.comma,
    ),
    "log_quota": _Option(
        option_values.log_quota, "how large a run's log may become (default 1GiB; 0: any)", "BYTES"
    ),
    "log_rate": _Option(
        option_values.log_rate,
        "by how much it may grow in a second (default 16MiB; 0: any)",
        "BYTES",
    ),
    "debug_keep": _Option(
        option_values.debug_keep,
        "how long the folders of runs in debug mode are kept (default 1h; 0: not)",
        "SPAN",
    ),
    "python_index_url": _Option(
        option_values.index_url,
        "where jobs' Python packages come from (default PyPI); every job can read it",
        "URL",
    ),
    "environment_limit": _Option(
        option_values.memory,
        "how much the virtual environments that are kept may take (default 20GiB)",
        "BYTES",
    ),
    "ca_file": _Option(
        option_values.absolute_path, "certificates that sign the server's, PEM", "PATH", show=str
    ),
    "ca_pin": _Option(
        authorities.pins,
        "fingerprint of the server's CA, which the server presents",
        "sha256:HEX",
        show=authorities.shown,
    ),
    "ca_data": _Option(authorities.pem, "as --ca-file: the file itself, base64", "DATA"),
    "insecure": _Option(
        option_values.flag, "no TLS though the server is on another machine", switch=True
    ),
    "log_level": _Option(option_values.choice(*_LEVELS), "debug, info, warning or error", "LEVEL"),
    "log_format": _Option(
        option_values.choice("text", "json"), "text for people or json", "FORMAT"
    ),
    "install_service": _Option(
        option_values.flag, "write a systemd unit of these flags, start it", switch=True
    ),
    "service_file": _Option(
        option_values.absolute_path, "the unit, if not in the usual place", "PATH"
    ),
}

_EXAMPLE = """\
example:
  WINDLASS_JOIN_TOKEN=... windlass agent --server 10.0.0.5:50051 --data-dir /var/lib/windlass-agent
  windlass agent --server 127.0.0.1:50051 --simulate-gpus 8xH100 --labels zone=a,rack=r7
  windlass agent devices        what it would see of this machine's GPUs, without a server
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="windlass agent",
        description="Join this machine to a windlass server and run its jobs.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    release = importlib.metadata.version("windlass")
    parser.add_argument("--version", action="version", version=f"windlass-agent {release}")
    parser.add_argument("--config", metavar="PATH", help="TOML file with the same names")
    for name, option in _OPTIONS.items():
        flag = "--" + name.replace("_", "-")
        if option.switch:
            parser.add_argument(flag, dest=name, action="store_true", help=option.help)
        else:
            parser.add_argument(flag, dest=name, metavar=option.metavar, help=option.help)
    return parser


def load_config(argv: Sequence[str], environ: Mapping[str, str]) -> AgentConfig:
    """The agent's configuration.

    Args:
        argv: Arguments, without the program's name. `--help` prints and raises SystemExit(0).
        environ: The environment.

    Raises:
        ConfigError: an unknown name, a bad value, a file that cannot be read.
    """
    flags = vars(_parser().parse_args(argv))
    variables = _from_environment(environ)
    file = flags.pop("config", None) or variables.pop("config", None)
    merged: dict[str, Any] = {}
    shown: dict[str, str] = {}
    if file is not None:
        values = _read_toml(Path(file))
        merged |= _parsed(values, lambda name: f"{file}: {name}")
        shown |= _shown(values, merged)
    # A more direct source of the token hides both spellings of the less direct one.
    for source, where in ((variables, _variable), (flags, _flag_name)):
        if source.keys() & {"join_token", "join_token_file"}:
            merged = {k: v for k, v in merged.items() if not k.startswith("join_token")}
        merged |= _parsed(source, where)
        shown |= _shown(source, merged)
    return _build(merged, environ, _flags_of(shown))


def _shown(values: Mapping[str, Any], parsed: Mapping[str, Any]) -> dict[str, str]:
    """What was given, as the text of a flag."""
    shown = {}
    for name in values.keys() - _NOT_KEPT:
        show = _OPTIONS[name].show
        shown[name] = str(values[name]) if show is None else show(parsed[name])
        if _OPTIONS[name].switch:
            shown[name] = str(parsed[name]).lower()
    return shown


def _flags_of(shown: Mapping[str, str]) -> tuple[str, ...]:
    flags: list[str] = []
    for name in _OPTIONS:
        if name not in shown:
            continue
        if not _OPTIONS[name].switch:
            flags += [_flag_name(name), shown[name]]
        elif shown[name] == "true":
            flags.append(_flag_name(name))
    return tuple(flags)


def _variable(name: str) -> str:
    return "WINDLASS_JOIN_TOKEN" if name == "join_token" else _PREFIX + name.upper()


def _flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(_PREFIX) and value
    }
    if environ.get("WINDLASS_JOIN_TOKEN"):
        found["join_token"] = environ["WINDLASS_JOIN_TOKEN"]
    return found


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _parsed(values: Mapping[str, Any], where: Callable[[str], str]) -> dict[str, Any]:
    parsed = {}
    for name, value in values.items():
        if name not in _OPTIONS:
            raise ConfigError(f"{where(name)}: there is no such option")
        try:
            parsed[name] = _OPTIONS[name].parse(value)
        except (ValueError, AttributeError) as error:
            raise ConfigError(f"{where(name)}: {error}") from None
    return parsed


def _build(
    values: dict[str, Any], environ: Mapping[str, str], flags: tuple[str, ...]
) -> AgentConfig:
    if "server" not in values:
        raise ConfigError("--server HOST:PORT is missing: where is the windlass server?")
    config = AgentConfig(
        server=values["server"],
        data_dir=values.get("data_dir") or _default_data_dir(environ),
        join_token=values.get("join_token") or _token_of_file(values.get("join_token_file")),
        address=values.get("address", ""),
        labels=values.get("labels", {}),
        simulate_gpus=values.get("simulate_gpus", ()),
        simulate_faults=values.get("simulate_faults", ()),
        divide_gpus=values.get("divide_gpus", False),
        cpu_millis=values.get("cpu"),
        memory_bytes=values.get("memory"),
        reserve_cpu_millis=values.get("reserve_cpu", 0),
        reserve_memory_bytes=values.get("reserve_memory", 0),
        on_exit=OnExit(values.get("on_exit", "keep")),
        die_with_parent=values.get("die_with_parent", False),
        ca_file=values.get("ca_file"),
        ca_pin=values.get("ca_pin", ()),
        ca_data=values.get("ca_data", b""),
        insecure=values.get("insecure", False),
        hide_paths=values.get("hide_paths", ()),
        share_paths=values.get("share_paths", ()),
        log_quota_bytes=values.get("log_quota", option_values.LOG_QUOTA_BYTES),
        log_rate_bytes=values.get("log_rate", option_values.LOG_RATE_BYTES),
        debug_keep_seconds=values.get("debug_keep", option_values.DEBUG_KEEP_SECONDS),
        python_index_url=values.get("python_index_url", ""),
        environment_limit_bytes=values.get(
            "environment_limit", option_values.ENVIRONMENT_LIMIT_BYTES
        ),
        log_level=values.get("log_level", "info"),
        log_format=values.get("log_format", "text"),
        install_service=values.get("install_service", False),
        service_file=values.get("service_file"),
        flags=flags,
    )
    trusted = {"--ca-file": config.ca_file, "--ca-pin": config.ca_pin, "--ca-data": config.ca_data}
    given = [name for name, value in (("--insecure", config.insecure), *trusted.items()) if value]
    if len(given) > 1:
        raise ConfigError(f"{given[0]} and {given[1]} exclude each other")
    if config.service_file is not None and not config.install_service:
        raise ConfigError("--service-file is for --install-service")
    _check_simulation(config)
    return config


def check_divisible(cards: Sequence[GpuProfile]) -> None:
    """ConfigError for so many cards that their instances would be more than a node can tell of."""
    most = option_values.MAX_GPUS // COMPUTE_SLICES
    if len(cards) > most:
        raise ConfigError(f"--divide-gpus: at most {most} simulated GPUs, each may become seven")


def _check_simulation(config: AgentConfig) -> None:
    cards = len(config.simulate_gpus)
    check_divisible(config.simulate_gpus if config.divide_gpus else ())
    if config.simulate_faults and not cards:
        raise ConfigError("--simulate-faults needs --simulate-gpus: real GPUs have real faults")
    for fault in config.simulate_faults:
        if fault.target >= cards:
            raise ConfigError(f"--simulate-faults: there is no GPU {fault.target}, only {cards}")


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/windlass-agent")
    state = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "windlass-agent"


def _token_of_file(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the join token from {path}: {error}") from None
    if not token:
        raise ConfigError(f"{path} holds no join token")
    return token
