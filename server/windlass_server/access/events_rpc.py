"""Events in the access API: messages to calls and back."""

from collections.abc import AsyncGenerator

from windlass.access.v1 import event_pb2
from windlass_server.access.events import EventsService, Wanted
from windlass_server.rpc.call import Call
from windlass_server.storage.events import EventFilter
from windlass_server.timestamps import from_proto


class EventsRpc:
    """The methods of events."""

    def __init__(self, events: EventsService) -> None:
        self._events = events

    def StreamEvents(
        self, request: event_pb2.StreamEventsRequest, call: Call
    ) -> AsyncGenerator[event_pb2.EventMessage]:
        chosen = EventFilter(
            object_id=request.object_id,
            kinds=tuple(request.kind),
            reasons=tuple(request.reason),
            actor=request.actor,
            since=from_proto(request.since) if request.HasField("since") else None,
        )
        wanted = Wanted(
            request.project,
            chosen,
            follow=request.follow,
            tail=request.tail if request.HasField("tail") else None,
            cursor=int(request.cursor) if request.cursor else None,
        )
        return self._events.stream(call.caller, wanted)
