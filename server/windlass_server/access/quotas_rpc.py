"""Quotas in the access API: messages to calls and back."""

from windlass.access.v1 import access_service_pb2, quota_pb2
from windlass_server.access.quota_message import quota_event_message, quota_message
from windlass_server.access.quotas import QuotaFilter, QuotasService
from windlass_server.rpc.call import Call


class QuotasRpc:
    """The methods of quotas."""

    def __init__(self, quotas: QuotasService) -> None:
        self._quotas = quotas

    async def ListQuotas(
        self, request: access_service_pb2.ListQuotasRequest, call: Call
    ) -> access_service_pb2.ListQuotasResponse:
        wanted = QuotaFilter(request.project, request.user, request.gpu_type)
        found, token = await self._quotas.list(
            call.caller, wanted, size=request.page_size, token=request.page_token
        )
        return access_service_pb2.ListQuotasResponse(
            quotas=map(quota_message, found), next_page_token=token
        )

    async def GetQuota(
        self, request: access_service_pb2.GetQuotaRequest, call: Call
    ) -> quota_pb2.Quota:
        return quota_message(await self._quotas.get(call.caller, request.quota_id))

    async def CreateQuota(
        self, request: access_service_pb2.CreateQuotaRequest, call: Call
    ) -> quota_pb2.Quota:
        return quota_message(await self._quotas.create(call.caller, request.quota))

    async def UpdateQuota(
        self, request: access_service_pb2.UpdateQuotaRequest, call: Call
    ) -> quota_pb2.Quota:
        mask = request.update_mask.paths
        return quota_message(await self._quotas.update(call.caller, request.quota, mask))

    async def DeleteQuota(
        self, request: access_service_pb2.DeleteQuotaRequest, call: Call
    ) -> quota_pb2.Quota:
        return quota_message(await self._quotas.delete(call.caller, request.quota_id, request.etag))

    async def ListQuotaEvents(
        self, request: access_service_pb2.ListQuotaEventsRequest, call: Call
    ) -> access_service_pb2.ListQuotaEventsResponse:
        found, token = await self._quotas.events(
            call.caller, request.quota_id, size=request.page_size, token=request.page_token
        )
        return access_service_pb2.ListQuotaEventsResponse(
            events=map(quota_event_message, found), next_page_token=token
        )
