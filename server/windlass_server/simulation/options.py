"""The flags of `windlass simulate`."""

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from windlass_server.scheduler.packing.policies import DEFAULT, POLICIES
from windlass_server.simulation import clusters
from windlass_server.simulation.csv_jobs import MOST_JOBS
from windlass_server.simulation.turns import BY_NAME, RECORDED
from windlass_server.simulation.turns import DEFAULT as DEFAULT_TURNS

EXIT_USAGE = 2
PLOTS = (".svg", ".png")
OPENB, CSV, SWF = "openb", "csv", "swf"
POLICY_FILES = (".yaml", ".yml", ".json")
FORMATS = (OPENB, CSV, SWF)

_MOST_DEMAND = 10.0
_MOST_SEED = 2**32 - 1
_MOST_RUNS = 1000

_DESCRIPTION = """\
Run recorded work through the scheduler's own code, and say what comes of it.

Jobs with times (csv, swf, --generate) are played in virtual time: they come, start where the scheduler
says, and end. What is said is how long they waited, how much was given out, and how fairly.

Tasks without times (openb) come in a random order, each once and then random copies of them, until they
have asked for --demand times all GPUs. None ever ends, and what does not fit is dropped: the protocol of
the FGD paper. What is said is how many GPUs were given out.
"""
_EPILOG = """\
policies for jobs with times:
  built-in      what a server does that has no policies: fair share and backfill (default)
  fair-share    in turns of projects and users; who does not fit is skipped
  backfill      by priority, then as they came; the first who do not fit keep their places
  greedy        the same, and who does not fit is skipped
  fifo          the same, and nobody starts before those ahead of him
  FILE.yaml     what it says, as `windlass policies set --file` has it, or several by their ids, and quotas
  recorded      as it was, where the trace says when each job started

policies for openb:
  holes-first   keeps holes that shares fit into, then GPUs for those who are short of them (default)
  fgd           fragmentation gradient descent (Weng et al., USENIX ATC 2023)
  best-fit      where least of CPU and GPUs is left
  dot-product   where what is idle is least like what is asked for (Tetris)
  random        anywhere

from a server:
  windlass simulate --history [--since 7d] [--save FOLDER] takes the jobs that a server has had since then,
  of all projects that you may read, and its nodes as they are, instead of a TRACE and --nodes. There
  --policy current is what it goes by now, with its quotas; without --policy what was is shown beside that.

  windlass simulate TRACE.csv --on-server [--cluster SPEC] has a server play the jobs, on its own nodes, as if
  they were empty, or on made ones. Of the other flags it takes --policy (a name) and --output.

examples:
  windlass simulate jobs.csv --on-server --policy fifo --policy built-in
  windlass simulate --history --since 7d --policy recorded --policy current --policy mine.yaml
  windlass simulate jobs.csv --cluster 16x8xH100
  windlass simulate jobs.csv --cluster 16x8xH100 --policy built-in --policy mine.yaml
  windlass simulate jobs.csv --nodes nodes.csv --policy fifo --policy greedy --plot waits.svg
  windlass simulate KTH-SP2-1996-2.1-cln.swf.gz --policy fifo --policy backfill
  windlass simulate --generate 5000 --load 1.2 --cluster 16x8xH100 --save jobs.csv --output json
  windlass simulate --format openb --nodes nodes.csv --jobs tasks.csv --seed 42 --output json
  windlass simulate --nodes nodes.csv --jobs tasks.csv --policy fgd --policy holes-first --seeds 10
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """How results are shown.

    Attributes:
        json: print JSON instead of a table.
        plot: where to draw; None: nowhere.
    """

    json: bool
    plot: Path | None


@dataclass(frozen=True, slots=True)
class Options:
    """Tasks without times that are to be packed; see `--help`.

    Attributes:
        policies: names, each once.
        seeds: of the arrivals, one run of each policy each.
        learned: the policy is not told what to expect.
    """

    nodes: Path
    jobs: Path
    demand: float
    seeds: range
    policies: tuple[str, ...]
    learned: bool
    shown: Shown


@dataclass(frozen=True, slots=True)
class TimedOptions:
    """Jobs with times that are to be played; see `--help`.

    Attributes:
        trace: where they are; None: they are made.
        form: how they are written: `csv` or `swf`.
        nodes: where the nodes are; None: they are `cluster`, if anything.
        cluster: nodes in a word, such as `16x8xH100`; empty for none.
        generate: how many are made.
        load: how much these want, of all GPUs.
        seed: of these.
        save: where they are written; None: nowhere.
        policies: names, each once.
    """

    trace: Path | None
    form: str
    nodes: Path | None
    cluster: str
    generate: int
    load: float
    seed: int
    save: Path | None
    policies: tuple[str, ...]
    shown: Shown


def parse(arguments: Sequence[str] | None = None) -> Options | TimedOptions:
    """The options; leaves with exit code 2 and a line on standard error where they are wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    shown = Shown(given.output == "json", given.plot)
    if given.trace is not None and given.jobs is not None:
        parser.error("TRACE and --jobs are the same: give one of them")
    trace = given.trace or given.jobs
    form = given.format or _form(given)
    if form != OPENB:
        return _timed(parser, given, form, trace, shown)
    if given.nodes is None or trace is None:
        parser.error("the following arguments are required: --nodes, --jobs")
    _refuse(parser, given, "openb", generate=0, cluster=None, load=None, save=None)
    return Options(
        given.nodes,
        trace,
        given.demand or 1.3,
        range(given.seed, given.seed + given.seeds),
        _policies(parser, given.policy or [DEFAULT], POLICIES),
        given.popularity == "learned",
        shown,
    )


