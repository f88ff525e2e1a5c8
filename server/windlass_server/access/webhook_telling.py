"""Tells webhooks what they are to be told: takes what is due, sends it, and notes what became of it."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.access.v1 import webhook_pb2
from windlass_server import __version__, actors
from windlass_server.access.seals import Seal
from windlass_server.access.webhook_message import body_of
from windlass_server.access.webhook_rules import is_given_up, pause_seconds, retry_seconds
from windlass_server.access.webhook_sender import ATTEMPT_SECONDS, Outcome, WebhookSender
from windlass_server.access.webhook_signing import headers
from windlass_server.access.webhooks import note, purpose
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import Unavailable, WrongState
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import EventRow, WebhookDeliveryRow, WebhookRow
from windlass_server.storage.transaction import Transaction
from windlass_server.storage.webhook_deliveries import State
from windlass_server.timestamps import to_proto

# What somebody took is taken again when there is no word of it for so long: longer than an attempt.
CLAIM_SECONDS = 4 * ATTEMPT_SECONDS
# At once: in all, for one project, for one webhook, and for one that has just failed.
AT_ONCE = 64
_OF_PROJECT = 16
_OF_WEBHOOK = 4
_OF_FAILING = 1
_GONE = 410
_ATTEMPTS_KEPT = 20
# How exactly it is kept when a webhook was last told with success.
_SUCCESS_MICROS = 60 * MICROS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt that is this server's.

    Attributes:
        delivery: as it was before the attempt.
        webhook: as it was then.
        event: what it is told of.
        until: when somebody else may take it (µs).
    """

    delivery: WebhookDeliveryRow
    webhook: WebhookRow
    event: EventRow
    until: int

    @property
    def attempt(self) -> int:
        """Which of the delivery's attempts it is, from 1."""
        return self.delivery.attempts + 1


class WebhookTelling:
    """Takes, makes and settles attempts. Of several servers each takes others.

    Args:
        attempted: called with the error of each attempt that has ended, empty for a success.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        seal: Seal,
        sender: WebhookSender,
        attempted: Callable[[str], None] = lambda _error: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._seal = seal
        self._sender = sender
        self._attempted = attempted

    async def claim(self, under_way: Sequence[Claimed]) -> list[Claimed]:
        """Take attempts that are due, so many that with those under way there are not too many."""
        now = self._clock.now()
        due = await self._database.read(lambda tx: tx.webhook_deliveries.webhooks_due(now))
        sizes = _sizes(due, under_way)
        if not sizes:
            return []
        return await self._database.write(lambda tx: _take(tx, sizes, now))

    async def attempt(self, claimed: Claimed) -> None:
        """Send once, and note what became of it."""
        webhook, began, clock = claimed.webhook, self._clock.monotonic(), self._clock.now()
        try:
            secrets = self._secrets(webhook)
        except WrongState as error:
            outcome = Outcome(error="SECRET_UNREADABLE", message=f"the secret {error}")
        else:
            body = body_of(claimed.delivery.type, claimed.event)
            signed = headers(
                claimed.delivery.delivery_id, clock // MICROS_PER_SECOND, body, secrets
            )
            url = webhook_pb2.Webhook.FromString(webhook.spec).url
            try:
                outcome = await self._sender.send(url, signed | _CONTENT, body)
            except Unavailable as error:
                # No fault of the receiver's.
                await self._put_off([claimed], error.retry_seconds)
                return
        seconds = self._clock.monotonic() - began
        log = _logged(claimed.delivery.log, outcome, clock, seconds)
        await self._database.write(lambda tx: self._settle(tx, claimed, outcome, log))
        self._attempted(outcome.error)

    async def give_back(self, broken_off: Sequence[Claimed]) -> None:
        """Let anybody make attempts again at once that were broken off; leaves alone what was settled."""
        if broken_off:
            await self._put_off(broken_off, 0.0)

    async def _put_off(self, not_made: Sequence[Claimed], seconds: float) -> None:
        """Let anybody make attempts in so many seconds of which nothing has become; they count as no tries."""

        def store(tx: Transaction) -> None:
            at = self._clock.now() + round(seconds * MICROS_PER_SECOND)
            for one in not_made:
                row = one.delivery
                tx.webhook_deliveries.put_off(
                    row.delivery_id, one.attempt, until=one.until, next_at=at, tries=row.tries
                )

        await self._database.write(store)

    def _secrets(self, webhook: WebhookRow) -> list[str]:
        """The webhook's secrets, the present one first."""
        sealed = [webhook.secret]
        if webhook.previous_secret and (webhook.previous_until or 0) > self._clock.now():
            sealed.append(webhook.previous_secret)
        return [self._seal.open(purpose(webhook.webhook_id), one) for one in sealed]

    def _settle(self, tx: Transaction, claimed: Claimed, outcome: Outcome, log: bytes) -> None:
        delivery, now = claimed.delivery, self._clock.now()
        webhook = tx.webhooks.lock(delivery.webhook_id)
        gone = outcome.http_status == _GONE
        seconds = None
        if outcome.error and not delivery.test and not gone:
            seconds = retry_seconds(delivery.tries + 1, outcome.retry_after, random.random())  # noqa: S311 - spreads load
        values: dict[str, Any] = {"log": log}
        if seconds is not None:
            values["next_at"] = now + round(seconds * MICROS_PER_SECOND)
        else:
            status = State.FAILED if outcome.error else State.SUCCEEDED
            values |= {"status": int(status), "ended_at": now}
        settled = tx.webhook_deliveries.settle(delivery.delivery_id, claimed.attempt, **values)
        if settled and webhook is not None and not (delivery.test and outcome.error):
            self._note_health(tx, webhook, outcome, now)

    def _note_health(
        self, tx: Transaction, webhook: WebhookRow, outcome: Outcome, now: int
    ) -> None:
        """Keep with the webhook how it does; give it up when it is gone or has failed for long."""
        webhook_id = webhook.webhook_id
        if not outcome.error:
            if webhook.failures or now - (webhook.succeeded_at or 0) >= _SUCCESS_MICROS:
                tx.webhooks.change(webhook_id, succeeded_at=now, **_WELL)
            return
        failures, since = webhook.failures + 1, webhook.failing_since or now
        pause = pause_seconds(failures, outcome.retry_after)
        values: dict[str, Any] = {
            "failures": failures,
            "failing_since": since,
            "paused_until": now + round(pause * MICROS_PER_SECOND),
        }
        why = ""
        if outcome.http_status == _GONE:
            why, message = "GONE", "the receiver answered 410: it wants to be told nothing more"
        elif is_given_up(failures, (now - since) / MICROS_PER_SECOND):
            why, message = "FAILING", f"{failures} attempts in a row have failed for days"
        if why and webhook.enabled:
            values |= {"enabled": False, "disabled_reason": why, "version": webhook.version + 1}
            note(
                tx,
                webhook.project,
                webhook_id,
                "WEBHOOK_DISABLED",
                message,
                actor=actors.WEBHOOKS,
                at=now,
            )
        tx.webhooks.change(webhook_id, **values)


