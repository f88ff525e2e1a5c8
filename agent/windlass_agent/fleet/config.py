"""What `windlass fleet` can be told."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from windlass_agent import quantities
from windlass_agent.config import AgentConfig, ConfigError, check_divisible
from windlass_agent.fleet.faults import FaultKind, FaultPlan
from windlass_agent.gpu.profiles import GpuProfile
from windlass_agent.option_values import address, labels, simulated_gpus

MAX_NODES = 100_000
# One process of the interpreter holds so many nodes at a sample a second with room to spare.
_NODES_PER_PROCESS = 500
_NODES_PER_RAMP_SECOND = 100
_TOKEN_VARIABLE = "WINDLASS_JOIN_TOKEN"  # noqa: S105 - its name

_EXAMPLE = """\
examples:
  windlass fleet --nodes 1000 --gpus 8xH100 --interval 1s --tasks sleep:5s
  windlass fleet --server 10.0.0.5:50051 --nodes 50 --gpus 4xA100,4xL40S --duration 10m
  windlass fleet --nodes 200 --fault cut:20s --fault kill:5s --fault-every 2s

Unless WINDLASS_JOIN_TOKEN or --join-token-file gives a join token for so many nodes, one is asked for
with your own credential. The nodes are the same again when the fleet is started again on its --data-dir.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """A fleet. Times are seconds; `task_seconds` is how long a simulated task runs."""

    server: str
    nodes: int
    gpus: tuple[GpuProfile, ...]
    interval: float
    task_seconds: float
    duration: float | None
    ramp: float
    processes: int
    data_dir: Path
    join_token: str | None
    labels: Mapping[str, str]
    cpu_millis: int
    memory_bytes: int
    ca_file: Path | None
    insecure: bool
    divide_gpus: bool
    faults: FaultPlan
    json: bool

    def agent(self) -> AgentConfig:
        """How one of its nodes reaches the server and what it offers."""
        return AgentConfig(
            server=self.server,
            data_dir=self.data_dir,
            labels={"simulated": "true", **self.labels},
            cpu_millis=self.cpu_millis,
            memory_bytes=self.memory_bytes,
            ca_file=self.ca_file,
            insecure=self.insecure,
            divide_gpus=self.divide_gpus,
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def load_config(argv: Sequence[str], environ: Mapping[str, str]) -> FleetConfig:
    """The fleet that flags describe; the join token may come from the environment.

    Raises:
        ConfigError: what is asked for cannot be, in one line.
    """
    given = _parser().parse_args(argv)
    check_divisible(given.gpus if given.divide_gpus else ())
    return FleetConfig(
        server=given.server,
        nodes=given.nodes,
        gpus=given.gpus,
        interval=given.interval,
        task_seconds=given.tasks,
        duration=given.duration,
        ramp=given.nodes / _NODES_PER_RAMP_SECOND if given.ramp is None else given.ramp,
        processes=_processes(given.processes, given.nodes),
        data_dir=given.data_dir.expanduser().absolute(),
        join_token=_token(given.join_token_file) or environ.get(_TOKEN_VARIABLE) or None,
        labels=given.labels,
        cpu_millis=given.cpu,
        memory_bytes=given.memory,
        ca_file=given.ca_file,
        insecure=given.insecure,
        divide_gpus=given.divide_gpus,
        faults=_fault_plan(given),
        json=given.json,
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="windlass fleet",
        description="Run simulated nodes against a server, over the agents' own protocol.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    def option(
        name: str, parse: Callable[[str], Any], metavar: str, text: str, **more: Any
    ) -> None:
        parser.add_argument(name, type=_said(parse), metavar=metavar, help=text, **more)

    option(
        "--server", address, "HOST:PORT", "gRPC address of the server", default="127.0.0.1:50051"
    )
    option("--nodes", _count, "N", "how many (default 10)", default=10)
    option("--gpus", _gpus, "SPEC", "GPUs of each: 8xH100, 4xA100,2xL40S, none", default="8xH100")
    option("--interval", _interval, "TIME", "between two samples (default 1s)", default="1s")
    option("--tasks", _tasks, "KIND", "instant, or sleep:5s (default)", default="sleep:5s")
    option("--duration", quantities.seconds, "TIME", "end by itself after so long")
    option("--ramp", quantities.seconds, "TIME", "time over which nodes come (100 a second)")
    option("--processes", _count, "N", "processes that share the nodes (one for 500)")
    option("--data-dir", Path, "PATH", "keys and ids of the nodes", default=Path("windlass-fleet"))
    option("--join-token-file", Path, "PATH", "file that holds the join token")
    option("--labels", labels, "KEY=VALUE,...", "labels beside simulated=true", default={})
    option("--cpu", quantities.cpu_millis, "CORES", "CPU of each (default 192)", default="192")
    option("--memory", quantities.memory_bytes, "BYTES", "of each (default 2TiB)", default="2TiB")
    option("--ca-file", Path, "PATH", "certificates that sign the server's, PEM")
    option("--fault", _fault, "KIND:TIME", "cut:20s or kill:5s; may be repeated", action="append")
    option("--fault-every", quantities.seconds, "TIME", "between two faults (1s)", default="1s")
    option("--seed", int, "N", "of the faults' order (default 1)", default=1)
    parser.add_argument(
        "--divide-gpus", action="store_true", help="let the server divide GPUs into instances"
    )
    parser.add_argument("--insecure", action="store_true", help="no TLS to another machine")
    parser.add_argument("--json", action="store_true", help="print the sums as JSON at the end")
    return parser


def _said(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same parser, whose ValueError reaches the user in its own words."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= MAX_NODES:
        raise ValueError(f"{text!r} is not a number from 1 to {MAX_NODES}")
    return int(text)


def _gpus(text: str) -> tuple[GpuProfile, ...]:
    return () if text == "none" else simulated_gpus(text)


def _interval(text: str) -> float:
    interval = quantities.seconds(text)
    if interval < 0.1:
        raise ValueError(f"{text!r} is shorter than 100ms")
    return interval


def _tasks(text: str) -> float:
    kind, _, seconds = text.partition(":")
    if kind == "instant" and not seconds:
        return 0.0
    if kind == "sleep" and seconds:
        return quantities.seconds(seconds)
    raise ValueError(f"{text!r} is neither instant nor sleep:TIME")


def _fault(text: str) -> tuple[FaultKind, float]:
    kind, _, seconds = text.partition(":")
    if kind not in (*FaultKind,) or not seconds:
        raise ValueError(f"{text!r} is neither cut:TIME nor kill:TIME")
    return FaultKind(kind), quantities.seconds(seconds)


def _fault_plan(given: argparse.Namespace) -> FaultPlan:
    if given.fault_every <= 0:
        raise ConfigError("--fault-every: must be more than no time")
    return FaultPlan(tuple(given.fault or ()), given.fault_every, given.seed)


def _processes(asked: int | None, nodes: int) -> int:
    needed = -(-nodes // _NODES_PER_PROCESS)
    return min(nodes, asked or min(needed, os.cpu_count() or 1))


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the join token from {path}: {error}") from None
