"""Finds out what webhooks are to be told of: reads events in their order, and makes deliveries of them."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.access.v1 import webhook_pb2
from windlass_server.access.event_message import kind_of
from windlass_server.access.settled_events import SettledEvents
from windlass_server.access.webhook_deliveries import new_delivery
from windlass_server.access.webhook_rules import Happened, is_told, type_of
from windlass_server.clock import Clock
from windlass_server.ids import IdSource
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import WebhookRow
from windlass_server.storage.transaction import Transaction

# So much may wait for one webhook; more stays in the events until there is room.
MOST_PENDING = 1_000
_EVENTS = 500
# Numbers that are looked through at a time, so that a rare event does not make one long read.
_WINDOW = 20_000
# How far behind what was looked through the stored cursors may stay, in seconds: as long as events are judged
# by what a webhook asks for now.
_STORE_SECONDS = 5.0
_FULL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Looker:
    """A webhook, and up to which event it was looked after."""

    row: WebhookRow
    asked: webhook_pb2.Webhook
    at: int


@dataclass(frozen=True, slots=True)
class _Event:
    """An event, with its type, the labels of its job, and the webhooks that the job names for it."""

    row: Any
    type: str
    labels: dict[str, str]
    named: frozenset[str]


class WebhookMatching:
    """Makes the deliveries of all webhooks, each event once for each that asks for it.

    The cursor of a webhook, up to which that was done, moves in one transaction with the deliveries and only from
    where it was seen: of several servers one wins, and the others read again.
    """

    def __init__(
        self, database: Database, clock: Clock, ids: IdSource, settled: SettledEvents
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._settled = settled
        # What was looked through without a finding since the cursor was stored, by webhook and version.
        self._looked: dict[tuple[str, int], int] = {}
        # For which too much waits, and until when they are left alone (monotonic seconds).
        self._full: dict[str, float] = {}
        self._stored_at = clock.monotonic()

    async def cycle(self) -> bool:
        """Go on with all webhooks; whether there may be more at once."""
        rows = await self._database.read(lambda tx: tx.webhooks.enabled())
        if not rows:
            return False
        end = await self._settled.end()
        lookers = self._lookers(rows)
        self._looked = {_key(one.row): one.at for one in lookers}
        now = self._clock.monotonic()
        self._full = {one: until for one, until in self._full.items() if until > now}
        behind = sorted(
            (one for one in lookers if one.at < end and one.row.webhook_id not in self._full),
            key=lambda one: one.at,
        )
        more = False
        for at, group in itertools.groupby(behind, key=lambda one: one.at):
            more |= await self._go_on(at, list(group), end)
        await self._store_cursors(rows)
        return more

    def _lookers(self, rows: Sequence[WebhookRow]) -> list[_Looker]:
        return [
            _Looker(
                row,
                webhook_pb2.Webhook.FromString(row.spec),
                max(row.cursor, self._looked.get(_key(row), 0)),
            )
            for row in rows
        ]

    async def _go_on(self, at: int, group: Sequence[_Looker], end: int) -> bool:
        """Look through the next events for webhooks that are equally far; whether there are more."""
        upto = min(end, at + _WINDOW)
        projects = sorted({one.row.project for one in group})
        ids = [one.row.webhook_id for one in group]
        events = await self._database.read(
            lambda tx: _happened(tx, projects, ids, after=at, upto=upto)
        )
        if len(events) == _EVENTS:
            upto = events[-1].row.sequence
        lost = False
        for one in group:
            wanted = [event for event in events if _is_told(one, event)]
            if not wanted:
                self._looked[_key(one.row)] = upto
            elif not await self._has_room(one):
                self._full[one.row.webhook_id] = self._clock.monotonic() + _FULL_SECONDS
            elif await self._make(one, wanted, upto):
                self._looked[_key(one.row)] = upto
            else:
                # Whoever was first may not have come as far: from where the cursor is then.
                self._looked.pop(_key(one.row), None)
                lost = True
        return lost or upto < end

    async def _has_room(self, one: _Looker) -> bool:
        webhook_id = one.row.webhook_id
        waiting = await self._database.read(
            lambda tx: tx.webhook_deliveries.pending(webhook_id, MOST_PENDING)
        )
        return waiting < MOST_PENDING

    async def _make(self, one: _Looker, wanted: Sequence[_Event], upto: int) -> bool:
        """Make deliveries of events; False when another server was first, or it is told no more."""
        return await self._database.write(lambda tx: self._store(tx, one, wanted, upto))

    def _store(self, tx: Transaction, one: _Looker, wanted: Sequence[_Event], upto: int) -> bool:
        webhook_id, now = one.row.webhook_id, self._clock.now()
        if not tx.webhooks.advance(webhook_id, seen=one.row.cursor, looked=upto):
            return False
        tx.webhook_deliveries.add_all(
            [
                new_delivery(
                    self._ids.new("delivery"),
                    webhook_id,
                    event.row.sequence,
                    event.type,
                    event.row.object_id,
                    now,
                )
                for event in wanted
            ]
        )
        return True

    async def _store_cursors(self, rows: Sequence[WebhookRow]) -> None:
        """Now and then, so that a start does not look through everything again."""
        if self._clock.monotonic() - self._stored_at < _STORE_SECONDS:
            return
        self._stored_at = self._clock.monotonic()
        moved = [
            (row, looked) for row in rows if (looked := self._looked.get(_key(row), 0)) > row.cursor
        ]
        if moved:
            await self._database.write(lambda tx: _advance(tx, moved))


def _key(row: WebhookRow) -> tuple[str, int]:
    return row.webhook_id, row.version


def _is_told(one: _Looker, event: _Event) -> bool:
    if event.row.project != one.row.project:
        return False
    named = one.row.webhook_id in event.named
    return is_told(one.asked, Happened(event.type, event.row.reason, event.labels, named))


def _advance(tx: Transaction, moved: Sequence[tuple[WebhookRow, int]]) -> None:
    for row, looked in moved:
        tx.webhooks.advance(row.webhook_id, seen=row.cursor, looked=looked)


def _happened(
    tx: Transaction, projects: Sequence[str], webhook_ids: Sequence[str], *, after: int, upto: int
) -> list[_Event]:
    rows = tx.webhook_deliveries.happened(projects, after=after, upto=upto, size=_EVENTS)
    jobs = sorted({row.object_id for row in rows if kind_of(row.object_id) == "job"})
    labels = tx.webhook_deliveries.labels(jobs) if jobs else {}
    named: dict[tuple[str, int], set[str]] = {}
    for job_id, webhook_id, status in tx.webhooks.named(jobs, webhook_ids) if jobs else ():
        named.setdefault((job_id, status), set()).add(webhook_id)
    return [
        _Event(
            row,
            type_of(row.object_id, row.status, row.status_before, row.reason),
            labels.get(row.object_id, {}),
            _named_for(row, named),
        )
        for row in rows
    ]


def _named_for(row: Any, named: Mapping[tuple[str, int], set[str]]) -> frozenset[str]:
    """The webhooks that a job names for the status that it gets by an event."""
    gets = row.status != row.status_before
    return frozenset(named.get((row.object_id, row.status), ())) if gets else frozenset()
