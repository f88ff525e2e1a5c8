"""The part of the resources API that is about usage: messages to calls and back."""

from windlass.resources.v1 import resources_service_pb2, usage_pb2
from windlass_server.resources.usage import UsageService
from windlass_server.resources.usage_message import usage_message, usage_query
from windlass_server.rpc.call import Call


class UsageRpc:
    """What `windlass.resources.v1.ResourcesService` says of usage."""

    def __init__(self, usage: UsageService) -> None:
        self._usage = usage

    async def GetUsage(
        self, request: resources_service_pb2.GetUsageRequest, call: Call
    ) -> usage_pb2.Usage:
        return usage_message(await self._usage.get(call.caller, usage_query(request)))
