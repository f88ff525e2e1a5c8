"""`windlass webhooks …`."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import cell, moment, say, table
from windlass_client.cli.session import EXIT_FAILED, Session, command, group
from windlass_client.cli.submit import pairs
from windlass_client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from windlass.access.v1 import webhook_pb2

_STATUSES = ("pending", "succeeded", "failed")
_LOOK_SECONDS = 0.2
_LONGEST_SECONDS = 30.0


def list_webhooks(session: Session) -> None:
    """List the webhooks that you may see; with --project those of one project."""
    from windlass.access.v1 import webhook_pb2

    found = list(session.client.webhooks.list(project=session.shared.project or "", page_size=1000))
    page = webhook_pb2.ListWebhooksResponse(webhooks=found)
    session.answer(page, lambda: webhooks_table(found), nothing="" if found else "no webhooks")


app = group(
    "webhooks",
    list_webhooks,
    help="Who is told of events, over HTTP.",
    examples=[
        "windlass webhooks",
        "windlass webhooks create https://example.com/windlass --type job.failed",
        "windlass webhooks test webhook-01k0…",
    ],
)
command(app, "list", examples=["windlass webhooks list", "windlass webhooks list -o json"])(
    list_webhooks
)

WebhookArgument = Annotated[str, typer.Argument(metavar="WEBHOOK", show_default=False)]
TypeOption = Annotated[
    list[str] | None,
    typer.Option("--type", help="Such as job.failed, or job.*; repeatable; default all."),
]
ReasonOption = Annotated[
    list[str] | None, typer.Option("--reason", help="Only for this reason; repeatable.")
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", metavar="KEY=VALUE", help="Only of jobs with it; repeatable."),
]
NotificationsOption = Annotated[
    bool, typer.Option("--notifications-only", help="Only what jobs name it for.")
]
DescriptionOption = Annotated[str, typer.Option(help="For people.")]


@command(
    app,
    "create",
    examples=[
        "windlass webhooks create https://example.com/windlass",
        "windlass webhooks create https://example.com/windlass --type job.failed -l team=vision",
        "windlass webhooks create https://example.com/windlass --notifications-only",
    ],
)
def create(
    session: Session,
    url: Annotated[str, typer.Argument(metavar="URL", show_default=False)],
    types: TypeOption = None,
    reason: ReasonOption = None,
    label: LabelOption = None,
    notifications_only: NotificationsOption = False,
    description: DescriptionOption = "",
) -> None:
    """Have events of the project sent to a URL; print the secret, which is shown only now."""
    made = session.client.webhooks.create(
        url,
        types=types or (),
        reasons=[word.upper() for word in reason or ()],
        labels=pairs(label or [], "--label"),
        notifications_only=notifications_only,
        description=description,
    )
    _show_secret(session, made)


@command(app, "get", examples=["windlass webhooks get webhook-01k0…"])
def get(session: Session, webhook: WebhookArgument) -> None:
    """Show a webhook."""
    found = session.client.webhooks.get(webhook)
    session.answer(found, lambda: webhook_table(found))


@command(
    app,
    "update",
    examples=[
        "windlass webhooks update webhook-01k0… --enable",
        "windlass webhooks update webhook-01k0… --type job.failed --type job.timed_out",
    ],
)
def update(
    session: Session,
    webhook: WebhookArgument,
    url: Annotated[str | None, typer.Option(help="Another URL.", show_default=False)] = None,
    types: TypeOption = None,
    reason: ReasonOption = None,
    label: LabelOption = None,
    enable: Annotated[
        bool | None,
        typer.Option("--enable/--disable", help="Whether it is told; what is missed stays missed."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
) -> None:
    """Change a webhook; an option that is not given leaves what it says as it is."""
    from windlass_client.webhooks import Webhook

    given = {
        "url": url,
        "types": types,
        "reasons": [word.upper() for word in reason] if reason else None,
        "labels": pairs(label, "--label") if label else None,
        "enabled": enable,
        "description": description,
    }
    values = {name: value for name, value in given.items() if value is not None}
    if not values:
        raise InvalidArgument("say what shall be different", reason="NOTHING_TO_CHANGE")
    wanted = Webhook(webhook_id=webhook, **values)  # type: ignore[arg-type]
    now = session.client.webhooks.update(wanted, list(values))
    session.answer(now, lambda: webhook_table(now))


@command(app, "delete", examples=["windlass webhooks delete webhook-01k0…"])
def delete(session: Session, webhook: WebhookArgument) -> None:
    """Remove a webhook: it is told of nothing more."""
    gone = session.client.webhooks.delete(webhook)
    session.answer(gone, lambda: f"{gone.webhook_id} deleted")


@command(
    app,
    "rotate-secret",
    examples=["windlass webhooks rotate-secret webhook-01k0… --overlap 7d"],
)
def rotate_secret(
    session: Session,
    webhook: WebhookArgument,
    overlap: Annotated[
        str | None, typer.Option(help="How long the present one signs, too; default a day.")
    ] = None,
) -> None:
    """Give a webhook another secret, and print it; it is shown only now."""
    _show_secret(session, session.client.webhooks.rotate_secret(webhook, overlap=overlap))


@command(
    app,
    "test",
    examples=["windlass webhooks test webhook-01k0…"],
)
def test(session: Session, webhook: WebhookArgument) -> None:
    """Send a message for a try, and wait for what becomes of it."""
    _wait_for(session, session.client.webhooks.test(webhook))


@command(
    app,
    "deliveries",
    examples=[
        "windlass webhooks deliveries webhook-01k0…",
        "windlass webhooks deliveries webhook-01k0… --status failed -o json",
    ],
)
def deliveries(
    session: Session,
    webhook: WebhookArgument,
    status: Annotated[
        str,
        typer.Option(
            help="pending, succeeded or failed; default all.",
            autocompletion=lambda: list(_STATUSES),
        ),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
) -> None:
    """List what a webhook was told of, and is to be told, newest first."""
    import itertools

    from windlass.access.v1 import webhook_pb2

    some = session.client.webhooks.deliveries(webhook, status=_status(status), page_size=limit)
    found = list(itertools.islice(some, limit))
    page = webhook_pb2.ListWebhookDeliveriesResponse(deliveries=found)
    session.answer(page, lambda: deliveries_table(found), nothing="" if found else "no deliveries")


@command(
    app,
    "redeliver",
    examples=[
        "windlass webhooks redeliver webhook-01k0… delivery-01k0…",
        "windlass webhooks redeliver webhook-01k0… --failed",
    ],
)
def redeliver(
    session: Session,
    webhook: WebhookArgument,
    delivery: Annotated[str, typer.Argument(metavar="[DELIVERY]", show_default=False)] = "",
    failed: Annotated[bool, typer.Option("--failed", help="All that have failed.")] = False,
) -> None:
    """Tell a webhook of an event again, with the same id."""
    from windlass.access.v1 import webhook_pb2

    if bool(delivery) == failed:
        raise InvalidArgument("name a delivery, or say --failed", reason="BAD_DELIVERY")
    if not failed:
        _wait_for(session, session.client.webhooks.redeliver(webhook, delivery))
        return
    # All are found first: they change while they are sent.
    old = list(
        session.client.webhooks.deliveries(webhook, status=_status("failed"), page_size=1000)
    )
    session.each(
        (session.client.webhooks.redeliver(webhook, one.delivery_id) for one in old),
        lambda one: one.delivery_id,
        lambda all_: webhook_pb2.ListWebhookDeliveriesResponse(deliveries=all_),
    )


def _status(name: str) -> "webhook_pb2.WebhookDelivery.Status | None":
    from windlass_client.webhooks import WebhookDelivery

    if not name:
        return None
    if name.lower() not in _STATUSES:
        known = ", ".join(_STATUSES)
        raise InvalidArgument(f"{name!r} is no status; there are {known}", reason="BAD_STATUS")
    return WebhookDelivery.Status.Value(name.upper())  # type: ignore[return-value]


def _show_secret(session: Session, made: "webhook_pb2.WebhookWithSecret") -> None:
    session.answer(made, lambda: made.secret)
    say(f"{made.webhook.webhook_id}; the secret is not shown again")


def _wait_for(session: Session, delivery: "webhook_pb2.WebhookDelivery") -> None:
    """Wait for the next attempt of a delivery, show what became of it, and exit by that."""
    from windlass_client.webhooks import WebhookDelivery

    ends = time.monotonic() + _LONGEST_SECONDS
    before = len(delivery.attempts)
    while (
        len(delivery.attempts) <= before
        and delivery.status == WebhookDelivery.PENDING
        and time.monotonic() < ends
    ):
        time.sleep(_LOOK_SECONDS)
        delivery = session.client.webhooks.delivery(delivery.webhook_id, delivery.delivery_id)
    session.answer(delivery, lambda: deliveries_table([delivery]))
    if delivery.status != WebhookDelivery.SUCCEEDED:
        raise typer.Exit(EXIT_FAILED)


def webhooks_table(found: "Sequence[webhook_pb2.Webhook]") -> "Table":
    """A line for each."""
    made = table("WEBHOOK", "PROJECT", "URL", "TOLD OF", "STATE", "LAST SUCCESS")
    for one in found:
        made.add_row(
            *map(cell, (one.webhook_id, one.project, one.url, _told_of(one))),
            cell(_state(one), "" if one.enabled and not one.consecutive_failures else "red"),
            cell(moment(one.last_success_time) if one.HasField("last_success_time") else "-"),
        )
    return made


def webhook_table(one: "webhook_pb2.Webhook") -> "Table":
    """Everything about a webhook."""
    made = table("", "")
    made.show_header = False
    previous = one.HasField("previous_secret_expire_time")
    for heading, value in (
        ("webhook", one.webhook_id),
        ("project", one.project),
        ("url", one.url),
        ("description", one.description),
        ("told of", _told_of(one)),
        ("state", _state(one)),
        ("failing since", moment(one.failing_since) if one.HasField("failing_since") else ""),
        (
            "last success",
            moment(one.last_success_time) if one.HasField("last_success_time") else "",
        ),
        (
            "secret before until",
            moment(one.previous_secret_expire_time) if previous else "",
        ),
        ("made by", one.user),
        ("changed", moment(one.update_time)),
    ):
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    return made


def deliveries_table(found: "Sequence[webhook_pb2.WebhookDelivery]") -> "Table":
    """A line for each."""
    from windlass_client.webhooks import WebhookDelivery

    made = table("DELIVERY", "TYPE", "OBJECT", "STATUS", "TRIES", "TIME", "LAST ANSWER")
    for one in found:
        failed = one.status == WebhookDelivery.FAILED
        made.add_row(
            *map(cell, (one.delivery_id, one.type, one.object_id)),
            cell(WebhookDelivery.Status.Name(one.status), "red" if failed else ""),
            *map(cell, (str(one.attempt_count), moment(one.create_time), _answer(one))),
        )
    return made


def _answer(one: "webhook_pb2.WebhookDelivery") -> str:
    if not one.attempts:
        return "-"
    last = one.attempts[-1]
    seconds = last.duration.ToTimedelta().total_seconds()
    status = str(last.http_status) if last.http_status else last.error
    return f"{status} in {seconds:.2f}s" + (f": {last.message}" if last.message else "")


def _told_of(one: "webhook_pb2.Webhook") -> str:
    if one.notifications_only:
        return "what jobs name it for"
    parts = [*one.types, *one.reasons, *(f"{key}={one.labels[key]}" for key in sorted(one.labels))]
    return ", ".join(parts) or "everything"


def _state(one: "webhook_pb2.Webhook") -> str:
    if not one.enabled:
        return f"disabled: {one.disabled_reason}" if one.disabled_reason else "disabled"
    failures = one.consecutive_failures
    return f"failing ({failures})" if failures else "enabled"
