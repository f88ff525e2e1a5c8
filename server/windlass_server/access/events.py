"""What happens to all objects, as one stream that can be resumed at any message."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from windlass.access.v1 import event_pb2 as pb
from windlass_server.access.event_message import event_message
from windlass_server.access.policy import Caller, absent, role_in
from windlass_server.access.settled_events import SettledEvents
from windlass_server.clock import Clock
from windlass_server.errors import WindlassError
from windlass_server.hub import EventHub
from windlass_server.storage.engine import Database
from windlass_server.storage.events import EventFilter
from windlass_server.storage.tables import EventRow

# Who follows all events listens to this.
EVERYTHING = "*"
# Those who hear nothing for 15 s may think that nobody is there.
HEARTBEAT_SECONDS = 13.0
# Other servers on the same database tell nobody here of what they record.
_LOOK_SECONDS = 1.0
_PAGE = 200
# Numbers that are looked through at a time, so that a rare event does not make one long read.
_WINDOW = 50_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for.

    Attributes:
        project: empty: all that the caller may see.
        chosen: which events, without the project.
        tail: the last so many; None: all. A cursor wins over it.
        cursor: the sequence number to begin behind; None: the beginning.
    """

    project: str
    chosen: EventFilter
    follow: bool = False
    tail: int | None = None
    cursor: int | None = None


class EventsService:
    """The events of all objects.

    Args:
        hub: tells of `EVERYTHING` when something has happened.
    """

    def __init__(self, database: Database, clock: Clock, hub: EventHub) -> None:
        self._database = database
        self._clock = clock
        self._hub = hub
        self._settled = SettledEvents(database, clock)

    async def stream(self, who: Caller, wanted: Wanted) -> AsyncGenerator[pb.EventMessage]:
        """The events, oldest first.

        Raises:
            NotFound: there is no such project, or the caller may see nothing of it.
        """
        chosen = await self._visible(who, wanted)
        at = await self._beginning(chosen, wanted)
        try:
            with self._hub.listening((EVERYTHING,)) as told:
                said_at = self._clock.monotonic()
                while True:
                    told.clear()
                    end = await self._settled.end()
                    while at < end:
                        rows, upto = await self._some(chosen, at, end)
                        for row in rows:
                            yield pb.EventMessage(
                                cursor=str(row.sequence), event=event_message(row)
                            )
                            said_at = self._clock.monotonic()
                        at = upto
                    if not wanted.follow:
                        yield pb.EventMessage(cursor=str(at), end=pb.EventEnd())
                        return
                    if self._clock.monotonic() - said_at >= HEARTBEAT_SECONDS:
                        yield pb.EventMessage(cursor=str(at), heartbeat=pb.EventHeartbeat())
                        said_at = self._clock.monotonic()
                    await _wait(told)
        except WindlassError as error:
            broken = pb.EventError(reason=error.reason, message=str(error))
            yield pb.EventMessage(cursor=str(at), error=broken)

    async def _visible(self, who: Caller, wanted: Wanted) -> EventFilter:
        """What is asked for, as far as the caller may see it."""
        project, chosen = wanted.project, wanted.chosen
        if project:
            known = await self._database.read(lambda tx: tx.access.has_project(project))
            if not known or role_in(who, project) is None:
                raise absent("project", project)
            projects: tuple[str, ...] | None = (project,)
        else:
            projects = None if who.organisation_role is not None else tuple(sorted(who.roles))
        return EventFilter(
            projects, chosen.object_id, chosen.kinds, chosen.reasons, chosen.actor, chosen.since
        )

    async def _beginning(self, chosen: EventFilter, wanted: Wanted) -> int:
        """The number that the first event is behind."""
        if wanted.cursor is not None:
            return wanted.cursor
        if wanted.tail is None:
            return 0
        end, size = await self._settled.end(), wanted.tail
        if size == 0:
            return end
        rows = await self._database.read(
            lambda tx: tx.events.search(chosen, after=0, upto=end, size=size, newest=True)
        )
        return (rows[0].sequence or 1) - 1 if rows else end

    async def _some(self, chosen: EventFilter, at: int, end: int) -> tuple[list[EventRow], int]:
        """The next events, and how far they were looked for."""
        upto = min(end, at + _WINDOW)
        rows = await self._database.read(
            lambda tx: tx.events.search(chosen, after=at, upto=upto, size=_PAGE)
        )
        whole = len(rows) < _PAGE
        return list(rows), upto if whole else rows[-1].sequence or upto


async def _wait(told: asyncio.Event) -> None:
    """Until something has happened, or may have at another server."""
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await told.wait()
    except TimeoutError:
        return
