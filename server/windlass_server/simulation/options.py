"""The flags of `windlass simulate`."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from windlass_server.scheduler.packing.policies import DEFAULT, POLICIES

EXIT_USAGE = 2
PLOTS = (".svg", ".png")

_MOST_DEMAND = 10.0
_MOST_SEED = 2**32 - 1
_MOST_RUNS = 1000

_DESCRIPTION = """\
Place the tasks of a recorded trace with the scheduler's own code, and say how many GPUs that gives out.

Tasks come in a random order, each once and then random copies of them, until they have asked for
--demand times all GPUs. None ever ends, and what does not fit is dropped: the protocol of the FGD paper.
"""
_EPILOG = """\
policies:
  holes-first   keeps holes that shares fit into, then GPUs for those who are short of them (default)
  fgd           fragmentation gradient descent (Weng et al., USENIX ATC 2023)
  best-fit      where least of CPU and GPUs is left
  dot-product   where what is idle is least like what is asked for (Tetris)
  random        anywhere

examples:
  windlass simulate --nodes nodes.csv --jobs tasks.csv
  windlass simulate --nodes nodes.csv --jobs tasks.csv --policy fgd --policy holes-first --seeds 10
  windlass simulate --nodes nodes.csv --jobs tasks.csv --policy random --plot allocation.svg
  windlass simulate --format openb --nodes nodes.csv --jobs tasks.csv --seed 42 --output json
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be simulated; see `--help`.

    Attributes:
        policies: names, each once.
        seeds: of the arrivals, one run of each policy each.
        learned: the policy is not told what to expect.
        json: print JSON instead of a table.
        plot: where to draw; None: nowhere.
    """

    nodes: Path
    jobs: Path
    demand: float
    seeds: range
    policies: tuple[str, ...]
    learned: bool
    json: bool
    plot: Path | None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The options; leaves with exit code 2 and a line on standard error where they are wrong."""
    given = _parser().parse_args(arguments)
    return Options(
        given.nodes,
        given.jobs,
        given.demand,
        range(given.seed, given.seed + given.seeds),
        tuple(dict.fromkeys(given.policy or [DEFAULT])),
        given.popularity == "learned",
        given.output == "json",
        given.plot,
    )


class _Parser(argparse.ArgumentParser):
    """Refuses what it does not know in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="windlass simulate",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    files = parser.add_argument_group("the trace")
    files.add_argument(
        "--format", choices=["openb"], default="openb", help="how the files are written (openb)"
    )
    files.add_argument("--nodes", type=Path, required=True, metavar="FILE", help="nodes, as CSV")
    files.add_argument("--jobs", type=Path, required=True, metavar="FILE", help="tasks, as CSV")
    files.add_argument(
        "--demand", type=_demand, default=1.3, metavar="X", help="GPUs asked for, over all (1.3)"
    )
    _add_runs(parser.add_argument_group("the runs"))
    shown = parser.add_argument_group("what is shown")
    shown.add_argument(
        "--output", "-o", choices=["table", "json"], default="table", help="table or json (table)"
    )
    shown.add_argument(
        "--plot",
        type=_plot,
        metavar="FILE",
        help="draw GPUs given out by GPUs asked for, .svg or .png",
    )
    return parser


def _add_runs(runs: argparse._ArgumentGroup) -> None:
    runs.add_argument(
        "--policy",
        action="append",
        choices=[*POLICIES],
        metavar="NAME",
        help=f"one of those below ({DEFAULT}); may be given repeatedly",
    )
    runs.add_argument(
        "--seed", type=_seed, default=42, metavar="N", help="of the order in which tasks come (42)"
    )
    runs.add_argument(
        "--seeds", type=_count, default=1, metavar="N", help="runs, with seeds from --seed on (1)"
    )
    runs.add_argument(
        "--popularity",
        choices=["known", "learned"],
        default="known",
        help="whether the policy is told what tasks the trace has, as in the paper, or learns it from"
        " those that came (known)",
    )


def _demand(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _MOST_DEMAND:  # nor is NaN
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most {_MOST_DEMAND:g}")
    return value


def _seed(text: str) -> int:
    return _whole(text, 0, _MOST_SEED)


def _count(text: str) -> int:
    return _whole(text, 1, _MOST_RUNS)


def _whole(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is not from {least} to {most}")
    return int(text)


def _plot(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in PLOTS:
        raise argparse.ArgumentTypeError(f"{text!r} ends in neither {' nor '.join(PLOTS)}")
    return path
