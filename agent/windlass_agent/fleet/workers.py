"""The processes that hold a fleet's nodes, from the side of the one that people started."""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from windlass_agent.config import ConfigError
from windlass_agent.fleet.config import FleetConfig
from windlass_agent.fleet.counts import Counts
from windlass_agent.fleet.identities import load_ids, load_seed, store_ids
from windlass_agent.fleet.worker import Orders

_LINE_LIMIT = 1 << 20
_END_SECONDS = 15.0


class Workers:
    """Starts workers, adds up what they count, keeps who their nodes are.

    Args:
        argv: the flags of the fleet, for the workers.
        config: the same, parsed.
        log: where the workers' errors go.
    """

    def __init__(self, argv: Sequence[str], config: FleetConfig, log: Path) -> None:
        self._argv = argv
        self._config = config
        self._log = log
        self._ids = load_ids(config.data_dir)
        self._counts: dict[int, Counts] = {}
        self._processes: list[Process] = []
        self._ending = False

    @property
    def counts(self) -> Counts:
        """The sums of all workers, a second old at most."""
        counts = Counts.total(self._counts.values())
        counts.nodes = self._config.nodes
        return counts

    async def run(self, ended: asyncio.Event) -> None:
        """Run the fleet until `ended`, then let its workers finish.

        Raises:
            ConfigError: a worker could not go on.
        """
        seed = load_seed(self._config.data_dir)
        nodes, share = self._config.nodes, -(-self._config.nodes // self._config.processes)
        parts = [range(first, min(first + share, nodes)) for first in range(0, nodes, share)]
        ending = asyncio.ensure_future(self._end_when(ended))
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(self._follow(await self._start(part, seed)))
        except* ConfigError as problems:
            raise ConfigError(str(problems.exceptions[0])) from None
        finally:
            ending.cancel()
            self._kill()
            store_ids(self._config.data_dir, self._ids)

    async def _start(self, nodes: range, seed: bytes) -> Process:
        orders = Orders(
            argv=self._argv,
            join_token=self._config.join_token,
            seed=seed,
            nodes=nodes,
            ids=self._ids,
        )
        command = [sys.executable, "-P", "-m", "windlass_agent.fleet.worker"]
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=log, limit=_LINE_LIMIT, env=_environment()
            )
        self._processes.append(process)
        assert process.stdin is not None
        process.stdin.write(orders.dump())
        if self._ending:
            process.stdin.close()
        return process

    async def _follow(self, process: Process) -> None:
        assert process.stdout is not None
        async for text in process.stdout:
            said = json.loads(text)
            if "error" in said:
                raise ConfigError(said["error"])
            for number, node_id in said.get("joined", {}).items():
                self._ids[int(number)] = node_id
            if "counts" in said:
                self._counts[process.pid] = Counts.parse(said["counts"])
        code = await process.wait()
        if not self._ending:
            raise ConfigError(f"a part of the fleet ended by itself ({code}): see {self._log}")

    async def _end_when(self, ended: asyncio.Event) -> None:
        await ended.wait()
        self._ending = True
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        await asyncio.sleep(_END_SECONDS)
        self._kill()

    def _kill(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def _environment() -> dict[str, str]:
    """This process's; the token goes by the pipe alone."""
    return {name: value for name, value in os.environ.items() if name != "WINDLASS_JOIN_TOKEN"}
