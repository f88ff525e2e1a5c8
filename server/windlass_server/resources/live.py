"""What nodes measure from now on, to those who follow it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from windlass.resources.v1 import node_metrics_pb2 as pb
from windlass_server.access.policy import ORGANISATION, Caller, absent, require, role_in
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.resources.metrics import numbers_of
from windlass_server.storage.engine import Database
from windlass_server.telemetry.fields import LIVE_NAMES, RUN_ID
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.timestamps import to_proto

HEARTBEAT_SECONDS = 10.0
DEFAULT_INTERVAL = MICROS_PER_SECOND
# Nodes in one message, a few hundred KiB.
_NODES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Following:
    """What a caller follows; empty values mean everything. The interval is in microseconds."""

    node_ids: Sequence[str]
    fields: Sequence[str]
    interval: int


class LiveTelemetry:
    """Tells followers what is new.

    Looks at what there is at an interval of each follower's own, so that no follower costs the nodes'
    sessions anything.

    Args:
        latest: the newest values.
        sleep: waits for some seconds; a test's own for a clock of its own.
    """

    def __init__(
        self,
        database: Database,
        latest: LatestTelemetry,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._database = database
        self._latest = latest
        self._clock = clock

    async def stream(self, who: Caller, wanted: Following) -> AsyncGenerator[pb.TelemetryMessage]:
        """What is new, for as long as it is asked for.

        Raises:
            NotFound: one of the named nodes does not exist.
            InvalidInput: a field that nothing is measured of.
        """
        require(who, "nodes.list", ORGANISATION)
        fields = numbers_of(wanted.fields, LIVE_NAMES)
        await self._check(wanted.node_ids)
        told: dict[str, int] = {}
        # Who finds nothing is greeted, so that it knows that it is heard.
        said_at = self._clock.monotonic() - HEARTBEAT_SECONDS
        while True:
            # Each look begins when the one before is told, however long its reader took.
            news = [node for node in self._nodes(wanted) if self._has_news(node, told)]
            for message in self._messages(who, news, fields):
                said_at = self._clock.monotonic()
                yield message
                await asyncio.sleep(0)
            if self._clock.monotonic() - said_at >= HEARTBEAT_SECONDS:
                said_at = self._clock.monotonic()
                yield pb.TelemetryMessage(heartbeat=pb.TelemetryHeartbeat())
            await self._sleep(wanted.interval / MICROS_PER_SECOND)

    async def _check(self, node_ids: Sequence[str]) -> None:
        if node_ids:
            found = await self._database.read(
                lambda tx: {one for one in node_ids if tx.nodes.get(one) is not None}
            )
            for node_id in node_ids:
                if node_id not in found:
                    raise absent("node", node_id)

    def _nodes(self, wanted: Following) -> Sequence[str]:
        return list(dict.fromkeys(wanted.node_ids)) or self._latest.node_ids()

    def _has_news(self, node_id: str, told: dict[str, int]) -> bool:
        batches = self._latest.batches(node_id)
        news = batches not in (0, told.get(node_id))
        told[node_id] = batches
        return news

    def _messages(
        self, who: Caller, nodes: Sequence[str], fields: Collection[int] | None
    ) -> Iterator[pb.TelemetryMessage]:
        for first in range(0, len(nodes), _NODES_AT_ONCE):
            some = nodes[first : first + _NODES_AT_ONCE]
            shown = [self._node(who, node_id, fields) for node_id in some]
            values = pb.LiveValues(nodes=shown, more=first + _NODES_AT_ONCE < len(nodes))
            yield pb.TelemetryMessage(values=values)

    def _node(self, who: Caller, node_id: str, fields: Collection[int] | None) -> pb.NodeValues:
        shown = pb.NodeValues(node_id=node_id)
        for subject, values in self._latest.things(node_id):
            known = {
                LIVE_NAMES[measured]: value
                for measured, value in values.all().items()
                if (fields is None or measured in fields) and measured in LIVE_NAMES
            }
            if not known:
                continue
            holder = self._latest.holder(node_id, subject)
            seen = holder is not None and role_in(who, holder.project) is not None
            if RUN_ID.fullmatch(subject) and not seen and who.organisation_role is None:
                continue
            one = shown.subjects.add(
                subject=subject, sample_time=to_proto(values.sampled_at), values=known
            )
            if holder is not None and seen and subject != holder.run_id:
                one.run_id, one.job_id, one.rank = holder.run_id, holder.job_id, holder.rank
        return shown
