"""`windlass simulate`, which is `python -m windlass_server.simulation`."""

import os

# Arrays here are small: threads of the linear algebra would only wait for each other. Before numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import json
import sys
from collections.abc import Sequence

from rich.console import Console

from windlass_server.simulation import openb, played
from windlass_server.simulation.arrivals import arrivals
from windlass_server.simulation.bars import Begin, bars
from windlass_server.simulation.options import EXIT_USAGE, Options, TimedOptions, parse
from windlass_server.simulation.plot import draw
from windlass_server.simulation.replay import Replay, replay
from windlass_server.simulation.report import Summary, as_json, as_table
from windlass_server.simulation.trace import TraceError

_EXIT_INTERRUPTED = 130
# For a file or a pipe, which has no width of its own.
_WIDTH = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 2 for files that cannot be simulated."""
    options = parse(arguments)
    try:
        with bars(hidden=options.shown.json) as begin:
            shown = (
                _packed(options, begin) if isinstance(options, Options) else _played(options, begin)
            )
    except TraceError as error:
        sys.stderr.write(f"windlass simulate: {error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    for one in shown:
        _console().print(one, soft_wrap=isinstance(one, str), markup=False)
    return 0


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def _packed(options: Options, begin: Begin) -> list[object]:
    """Tasks without times: what is to be printed of them."""
    trace = openb.read(options.nodes, options.jobs)
    runs: dict[str, list[Replay]] = {policy: [] for policy in options.policies}
    for seed in options.seeds:
        tasks = arrivals(trace, options.demand, seed)
        for policy in options.policies:
            progress = begin(f"{policy}, seed {seed}", len(tasks))
            learned = options.learned
            run = replay(trace, tasks, policy, seed, learned=learned, progress=progress)
            runs[policy].append(run)
    summaries = [Summary(policy, tuple(found)) for policy, found in runs.items()]
    if options.shown.plot is not None:
        draw(summaries, options.shown.plot)
    return [_json(as_json(summaries)) if options.shown.json else as_table(summaries)]


def _played(options: TimedOptions, begin: Begin) -> list[object]:
    """Jobs with times: what is to be printed of them."""
    results = played.run(options, begin)
    if options.shown.plot is not None:
        results.draw(options.shown.plot)
    return [_json(results.as_json())] if options.shown.json else [*results.as_tables()]


def _json(value: object) -> str:
    return json.dumps(value, indent=2)


if __name__ == "__main__":
    sys.exit(main())
