"""`python -m windlass_agent.fleet.worker`: some nodes of a fleet, in a process of their own.

Takes one line of JSON on standard input, which ends when the fleet shall end; writes lines of JSON:
`{"joined": {number: node_id}}`, `{"counts": {...}}` every second, `{"error": "..."}` when it cannot go on.
"""

import asyncio
import json
import os
import random
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import grpc.aio
import uvloop

from windlass_agent.channel import channel_to
from windlass_agent.clock import SystemClock
from windlass_agent.config import ConfigError
from windlass_agent.fleet.config import FleetConfig, load_config
from windlass_agent.fleet.counts import Counts
from windlass_agent.fleet.identities import node_key
from windlass_agent.fleet.node import FleetNode
from windlass_agent.logs import configure_logs

_COUNTS_SECONDS = 1.0
_JOINS_AT_ONCE = 16
_NOT_JOINED = "node {} has not joined: set WINDLASS_JOIN_TOKEN or --join-token-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a worker is told: the fleet's flags, which nodes are its own, and who they are."""

    argv: Sequence[str]
    join_token: str | None
    seed: bytes
    nodes: range
    ids: Mapping[int, str]

    def dump(self) -> bytes:
        """As one line of JSON."""
        values = {
            "argv": list(self.argv),
            "join_token": self.join_token,
            "seed": self.seed.hex(),
            "nodes": [self.nodes.start, self.nodes.stop],
            "ids": {str(number): self.ids[number] for number in self.nodes if number in self.ids},
        }
        return json.dumps(values).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """What `dump` made."""
        values = json.loads(line)
        return cls(
            argv=values["argv"],
            join_token=values["join_token"],
            seed=bytes.fromhex(values["seed"]),
            nodes=range(*values["nodes"]),
            ids={int(number): node_id for number, node_id in values["ids"].items()},
        )


class Worker:
    """The nodes of one process."""

    def __init__(self, orders: Orders, config: FleetConfig) -> None:
        self._orders = orders
        self._config = config
        self._clock = SystemClock()
        self._nodes = {number: self._node(number) for number in orders.nodes}
        self._joining = asyncio.Semaphore(_JOINS_AT_ONCE)

    async def run(self, ended: asyncio.Event) -> None:
        """Be all the nodes until `ended`, then finish them.

        Raises:
            ConfigError: a node cannot join.
        """
        parts = [asyncio.ensure_future(self._be(number)) for number in self._nodes]
        parts += [asyncio.ensure_future(part) for part in (self._tell_counts(), self._hurt())]
        ending = asyncio.ensure_future(ended.wait())
        try:
            done, _ = await asyncio.wait([ending, *parts], return_when=asyncio.FIRST_COMPLETED)
            for part in done - {ending}:
                part.result()  # nothing here ends by itself but by an error
            await asyncio.gather(*(node.finish() for node in self._nodes.values()))
            _tell(counts=asdict(self._counts()))
        finally:
            for part in (ending, *parts):
                part.cancel()
            await asyncio.gather(ending, *parts, return_exceptions=True)

    def _node(self, number: int) -> FleetNode:
        key = node_key(self._orders.seed, number)
        return FleetNode(number, self._config, key, self._open_channel, self._clock)

    def _open_channel(self) -> grpc.aio.Channel:
        return channel_to(self._config.agent())

    async def _be(self, number: int) -> None:
        # Not all at the same moment, then or in any second that follows.
        await self._clock.sleep(random.uniform(0, self._config.ramp))  # noqa: S311 - jitter
        node_id = self._orders.ids.get(number)
        if self._orders.join_token is not None:
            async with self._joining:
                node_id = await self._nodes[number].join(self._orders.join_token)
            _tell(joined={str(number): node_id})
        if node_id is None:
            raise ConfigError(_NOT_JOINED.format(number))
        await self._nodes[number].run(node_id)

    async def _hurt(self) -> None:
        """Bring the planned faults about, once the nodes have come."""
        await self._clock.sleep(self._config.ramp)
        plan = self._config.faults
        share = len(self._nodes) / self._config.nodes
        for fault in plan.faults(self._orders.nodes):
            await self._clock.sleep(plan.every / share)
            self._nodes[fault.node].suffer(fault)
        await asyncio.get_running_loop().create_future()

    async def _tell_counts(self) -> None:
        while True:
            await self._clock.sleep(_COUNTS_SECONDS)
            _tell(counts=asdict(self._counts()))

    def _counts(self) -> Counts:
        return Counts.total(node.counts() for node in self._nodes.values())


def _tell(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


async def _run(orders: Orders) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Only the end of standard input ends a worker: Ctrl-C reaches the whole group of processes.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await Worker(orders, load_config(orders.argv, os.environ)).run(ended)


def main() -> int:
    """Run the worker; 1 when it could not go on."""
    configure_logs("warning", "text")
    # Each node holds two connections.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    orders = Orders.parse(sys.stdin.buffer.readline())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(orders))
    except ConfigError as error:
        _tell(error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
