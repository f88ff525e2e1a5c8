"""`make fuzz`: coverage-guided fuzzing of everything that reads what a client sends.

Each target runs for a while in a process of its own, from its seeds on; what is found is printed, to
become a row of `regressions`. Fails when an invariant was broken. With a seed and a number of inputs
instead of a time, a run of the same code tries much the same inputs: what CI does, so that a change is
judged by itself and not by luck.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.fuzz.targets import TARGETS

# One input may take this long; beyond it counts as a hang.
HANG_SECONDS = 20
MEMORY_MIB = 3072
_PULSE = re.compile(r"^#(\d+)\s.*?cov: (\d+)(?: ft: (\d+))?(?: corp: (\d+))?", re.MULTILINE)
_EXCEPTION = "=== Uncaught Python exception: ==="
_LINES = 40


@dataclass(frozen=True)
class Outcome:
    """How a target did.

    Attributes:
        target: its name.
        seconds: how long it ran.
        executions: inputs that were tried.
        edges: places in the code that were reached.
        features: places together with how often; what libFuzzer steers by.
        inputs: how many inputs reached something new.
        found: inputs that broke an invariant.
        why: what the worker printed of it, when it failed.
    """

    target: str
    seconds: float
    executions: int
    edges: int
    features: int
    inputs: int
    found: tuple[bytes, ...]
    why: str


def main() -> int:
    """Run the targets; 1 when one of them failed."""
    options = parser().parse_args()
    if find_spec("atheris") is None:
        print("atheris is not installed: it has no wheel for this machine", file=sys.stderr)
        return 2
    console = Console(width=100)
    table = Table("target", "executions", "per s", "edges", "features", "inputs", "broken")
    failed = False
    for name in options.only or TARGETS:
        outcome = fuzz(name, options)
        failed = failed or bool(outcome.why)
        table.add_row(*row(outcome))
        report(console, outcome)
    console.print(table)
    return int(failed)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    limit = made.add_mutually_exclusive_group()
    limit.add_argument("--seconds", type=int, default=60, help="for each target")
    limit.add_argument("--runs", type=int, help="inputs for each target, however long they take")
    made.add_argument(
        "--only", action="append", choices=TARGETS, help="only this target; may be given repeatedly"
    )
    made.add_argument("--seed", type=int, default=0, help="of the mutations; 0 takes any")
    return made


def fuzz(name: str, options: argparse.Namespace) -> Outcome:
    """Run one target for as long as the options say."""
    limit = f"-runs={options.runs}" if options.runs else f"-max_total_time={options.seconds}"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="windlass-fuzz-") as folder:
        command = [
            *(sys.executable, "-m", "tests.fuzz.worker", name, folder),
            *(limit, f"-timeout={HANG_SECONDS}", f"-seed={options.seed}"),
            *(f"-rss_limit_mb={MEMORY_MIB}", "-max_len=2048", "-len_control=20"),
            "-reload=0",
        ]
        # Sets are walked in the order of hashes, which is to be the same in every run, too.
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )
        found = tuple(
            file.read_bytes()
            for file in sorted(Path(folder).iterdir())
            if file.name.startswith(("crash-", "timeout-", "oom-", "slow-unit-"))
        )
    output = done.stdout + done.stderr
    pulses = _PULSE.findall(output)
    counts = [int(count or 0) for count in pulses[-1]] if pulses else [0] * 4
    failed = done.returncode != 0 or not pulses
    seconds = time.monotonic() - started
    return Outcome(name, seconds, *counts, found, _why(output) if failed else "")


def _why(output: str) -> str:
    """The part of a worker's output that says why it failed: a traceback, or its end."""
    _, marker, traceback = output.partition(_EXCEPTION)
    lines = (marker + traceback if marker else output).splitlines()
    told = [line for line in lines if not line.startswith(("#", "INFO:", "WARNING:"))]
    return "\n".join(told[:_LINES] if marker else told[-_LINES:])


def row(outcome: Outcome) -> list[str]:
    """A row of the table."""
    numbers = (
        outcome.executions,
        round(outcome.executions / outcome.seconds),
        outcome.edges,
        outcome.features,
        outcome.inputs,
        len(outcome.found),
    )
    return [outcome.target, *map(str, numbers)]


def report(console: Console, outcome: Outcome) -> None:
    """Print what was found."""
    for data in outcome.found:
        console.print(f"{outcome.target}: {data!r}", markup=False, highlight=False, soft_wrap=True)
    if outcome.why:
        console.print(outcome.why, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