_CONTENT = {"content-type": "application/json", "user-agent": f"windlass/{__version__}"}
_WELL: Mapping[str, Any] = {"failures": 0, "failing_since": None, "paused_until": 0}


def _sizes(due: Sequence[Any], under_way: Sequence[Claimed]) -> dict[str, int]:
    """How many attempts are taken of each webhook, those with the fewest under way first."""
    of_webhook = Counter(one.webhook.webhook_id for one in under_way)
    of_project = Counter(one.webhook.project for one in under_way)
    room, sizes = AT_ONCE - len(under_way), {}
    for one in sorted(due, key=lambda one: (of_webhook[one.webhook_id], random.random())):  # noqa: S311 - nobody is always last
        most = _OF_FAILING if one.failures else _OF_WEBHOOK
        size = min(most - of_webhook[one.webhook_id], _OF_PROJECT - of_project[one.project], room)
        if size > 0:
            sizes[one.webhook_id] = size
            of_project[one.project] += size
            room -= size
    return sizes


def _take(tx: Transaction, sizes: Mapping[str, int], now: int) -> list[Claimed]:
    until = now + round(CLAIM_SECONDS * MICROS_PER_SECOND)
    taken = []
    for webhook_id, size in sizes.items():
        webhook = tx.webhooks.get(webhook_id)
        if webhook is None:
            continue
        told = webhook.enabled and webhook.paused_until <= now
        taken += [
            (webhook, one)
            for one in tx.webhook_deliveries.claim(
                webhook_id, now=now, until=until, size=size, tests_only=not told
            )
        ]
    events = tx.webhook_deliveries.events([one.sequence for _, one in taken]) if taken else {}
    return [Claimed(one, webhook, events[one.sequence], until) for webhook, one in taken]


def _logged(log: bytes, outcome: Outcome, at: int, seconds: float) -> bytes:
    """The attempts of a delivery with another one."""
    kept = webhook_pb2.WebhookDelivery.FromString(log)
    attempt = webhook_pb2.WebhookAttempt(
        time=to_proto(at),
        http_status=outcome.http_status,
        error=outcome.error,
        message=outcome.message,
        answer=_printable(outcome.answer),
    )
    attempt.duration.FromMicroseconds(round(seconds * MICROS_PER_SECOND))
    kept.attempts.append(attempt)
    del kept.attempts[:-_ATTEMPTS_KEPT]
    return kept.SerializeToString()


def _printable(answer: bytes) -> str:
    text = answer.decode(errors="replace").replace("\ufffd", "?")
    return "".join(one if one.isprintable() or one in "\n\t" else "?" for one in text)
