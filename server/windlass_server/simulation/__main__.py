"""`windlass simulate`, which is `python -m windlass_server.simulation`."""

import os

# Arrays here are small: threads of the linear algebra would only wait for each other. Before numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from windlass_server.simulation import openb
from windlass_server.simulation.arrivals import arrivals
from windlass_server.simulation.options import EXIT_USAGE, Options, parse
from windlass_server.simulation.plot import draw
from windlass_server.simulation.replay import Replay, replay
from windlass_server.simulation.report import Summary, as_json, as_table
from windlass_server.simulation.trace import Trace, TraceError

_EXIT_INTERRUPTED = 130
# For a file or a pipe, which has no width of its own.
_WIDTH = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 2 for files that cannot be simulated."""
    options = parse(arguments)
    try:
        summaries = _simulated(options, openb.read(options.nodes, options.jobs))
        if options.plot is not None:
            draw(summaries, options.plot)
    except TraceError as error:
        sys.stderr.write(f"windlass simulate: {error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    if options.json:
        sys.stdout.write(json.dumps(as_json(summaries), indent=2) + "\n")
    else:
        _console().print(as_table(summaries))
    return 0


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def _simulated(options: Options, trace: Trace) -> list[Summary]:
    runs: dict[str, list[Replay]] = {policy: [] for policy in options.policies}
    with _progress(options) as advance:
        for seed in options.seeds:
            tasks = arrivals(trace, options.demand, seed)
            for policy in options.policies:
                progress = advance(f"{policy}, seed {seed}", len(tasks))
                runs[policy].append(
                    replay(trace, tasks, policy, seed, learned=options.learned, progress=progress)
                )
    return [Summary(policy, tuple(found)) for policy, found in runs.items()]


@contextmanager
def _progress(options: Options) -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """A bar on standard error while runs go on, for people who look."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    hidden = options.json or not console.is_terminal
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden
    ) as bars:

        def begin(description: str, tasks: int) -> Callable[[int], None]:
            bar = bars.add_task(description, total=tasks)
            return lambda done: bars.update(bar, completed=done, visible=done < tasks)

        yield begin


if __name__ == "__main__":
    sys.exit(main())
