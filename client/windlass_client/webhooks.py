"""Who is told of events, over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from windlass.access.v1 import access_service_pb2_grpc, webhook_pb2
from windlass_client.calls import (
    AsyncGroup,
    Call,
    Group,
    Pages,
    SyncGroup,
    listing,
    operation,
    unary,
)
from windlass_client.quantities import parse_duration

Webhook = webhook_pb2.Webhook
WebhookDelivery = webhook_pb2.WebhookDelivery
WebhookWithSecret = webhook_pb2.WebhookWithSecret

_Stub = access_service_pb2_grpc.AccessServiceStub
LIST = unary(_Stub, lambda stub: stub.ListWebhooks, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetWebhook, idempotent=True)
DELIVERIES = unary(_Stub, lambda stub: stub.ListWebhookDeliveries, idempotent=True)
DELIVERY = unary(_Stub, lambda stub: stub.GetWebhookDelivery, idempotent=True)
# Sent once: a repeat would make another one, lose a secret, or be told that it was changed or is gone.
CREATE = unary(_Stub, lambda stub: stub.CreateWebhook, idempotent=False)
ROTATE = unary(_Stub, lambda stub: stub.RotateWebhookSecret, idempotent=False)
UPDATE = unary(_Stub, lambda stub: stub.UpdateWebhook, idempotent=False)
DELETE = unary(_Stub, lambda stub: stub.DeleteWebhook, idempotent=False)
TEST = unary(_Stub, lambda stub: stub.TestWebhook, idempotent=False)
REDELIVER = unary(_Stub, lambda stub: stub.RedeliverWebhook, idempotent=False)


class WebhookCalls(Group):
    """Requests about webhooks."""

    @listing
    def list(
        self, *, project: str = "", page_size: int = 0
    ) -> Pages[webhook_pb2.ListWebhooksRequest, webhook_pb2.ListWebhooksResponse, Webhook]:
        """Iterate over the webhooks, oldest first.

        Args:
            project: only of this project; of all whose webhooks you may see by default.
            page_size: how many are fetched at once.
        """
        request = webhook_pb2.ListWebhooksRequest(project=project, page_size=page_size)
        return Pages(LIST, request, lambda page: page.webhooks)

    @operation
    def get(self, webhook_id: str) -> Call[webhook_pb2.GetWebhookRequest, Webhook]:
        """Read a webhook. Raises NotFound."""
        return Call(GET, webhook_pb2.GetWebhookRequest(webhook_id=webhook_id))

    @operation
    def create(
        self,
        url: str,
        *,
        project: str | None = None,
        types: Sequence[str] = (),
        reasons: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        notifications_only: bool = False,
        description: str = "",
        enabled: bool = True,
    ) -> Call[webhook_pb2.CreateWebhookRequest, WebhookWithSecret]:
        """Make a webhook; its secret is in the answer and nowhere else.

        Args:
            url: where it is told, `https://…`.
            project: of whose objects.
            types: of which events, such as `job.failed` or `job.*`; of all by default.
            reasons: for which reasons; for any by default.
            labels: of jobs with these alone.
            notifications_only: only what jobs name it for.
            description: for people.
            enabled: whether it is told already.

        Raises:
            InvalidArgument: its URL leads where the server does not send.
            NotFound: there is no such project.
        """
        webhook = Webhook(
            project=self.project if project is None else project,
            url=url,
            types=types,
            reasons=reasons,
            labels=labels,
            notifications_only=notifications_only,
            description=description,
            enabled=enabled,
        )
        return Call(CREATE, webhook_pb2.CreateWebhookRequest(webhook=webhook))

    @operation
    def update(
        self, webhook: Webhook, fields: Sequence[str]
    ) -> Call[webhook_pb2.UpdateWebhookRequest, Webhook]:
        """Change a webhook.

        Args:
            webhook: its id, what shall be different, and its etag if nobody else may have been first.
            fields: of `url`, `description`, `enabled`, `types`, `reasons`, `labels` and `notifications_only` those
                to change.

        Raises:
            NotFound: there is none of that id.
            InvalidArgument: it makes no sense.
            Aborted: it is not as the etag says.
        """
        request = webhook_pb2.UpdateWebhookRequest(webhook=webhook)
        request.update_mask.paths.extend(fields)
        return Call(UPDATE, request)

    @operation
    def delete(
        self, webhook_id: str, *, etag: str = ""
    ) -> Call[webhook_pb2.DeleteWebhookRequest, Webhook]:
        """Remove a webhook; answers it as it was. Raises NotFound, and Aborted by the etag."""
        request = webhook_pb2.DeleteWebhookRequest(webhook_id=webhook_id, etag=etag)
        return Call(DELETE, request)

    @operation
    def rotate_secret(
        self, webhook_id: str, *, overlap: timedelta | float | str | None = None
    ) -> Call[webhook_pb2.RotateWebhookSecretRequest, WebhookWithSecret]:
        """Give a webhook another secret; it is in the answer and nowhere else.

        Args:
            webhook_id: the webhook.
            overlap: how long messages are signed with the present one, too; a day by default.

        Raises:
            NotFound: there is none of that id.
        """
        request = webhook_pb2.RotateWebhookSecretRequest(webhook_id=webhook_id)
        if overlap is not None:
            request.overlap.FromTimedelta(parse_duration(overlap))
        return Call(ROTATE, request)

    @operation
    def test(self, webhook_id: str) -> Call[webhook_pb2.TestWebhookRequest, WebhookDelivery]:
        """Have a message sent for a try; `delivery` says what became of it. Raises NotFound."""
        return Call(TEST, webhook_pb2.TestWebhookRequest(webhook_id=webhook_id))

    @listing
    def deliveries(
        self,
        webhook_id: str,
        *,
        status: webhook_pb2.WebhookDelivery.Status | None = None,
        page_size: int = 0,
    ) -> Pages[
        webhook_pb2.ListWebhookDeliveriesRequest,
        webhook_pb2.ListWebhookDeliveriesResponse,
        WebhookDelivery,
    ]:
        """Iterate over what a webhook was told of, newest first. Raises NotFound.

        Args:
            webhook_id: the webhook.
            status: only those that are so far.
            page_size: how many are fetched at once.
        """
        request = webhook_pb2.ListWebhookDeliveriesRequest(
            webhook_id=webhook_id, status=status, page_size=page_size
        )
        return Pages(DELIVERIES, request, lambda page: page.deliveries)

    @operation
    def delivery(
        self, webhook_id: str, delivery_id: str
    ) -> Call[webhook_pb2.GetWebhookDeliveryRequest, WebhookDelivery]:
        """Read a delivery. Raises NotFound."""
        request = webhook_pb2.GetWebhookDeliveryRequest(
            webhook_id=webhook_id, delivery_id=delivery_id
        )
        return Call(DELIVERY, request)

    @operation
    def redeliver(
        self, webhook_id: str, delivery_id: str
    ) -> Call[webhook_pb2.RedeliverWebhookRequest, WebhookDelivery]:
        """Have a webhook told once more, now. Raises NotFound, and FailedPrecondition while it is disabled."""
        request = webhook_pb2.RedeliverWebhookRequest(
            webhook_id=webhook_id, delivery_id=delivery_id
        )
        return Call(REDELIVER, request)


class Webhooks(WebhookCalls, SyncGroup):
    """Webhooks, blocking."""


class AsyncWebhooks(WebhookCalls, AsyncGroup):
    """Webhooks for asyncio."""
