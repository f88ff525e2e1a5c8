"""`make bench`: measure windlass beside its peers on this machine.

Prints tables and writes JSON. It never fails because something was slow: numbers depend on the
machine and on what else runs on it, ratios within one run much less.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tests.benchmarks import (
    arrays,
    backfill,
    batches,
    end_to_end,
    envoy,
    fleet,
    followers,
    grpc_calls,
    jobs_list,
    launch,
    logs,
    memory,
    packing,
    planning,
    report,
    rest,
    route_match,
    settings,
    startup,
    telemetry,
)
from tests.benchmarks.processes import NotReady
from tests.benchmarks.results import Result
from tests.benchmarks.tools import MissingTool

Part = Callable[[Console, settings.Settings], Iterator[Result]]
PARTS: dict[str, Part] = {
    "rest": rest.run,
    "grpc": grpc_calls.run,
    "memory": memory.run,
    "envoy": envoy.run,
    "routes": route_match.run,
    "plan": planning.run,
    "packing": packing.run,
    "backfill": backfill.run,
    "jobs-list": jobs_list.run,
    "followers": followers.run,
    "logs": logs.run,
    "startup": startup.run,
    "launch": launch.run,
    "telemetry": telemetry.run,
    "fleet": fleet.run,
    "batches": batches.run,
    "arrays": arrays.run,
    "end-to-end": end_to_end.run,
}


def main() -> int:
    """Run the parts that are asked for; 1 when one of them could not be measured."""
    options = parser().parse_args()
    amounts = settings.QUICK if options.quick else settings.Settings()
    if options.fleet_seconds:
        amounts = replace(amounts, fleet_seconds=options.fleet_seconds)
    if options.traces:
        amounts = replace(amounts, traces=options.traces)
    console = Console(stderr=True, soft_wrap=True)
    results: list[Result] = []
    failed = False
    for name in options.only or PARTS:
        console.rule(name, align="left")
        try:
            results.extend(PARTS[name](console, amounts))
        except (MissingTool, NotReady, RuntimeError) as error:
            console.print(f"{name} was not measured: {error}", style="red", markup=False)
            failed = True
    report.show(wide(), results)
    if options.output:
        report.write(options.output, amounts, results)
    return int(failed)


def wide() -> Console:
    """Standard output; a file or a pipe has no width of its own, so the tables get theirs."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    made.add_argument(
        "--only", action="append", choices=PARTS, help="only this part; may be given repeatedly"
    )
    made.add_argument("--quick", action="store_true", help="little and coarse, about a minute")
    made.add_argument(
        "--fleet-seconds", type=int, metavar="N", help="how long callers come beside the fleet"
    )
    made.add_argument("--traces", metavar="DIR", help="the folder with OpenB's trace (packing)")
    made.add_argument("--output", type=Path, metavar="FILE", help="write the results as JSON")
    return made


if __name__ == "__main__":
    sys.exit(main())
