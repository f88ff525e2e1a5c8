"""What happens to all objects, followed over broken connections without losing or doubling an event."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import TypedDict, Unpack

import grpc

from windlass.access.v1 import access_service_pb2_grpc, event_pb2
from windlass_client.calls import AsyncGroup, SyncGroup, built
from windlass_client.connect import AioTransport, BlockingTransport, Manner
from windlass_client.errors import Unavailable, WindlassError
from windlass_client.resuming import OnBreak, Resuming


class EventQuery(TypedDict, total=False):
    """Which events; what is left out asks for all.

    Attributes:
        project: only of its objects.
        object_id: only of this object.
        kinds: only of objects of these kinds, such as "job".
        reasons: only for these reasons, such as "NODE_LOST".
        actor: only what this principal, node or duty did.
        since: only what happened then or later.
        follow: go on with what happens, for ever.
        tail: begin with the last so many.
        cursor: begin behind the event of this sequence number.
    """

    project: str
    object_id: str
    kinds: Sequence[str]
    reasons: Sequence[str]
    actor: str
    since: datetime | None
    follow: bool
    tail: int | None
    cursor: str


class _Reading:
    """The state of one reading, from its first message to its end."""

    def __init__(
        self, request: event_pb2.StreamEventsRequest, manner: Manner, on_break: OnBreak | None
    ) -> None:
        self.request = request
        self.ended = False
        self._resuming = Resuming(manner, on_break)

    def accept(self, message: event_pb2.EventMessage) -> bool:
        """Note a message; True when it is the caller's; raises Unavailable when the stream broke."""
        if message.cursor:
            self.request.ClearField("tail")
            self.request.cursor = message.cursor
        kind = message.WhichOneof("content")
        if kind == "error":
            raise Unavailable(message.error.message, reason=message.error.reason)
        self._resuming.went_on()
        self.ended = kind == "end"
        return message.HasField("event")

    def broken(self, error: WindlassError | None) -> float:
        """Seconds until the stream is to be opened again; raises what cannot be helped so."""
        stopped = Unavailable("the stream of events stopped", reason="EVENTS_BROKEN")
        return self._resuming.wait(error or stopped)


class Events(SyncGroup):
    """Events, blocking."""

    def __init__(self, transport: BlockingTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    def stream(
        self, *, on_break: OnBreak | None = None, **wanted: Unpack[EventQuery]
    ) -> Iterator[event_pb2.Event]:
        """Iterate over what happened to the objects that you may see, oldest first.

        Args:
            on_break: told when the stream broke and in how many seconds it is opened again.
            wanted: see `EventQuery`.

        Raises:
            NotFound: there is no such project.
            Unavailable: the server stayed away for longer than `RetryPolicy.resume_for`.
        """
        return self._read(_Reading(built(_request, wanted), self._wire.manner, on_break))

    def _read(self, reading: _Reading) -> Iterator[event_pb2.Event]:
        while not reading.ended:
            error: WindlassError | None = None
            try:
                for message in self._wire.stream(_bind, reading.request):
                    if reading.accept(message):
                        yield message.event
                    if reading.ended:
                        return
            except WindlassError as failure:
                error = failure
            time.sleep(reading.broken(error))


class AsyncEvents(AsyncGroup):
    """Events for asyncio."""

    def __init__(self, transport: AioTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    def stream(
        self, *, on_break: OnBreak | None = None, **wanted: Unpack[EventQuery]
    ) -> AsyncIterator[event_pb2.Event]:
        """Iterate over what happened; see `Events.stream`."""
        return self._read(_Reading(built(_request, wanted), self._wire.manner, on_break))

    async def _read(self, reading: _Reading) -> AsyncIterator[event_pb2.Event]:
        while not reading.ended:
            error: WindlassError | None = None
            try:
                async for message in self._wire.stream(_bind, reading.request):
                    if reading.accept(message):
                        yield message.event
                    if reading.ended:
                        return
            except WindlassError as failure:
                error = failure
            await asyncio.sleep(reading.broken(error))


def _request(wanted: EventQuery) -> event_pb2.StreamEventsRequest:
    return event_pb2.StreamEventsRequest(
        project=wanted.get("project"),
        object_id=wanted.get("object_id"),
        kind=wanted.get("kinds", ()),
        reason=wanted.get("reasons", ()),
        actor=wanted.get("actor"),
        since=wanted.get("since"),
        follow=wanted.get("follow"),
        tail=wanted.get("tail"),
        cursor=wanted.get("cursor"),
    )


def _bind(
    channel: grpc.Channel,
) -> "grpc.UnaryStreamMultiCallable[event_pb2.StreamEventsRequest, event_pb2.EventMessage]":
    return access_service_pb2_grpc.AccessServiceStub(channel).StreamEvents
