"""Webhooks and their deliveries as the API shows them, and the message that a receiver gets."""

import json

from google.protobuf.json_format import MessageToDict

from windlass.access.v1 import webhook_pb2
from windlass_server.access.event_message import event_message
from windlass_server.storage.tables import EventRow, WebhookDeliveryRow, WebhookRow
from windlass_server.storage.webhook_deliveries import State
from windlass_server.timestamps import to_proto


def webhook_message(row: WebhookRow, now: int) -> webhook_pb2.Webhook:
    """A webhook, without its secrets."""
    message = spec_of(row)
    message.webhook_id = row.webhook_id
    message.disabled_reason = row.disabled_reason
    message.consecutive_failures = row.failures
    message.user = row.user
    message.etag = str(row.version)
    until = row.previous_until if row.previous_until and row.previous_until > now else None
    for name, at in (
        ("failing_since", row.failing_since),
        ("last_success_time", row.succeeded_at),
        ("previous_secret_expire_time", until),
        ("create_time", row.created_at),
        ("update_time", row.updated_at),
    ):
        if at is not None:
            getattr(message, name).CopyFrom(to_proto(at))
    return message


def spec_of(row: WebhookRow) -> webhook_pb2.Webhook:
    """What callers said."""
    spec = webhook_pb2.Webhook.FromString(row.spec)
    spec.project = row.project
    spec.enabled = row.enabled
    return spec


def delivery_message(row: WebhookDeliveryRow) -> webhook_pb2.WebhookDelivery:
    """What a webhook is told of once."""
    message = webhook_pb2.WebhookDelivery.FromString(row.log)
    message.delivery_id = row.delivery_id
    message.webhook_id = row.webhook_id
    message.event_sequence = row.sequence
    message.type = row.type
    message.object_id = row.object_id
    message.status = row.status  # type: ignore[assignment]
    message.attempt_count = row.attempts
    message.create_time.CopyFrom(to_proto(row.created_at))
    if row.status == State.PENDING:
        message.next_attempt_time.CopyFrom(to_proto(row.next_at))
    if row.ended_at is not None:
        message.end_time.CopyFrom(to_proto(row.ended_at))
    return message


def body_of(type_: str, event: EventRow) -> bytes:
    """What a receiver is sent: the same for each attempt."""
    data = MessageToDict(
        event_message(event),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    body = {"type": type_, "timestamp": data["time"], "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
