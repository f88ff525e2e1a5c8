"""Webhooks in the access API: messages to calls and back."""

from windlass.access.v1 import webhook_pb2 as pb
from windlass_server.access.webhook_deliveries import WebhookDeliveriesService
from windlass_server.access.webhook_message import delivery_message, webhook_message
from windlass_server.access.webhooks import NewSecret, WebhooksService
from windlass_server.clock import Clock
from windlass_server.rpc.call import Call
from windlass_server.timestamps import duration_from_proto


class WebhooksRpc:
    """The methods of webhooks."""

    def __init__(
        self, webhooks: WebhooksService, deliveries: WebhookDeliveriesService, clock: Clock
    ) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._clock = clock

    async def ListWebhooks(
        self, request: pb.ListWebhooksRequest, call: Call
    ) -> pb.ListWebhooksResponse:
        found, token = await self._webhooks.list(
            call.caller, request.project, size=request.page_size, token=request.page_token
        )
        now = self._clock.now()
        return pb.ListWebhooksResponse(
            webhooks=[webhook_message(one, now) for one in found], next_page_token=token
        )

    async def GetWebhook(self, request: pb.GetWebhookRequest, call: Call) -> pb.Webhook:
        found = await self._webhooks.get(call.caller, request.webhook_id)
        return webhook_message(found, self._clock.now())

    async def CreateWebhook(
        self, request: pb.CreateWebhookRequest, call: Call
    ) -> pb.WebhookWithSecret:
        return self._with_secret(await self._webhooks.create(call.caller, request.webhook))

    async def UpdateWebhook(self, request: pb.UpdateWebhookRequest, call: Call) -> pb.Webhook:
        mask = request.update_mask.paths
        now = await self._webhooks.update(call.caller, request.webhook, mask)
        return webhook_message(now, self._clock.now())

    async def DeleteWebhook(self, request: pb.DeleteWebhookRequest, call: Call) -> pb.Webhook:
        old = await self._webhooks.delete(call.caller, request.webhook_id, request.etag)
        return webhook_message(old, self._clock.now())

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, call: Call
    ) -> pb.WebhookWithSecret:
        overlap = duration_from_proto(request.overlap) if request.HasField("overlap") else None
        return self._with_secret(
            await self._webhooks.rotate(call.caller, request.webhook_id, overlap)
        )

    async def TestWebhook(self, request: pb.TestWebhookRequest, call: Call) -> pb.WebhookDelivery:
        return delivery_message(await self._deliveries.test(call.caller, request.webhook_id))

    async def ListWebhookDeliveries(
        self, request: pb.ListWebhookDeliveriesRequest, call: Call
    ) -> pb.ListWebhookDeliveriesResponse:
        found, token = await self._deliveries.list(
            call.caller,
            request.webhook_id,
            status=request.status,
            size=request.page_size,
            token=request.page_token,
        )
        return pb.ListWebhookDeliveriesResponse(
            deliveries=map(delivery_message, found), next_page_token=token
        )

    async def GetWebhookDelivery(
        self, request: pb.GetWebhookDeliveryRequest, call: Call
    ) -> pb.WebhookDelivery:
        found = await self._deliveries.get(call.caller, request.webhook_id, request.delivery_id)
        return delivery_message(found)

    async def RedeliverWebhook(
        self, request: pb.RedeliverWebhookRequest, call: Call
    ) -> pb.WebhookDelivery:
        again = await self._deliveries.redeliver(
            call.caller, request.webhook_id, request.delivery_id
        )
        return delivery_message(again)

    def _with_secret(self, new: NewSecret) -> pb.WebhookWithSecret:
        message = webhook_message(new.row, self._clock.now())
        return pb.WebhookWithSecret(webhook=message, secret=new.secret)