def _form(given: argparse.Namespace) -> str:
    """How a trace is written, where nobody says: by its name; of `--jobs` alone it is OpenB's."""
    if given.trace is not None and given.trace.name.lower().endswith((".swf", ".swf.gz")):
        return SWF
    return CSV if given.generate or given.trace is not None else OPENB


def _timed(
    parser: argparse.ArgumentParser,
    given: argparse.Namespace,
    form: str,
    trace: Path | None,
    shown: Shown,
) -> TimedOptions:
    _refuse(parser, given, "jobs with times", demand=None, popularity=None, seeds=1)
    if (trace is None) == (not given.generate) or (given.generate and form != CSV):
        parser.error("give a TRACE, or --generate N to make one")
    if given.nodes is not None and given.cluster:
        parser.error("--nodes and --cluster both say what nodes there are: give one of them")
    if given.nodes is None and not given.cluster and form != SWF:
        parser.error("there are no nodes: give --nodes FILE, or --cluster such as 16x8xH100")
    if not given.generate:
        _refuse(parser, given, "a trace that is there", load=None, save=None)
    return TimedOptions(
        trace,
        form,
        given.nodes,
        given.cluster or "",
        given.generate,
        given.load or 1.2,
        given.seed,
        given.save,
        _policies(parser, given.policy or [DEFAULT_TURNS], (*BY_NAME, RECORDED.name), files=True),
        shown,
    )


def _refuse(
    parser: argparse.ArgumentParser, given: argparse.Namespace, what: str, **unset: object
) -> None:
    """Refuse flags that have no meaning here, instead of not minding them."""
    for name, value in unset.items():
        if getattr(given, name) != value:
            parser.error(f"--{name} means nothing for {what}")


def _policies(
    parser: argparse.ArgumentParser,
    given: Sequence[str],
    known: Iterable[str],
    *,
    files: bool = False,
) -> tuple[str, ...]:
    for name in given:
        if name not in known and not (files and name.endswith(POLICY_FILES)):
            parser.error(
                f"argument --policy: invalid choice: {name!r} (choose from {', '.join(known)})"
            )
    return tuple(dict.fromkeys(given))


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
    _add_trace(parser.add_argument_group("the trace"))
    _add_runs(parser.add_argument_group("the runs"))
    shown = parser.add_argument_group("what is shown")
    shown.add_argument(
        "--output", "-o", choices=["table", "json"], default="table", help="table or json (table)"
    )
    shown.add_argument("--plot", type=_plot, metavar="FILE", help="draw it, .svg or .png")
    return parser


def _add_trace(files: argparse._ArgumentGroup) -> None:
    files.add_argument("trace", type=Path, nargs="?", metavar="TRACE", help="jobs with times")
    files.add_argument(
        "--format",
        choices=FORMATS,
        help="how the trace is written (by its name: swf for .swf and .swf.gz, else csv; of --nodes and"
        " --jobs without TRACE openb)",
    )
    files.add_argument("--nodes", type=Path, metavar="FILE", help="nodes, as CSV")
    files.add_argument(
        "--cluster",
        type=_cluster,
        metavar="SPEC",
        help="nodes in a word: 16x8xH100 are 16 of 8 GPUs each, with 16 cores and 128 GiB per GPU",
    )
    files.add_argument("--jobs", type=Path, metavar="FILE", help="the same as TRACE")
    files.add_argument(
        "--generate", type=_jobs, default=0, metavar="N", help="make N jobs instead of reading some"
    )
    files.add_argument(
        "--load", type=_demand, metavar="X", help="GPUs that these want, over all (1.2)"
    )
    files.add_argument("--save", type=Path, metavar="FILE", help="write these as CSV")
    files.add_argument(
        "--demand", type=_demand, metavar="X", help="openb: GPUs asked for, over all (1.3)"
    )


def _add_runs(runs: argparse._ArgumentGroup) -> None:
    runs.add_argument(
        "--policy",
        action="append",
        metavar="NAME",
        help="one of those below; may be given repeatedly",
    )
    runs.add_argument(
        "--seed", type=_seed, default=42, metavar="N", help="of everything left to chance (42)"
    )
    runs.add_argument(
        "--seeds",
        type=_count,
        default=1,
        metavar="N",
        help="openb: runs, with seeds from --seed on (1)",
    )
    runs.add_argument(
        "--popularity",
        choices=["known", "learned"],
        help="openb: whether the policy is told what tasks the trace has, as in the paper, or learns"
        " it from those that came (known)",
    )


def _cluster(text: str) -> str:
    try:
        clusters.made(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _jobs(text: str) -> int:
    return _whole(text, 1, MOST_JOBS)


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
