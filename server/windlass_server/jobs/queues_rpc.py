"""The queues API on the wire: translate, call, translate back."""

from windlass.jobs.v1 import queue_pb2
from windlass.jobs.v1 import queues_service_pb2 as pb
from windlass_server.jobs.queue_message import queue_event_message, queue_message
from windlass_server.jobs.queues import QueuesService
from windlass_server.rpc.call import Call


class QueuesRpc:
    """Serves `windlass.jobs.v1.QueuesService`."""

    def __init__(self, queues: QueuesService) -> None:
        self._queues = queues

    async def CreateQueue(self, request: pb.CreateQueueRequest, call: Call) -> queue_pb2.Queue:
        made = await self._queues.create(call.caller, request.queue)
        return queue_message(made, call.caller)

    async def ListQueues(self, request: pb.ListQueuesRequest, call: Call) -> pb.ListQueuesResponse:
        found, token = await self._queues.list(
            call.caller, size=request.page_size, token=request.page_token
        )
        return pb.ListQueuesResponse(
            queues=[queue_message(one, call.caller) for one in found], next_page_token=token
        )

    async def GetQueue(self, request: pb.GetQueueRequest, call: Call) -> queue_pb2.Queue:
        return queue_message(await self._queues.get(call.caller, request.queue_id), call.caller)

    async def UpdateQueue(self, request: pb.UpdateQueueRequest, call: Call) -> queue_pb2.Queue:
        stored = await self._queues.update(call.caller, request.queue, request.update_mask.paths)
        return queue_message(stored, call.caller)

    async def DeleteQueue(self, request: pb.DeleteQueueRequest, call: Call) -> queue_pb2.Queue:
        gone = await self._queues.delete(
            call.caller, request.queue_id, etag=request.etag, move_to=request.move_to
        )
        return queue_message(gone, call.caller)

    async def ListQueueEvents(
        self, request: pb.ListQueueEventsRequest, call: Call
    ) -> pb.ListQueueEventsResponse:
        found, token = await self._queues.events(
            call.caller, request.queue_id, size=request.page_size, token=request.page_token
        )
        return pb.ListQueueEventsResponse(
            events=[queue_event_message(one, request.queue_id) for one in found],
            next_page_token=token,
        )
