"""The part of the resources API that is about usage and prices: messages to calls and back."""

import asyncio
from collections.abc import AsyncGenerator

from google.api import httpbody_pb2

from windlass.resources.v1 import price_pb2, resources_service_pb2, usage_pb2
from windlass_server.resources.price_message import price_message, wanted_price
from windlass_server.resources.prices import PricesService
from windlass_server.resources.usage import UsageService
from windlass_server.resources.usage_csv import (
    CONTENT_TYPE,
    MAX_EXPORTED_ROWS,
    csv_pieces,
    file_name,
)
from windlass_server.resources.usage_message import usage_message, usage_query
from windlass_server.rpc.call import Call


class UsageRpc:
    """What `windlass.resources.v1.ResourcesService` says of usage and prices."""

    def __init__(self, usage: UsageService, prices: PricesService) -> None:
        self._usage = usage
        self._prices = prices

    async def GetUsage(
        self, request: resources_service_pb2.GetUsageRequest, call: Call
    ) -> usage_pb2.Usage:
        ledger = await self._usage.get(call.caller, usage_query(request))
        # Ten thousand rows take half a second, which is everybody else's.
        return await asyncio.to_thread(usage_message, ledger)

    async def ExportUsage(
        self, request: resources_service_pb2.ExportUsageRequest, call: Call
    ) -> AsyncGenerator[httpbody_pb2.HttpBody]:
        query = usage_query(request)
        ledger = await self._usage.get(call.caller, query, max_rows=MAX_EXPORTED_ROWS)
        call.response_metadata["content-disposition"] = (
            f'attachment; filename="{file_name(ledger)}"'
        )
        rows = await asyncio.to_thread(ledger.rows)
        for piece in csv_pieces(ledger, rows):
            yield httpbody_pb2.HttpBody(content_type=CONTENT_TYPE, data=piece)
            await asyncio.sleep(0)

    async def ListPrices(
        self, request: resources_service_pb2.ListPricesRequest, call: Call
    ) -> resources_service_pb2.ListPricesResponse:
        rows, token = await self._prices.list(
            call.caller,
            resource=request.resource,
            gpu_type=request.gpu_type,
            size=request.page_size,
            token=request.page_token,
        )
        return resources_service_pb2.ListPricesResponse(
            prices=map(price_message, rows), next_page_token=token
        )

    async def SetPrice(
        self, request: resources_service_pb2.SetPriceRequest, call: Call
    ) -> price_pb2.Price:
        return price_message(await self._prices.set(call.caller, wanted_price(request.price)))

    async def DeletePrice(
        self, request: resources_service_pb2.DeletePriceRequest, call: Call
    ) -> price_pb2.Price:
        return price_message(await self._prices.delete(call.caller, request.price_id))
