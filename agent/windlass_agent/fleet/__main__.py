"""`python -m windlass_agent.fleet`, and what the `windlass fleet` command becomes."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.live import Live

from windlass_agent.config import ConfigError
from windlass_agent.data_dir import DataDir
from windlass_agent.fleet.board import board, line
from windlass_agent.fleet.config import FleetConfig, load_config
from windlass_agent.fleet.counts import Counts
from windlass_agent.fleet.workers import Workers

USAGE_ERROR = 2
_LOG = "fleet.log"
_LOOK_SECONDS = 1.0
_LINE_EVERY = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Run a fleet until Ctrl-C or the end of its duration.

    Returns:
        0; 1 when a sample was lost; 2 when the fleet cannot run, with a line on stderr that says why.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        config = load_config(argv, os.environ)
        with DataDir(config.data_dir):
            counts = asyncio.run(_run(argv, config))
    except ConfigError as error:
        sys.stderr.write(f"windlass fleet: {error}\n")
        return USAGE_ERROR
    if counts.connected < config.nodes:
        missing = config.nodes - counts.connected
        log = config.data_dir / _LOG
        sys.stderr.write(f"{missing} nodes are not connected at the end; {log} may say why\n")
    if config.json:
        sys.stdout.write(json.dumps(asdict(counts)) + "\n")
    else:
        sys.stdout.write(f"{line(counts)}\n")
    return int(counts.batches_lost > 0)


async def _run(argv: Sequence[str], config: FleetConfig) -> Counts:
    workers = Workers(argv, config, config.data_dir / _LOG)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    if config.duration is not None:
        loop.call_later(config.duration, ended.set)
    showing = asyncio.create_task(_show(config, workers))
    try:
        await workers.run(ended)
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
    return workers.counts


async def _show(config: FleetConfig, workers: Workers) -> None:
    console = Console(stderr=True)
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_LINE_EVERY * _LOOK_SECONDS)
            sys.stderr.write(f"{line(workers.counts)}\n")
    begin, before = time.monotonic(), workers.counts
    with Live(board(config, before, before, 0), console=console, auto_refresh=False) as shown:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = workers.counts
            shown.update(board(config, now, before, time.monotonic() - begin), refresh=True)
            before = now


if __name__ == "__main__":
    sys.exit(main())
