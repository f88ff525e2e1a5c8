"""Webhooks are told of what they ask for, by their owners' leave, signed, and again when that fails."""

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_projects, job_columns
from tests.support.webhook_receiver import OK, Received, Receiver, answer, receiving
from windlass.access.v1.webhook_pb2 import Webhook, WebhookDelivery
from windlass_server.access import (
    webhook_addresses,
    webhook_matching,
    webhook_sender,
    webhook_telling,
)
from windlass_server.access.policy import Caller, Role
from windlass_server.access.seals import Seal
from windlass_server.access.settled_events import SettledEvents
from windlass_server.access.webhook_addresses import WebhookAddresses, look_up
from windlass_server.access.webhook_deliveries import WebhookDeliveriesService
from windlass_server.access.webhook_matching import WebhookMatching
from windlass_server.access.webhook_message import delivery_message, webhook_message
from windlass_server.access.webhook_sender import WebhookSender
from windlass_server.access.webhook_telling import WebhookTelling
from windlass_server.access.webhooks import MAX_WEBHOOKS, NewSecret, WebhooksService
from windlass_server.clock import SystemClock
from windlass_server.controllers.webhooks import DeliveryRemoval, WebhookDuties
from windlass_server.errors import (
    Conflict,
    Denied,
    InvalidInput,
    NotFound,
    Unavailable,
    WrongState,
)
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")

ANN = Caller("ann", default_project="vision", roles={"vision": Role.ADMIN})
DEV = Caller("dev", default_project="vision", roles={"vision": Role.DEVELOPER})
BOB = Caller("bob", default_project="speech", roles={"speech": Role.ADMIN})
ROOT = Caller("root", organisation_role=Role.ADMIN)
RUNNING, SUCCEEDED, FAILED = 3, 5, 6
LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class World:
    """One server's part in webhooks; another one's can be made on the same database."""

    database: Database
    clock: FakeClock
    receiver: Receiver

    def __post_init__(self) -> None:
        ids, seal, tokens = IdSource(self.clock), Seal(b"k" * 32), PageTokens(b"t" * 32)
        addresses = WebhookAddresses(LOOPBACK)
        self.service = WebhooksService(self.database, self.clock, ids, tokens, seal, addresses)
        self.deliveries = WebhookDeliveriesService(
            self.database, self.clock, ids, tokens, lambda: None
        )
        self.sender = WebhookSender(addresses, self.clock)
        self.telling = WebhookTelling(self.database, self.clock, seal, self.sender)
        matching = WebhookMatching(
            self.database, self.clock, ids, SettledEvents(self.database, self.clock)
        )
        self.matching = matching
        self.duties = WebhookDuties(matching, self.telling, lambda: None)

    async def hook(self, path: str = "/hook", **said: Any) -> NewSecret:
        url = said.pop("url", None) or self.receiver.url(path)
        return await self.service.create(ANN, Webhook(url=url, **said))

    async def happens(self, *events: dict[str, Any]) -> list[int]:
        """Record events of jobs of project vision, or of what else is said."""
        return await self.database.write(lambda tx: [_record(tx, **one) for one in events])

    async def tell(self) -> None:
        """One round of both duties, until its attempts have ended."""
        while await self.duties.match() == 0.0:
            pass
        while claimed := await self.telling.claim([]):
            await asyncio.gather(*(self.telling.attempt(one) for one in claimed))

    async def deliveries_of(self, hook: NewSecret, status: int = 0) -> list[WebhookDelivery]:
        rows, _ = await self.deliveries.list(
            ANN, hook.row.webhook_id, status=status, size=0, token=""
        )
        return [delivery_message(one) for one in rows]

    async def shown(self, hook: NewSecret) -> Webhook:
        row = await self.service.get(ANN, hook.row.webhook_id)
        return webhook_message(row, self.clock.now())

    def bodies(self, path: str = "/hook") -> list[dict[str, Any]]:
        return [json.loads(one.body) for one in self.receiver.received if one.target == path]

    def types(self, path: str = "/hook") -> list[str]:
        return sorted(one["type"] for one in self.bodies(path))


def _record(tx: Transaction, **said: Any) -> int:
    values = {
        "project": "vision",
        "object_id": "job-a",
        "at": 1_700_000_000_000_000,
        "actor": "ann",
        "status": 1,
        "reason": "SUBMITTED",
        "message": "",
        "run_id": "",
    }
    return tx.events.record(**(values | said))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture
async def world(database: Database, receiver: Receiver) -> AsyncIterator[World]:
    await database.write(lambda tx: add_projects(tx, "vision", "speech"))
    # Receivers refuse messages of another time.
    world = World(database, FakeClock(SystemClock().now()), receiver)
    yield world
    await world.duties.close()
    await world.sender.close()


def end(job: str = "job-a", status: int = FAILED, **more: Any) -> list[dict[str, Any]]:
    return [
        {"object_id": job, "status": RUNNING, "reason": "STARTED"} | more,
        {"object_id": job, "status": status, "reason": "COMPLETED"} | more,
    ]


async def test_an_event_is_told_once_with_a_signature_that_the_standards_own_library_accepts(
    world: World,
):
    hook = await world.hook()
    sequences = await world.happens({"message": "naïve \u2603", "run_id": "run-1"})
    await world.tell()
    await world.tell()

    (request,) = world.receiver.received
    verified = Verifier(hook.secret).verify(request.body, request.headers)
    assert request.headers["content-type"] == "application/json"
    assert verified["type"] == "job.queued"
    assert verified["timestamp"] == "2023-11-14T22:13:20Z"
    assert verified["data"] == {
        "sequence": str(sequences[0]),
        "kind": "job",
        "object_id": "job-a",
        "project": "vision",
        "time": "2023-11-14T22:13:20Z",
        "actor": "ann",
        "status": "QUEUED",
        "reason": "SUBMITTED",
        "message": "naïve \u2603",
        "run_id": "run-1",
    }
    (delivery,) = await world.deliveries_of(hook)
    assert delivery.status == WebhookDelivery.SUCCEEDED
    assert request.headers["webhook-id"] == delivery.delivery_id
    assert (delivery.attempts[0].http_status, delivery.attempts[0].answer) == (200, "ok")
    with pytest.raises(WebhookVerificationError):
        Verifier(hook.secret).verify(request.body + b" ", request.headers)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param({}, ["job.completed", "job.failed", "job.running", "quota.updated"], id="all"),
        pytest.param({"types": ["job.failed"]}, ["job.failed"], id="type"),
        pytest.param(
            {"types": ["quota.*", "job.running"]}, ["job.running", "quota.updated"], id="kind"
        ),
        pytest.param({"reasons": ["QUOTA_UPDATED"]}, ["quota.updated"], id="reason"),
        pytest.param(
            {"labels": {"team": "a"}}, ["job.completed", "job.failed", "job.running"], id="label"
        ),
        pytest.param({"labels": {"team": "b"}}, [], id="other label"),
        pytest.param({"labels": {"team": "a", "x": "y"}}, [], id="one label of two"),
        pytest.param({"notifications_only": True}, [], id="notifications only"),
        pytest.param({"enabled": False}, [], id="disabled"),
    ],
)
async def test_a_webhook_is_told_what_it_asks_for(world: World, said: Any, told: list[str]):
    job = job_columns(project="vision")
    await world.database.write(lambda tx: tx.jobs.add(job, {"team": "a"}))
    await world.hook(**said)
    await world.happens(
        *end(job["job_id"]),
        # What happens to a job that keeps its status.
        {"object_id": job["job_id"], "status": FAILED, "reason": "COMPLETED"},
        {"object_id": "quota-1", "status": 0, "reason": "QUOTA_UPDATED"},
        {"object_id": "job-foreign", "project": "speech", "status": FAILED},
        {"object_id": "node-1", "project": "", "status": 0, "reason": "NODE_LOST"},
    )
    await world.tell()
    assert world.types() == told


async def test_a_job_has_its_webhooks_told_of_its_moments_and_of_no_other_job(world: World):
    hook = await world.hook(notifications_only=True)
    both = await world.hook("/both", types=["job.failed"])
    job, other = job_columns(project="vision"), job_columns(project="vision")

    def store(tx: Transaction) -> None:
        for one in (job, other):
            tx.jobs.add(one, {})
        tx.webhooks.name(
            [
                (job["job_id"], hook.row.webhook_id, FAILED),
                (job["job_id"], hook.row.webhook_id, SUCCEEDED),
                (job["job_id"], both.row.webhook_id, FAILED),
            ]
        )

    await world.database.write(store)
    await world.happens(
        *end(job["job_id"]),
        {"object_id": job["job_id"], "status": FAILED, "reason": "RETRIED"},
        *end(other["job_id"]),
    )
    await world.tell()
    assert [one["data"]["object_id"] for one in world.bodies()] == [job["job_id"]]
    assert world.types("/both") == ["job.failed", "job.failed"]


async def test_what_fails_is_tried_again_later_and_later_and_given_up_after_a_day(world: World):
    world.receiver.respond = lambda _request: answer(500, b"no\x00\xff")
    hook = await world.hook()
    await world.happens({})
    await world.tell()
    began, waited = world.clock.now(), []
    while (await world.deliveries_of(hook))[0].status == WebhookDelivery.PENDING:
        (delivery,) = await world.deliveries_of(hook)
        due = delivery.next_attempt_time.ToMicroseconds()
        waited.append((due - world.clock.now()) / 1e6)
        count = len(world.receiver.received)
        world.clock.advance(waited[-1] - 0.001)
        await world.tell()
        assert len(world.receiver.received) == count
        # The receiver is also left alone for a while after each failure.
        world.clock.advance(61)
        await world.tell()
        assert len(world.receiver.received) == count + 1
    (delivery,) = await world.deliveries_of(hook)
    assert delivery.status == WebhookDelivery.FAILED
    assert 4 <= waited[0] <= 6
    assert all(later > 1.3 * sooner for sooner, later in itertools.pairwise(waited))
    assert 18 * 3600 < (world.clock.now() - began) / 1e6 < 30 * 3600
    assert len({one.headers["webhook-id"] for one in world.receiver.received}) == 1
    assert len({one.body for one in world.receiver.received}) == 1
    last = delivery.attempts[-1]
    assert (last.http_status, last.error, last.answer) == (500, "HTTP_STATUS", "no??")


async def test_retry_after_is_honoured_in_seconds_and_as_a_time(world: World):
    at = "Fri, 01 Jan 2100 00:00:00 GMT"
    for header, least in (("900", 900), (at, 86_000), ("nonsense", 4), ("-5", 4)):
        world.receiver.respond = lambda _request, header=header: answer(503, retry_after=header)
        hook = await world.hook(f"/{least}-{header[:1]}")
        await world.happens({})
        await world.tell()
        delivery = (await world.deliveries_of(hook))[0]
        waits = delivery.next_attempt_time.ToMicroseconds() - world.clock.now()
        assert least <= waits / 1e6 <= max(least * 1.01 + 3, 86_400)
        await world.service.delete(ANN, hook.row.webhook_id, "")


async def test_410_switches_a_webhook_off_which_is_an_event_and_it_can_be_enabled_again(
    world: World,
):
    world.receiver.respond = lambda _request: answer(410)
    hook = await world.hook(types=["job.*"])
    other = await world.hook("/other", types=["webhook.*"])
    await world.happens({})
    await world.tell()
    shown = await world.shown(hook)
    assert (shown.enabled, shown.disabled_reason) == (False, "GONE")
    world.receiver.respond = lambda _request: OK
    await world.happens({})
    await world.tell()
    assert world.types() == ["job.queued"]
    assert world.types("/other") == ["webhook.disabled"]
    assert (await world.shown(other)).enabled

    asked = Webhook(webhook_id=hook.row.webhook_id, enabled=True)
    await world.service.update(ANN, asked, ())
    await world.happens({"reason": "AFTER"})
    await world.tell()
    reasons = [one["data"]["reason"] for one in world.bodies()]
    assert reasons == ["SUBMITTED", "AFTER"]
    shown = await world.shown(hook)
    assert (shown.enabled, shown.disabled_reason, shown.consecutive_failures) == (True, "", 0)


async def test_a_webhook_that_fails_for_days_is_switched_off(world: World):
    world.receiver.respond = lambda _request: answer(500)
    hook = await world.hook(types=["job.*"])
    for _ in range(30):
        await world.happens({})
        await world.tell()
        world.clock.advance(4 * 3600)
        if not (await world.shown(hook)).enabled:
            break
    shown = await world.shown(hook)
    assert shown.disabled_reason == "FAILING"
    failing = world.clock.now() - shown.failing_since.ToMicroseconds()
    assert 72 * 3600 <= failing / 1e6 <= 84 * 3600


async def test_a_receiver_that_fails_is_tried_one_at_a_time_and_left_alone_in_between(world: World):
    world.receiver.respond = lambda _request: answer(500)
    await world.hook()
    await world.happens(*[{} for _ in range(20)])
    await world.tell()
    # Of the first four at once each fails; then one pause for all.
    assert len(world.receiver.received) == 4
    world.clock.advance(10)
    await world.tell()
    assert len(world.receiver.received) == 5


async def test_one_that_hangs_keeps_no_other_waiting(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webhook_sender, "ATTEMPT_SECONDS", 0.3)
    world.receiver.respond = lambda request: None if request.target == "/hangs" else OK
    hangs, well = await world.hook("/hangs"), await world.hook("/well")
    await world.happens(*[{"reason": f"R{number}"} for number in range(30)])
    await world.duties.match()
    while len(world.bodies("/well")) < 30:
        await world.duties.send()
        assert world.duties._under_way
        await asyncio.wait([*world.duties._under_way], return_when=asyncio.FIRST_COMPLETED)
    assert len(world.bodies("/well")) == 30
    assert len(world.bodies("/hangs")) <= 4
    await asyncio.gather(*world.duties._under_way)
    failed = [one for one in await world.deliveries_of(hangs) if one.attempt_count]
    assert {one.attempts[0].error for one in failed} == {"TIMEOUT"}
    assert len(await world.deliveries_of(well, WebhookDelivery.SUCCEEDED)) == 30


async def test_two_servers_tell_each_event_once_and_a_dead_ones_attempts_are_taken_over(
    world: World, database: Database
):
    hook = await world.hook()
    other = World(database, world.clock, world.receiver)
    await world.happens(*[{"reason": f"R{number}"} for number in range(40)])
    await asyncio.gather(*(one.duties.match() for one in (world, other, world, other)))
    assert len(await world.deliveries_of(hook)) == 40
    # The first takes some and is never heard of again.
    lost = await world.telling.claim([])
    assert len(lost) == 4
    while some := await other.telling.claim([]):
        await asyncio.gather(*(other.telling.attempt(one) for one in some))
    assert len(world.receiver.received) == 36
    world.clock.advance(webhook_telling.CLAIM_SECONDS)
    await other.tell()
    reasons = [one["data"]["reason"] for one in world.bodies()]
    assert (len(reasons), len(set(reasons))) == (40, 40)
    # What it would say now is late, and changes nothing.
    world.receiver.respond = lambda _request: answer(500)
    await world.telling.attempt(lost[0])
    late = await world.deliveries.get(ANN, hook.row.webhook_id, lost[0].delivery.delivery_id)
    assert delivery_message(late).status == WebhookDelivery.SUCCEEDED
    await other.sender.close()


async def test_of_two_servers_the_slower_one_goes_on_from_where_the_faster_one_came(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
):
    await world.hook()
    slower = World(database, world.clock, world.receiver)
    end = slower.matching._settled.end
    overtaking = iter([True])

    async def overtaken() -> int:
        if next(overtaking, False):
            await world.duties.match()
            await world.happens({"reason": "BEHIND"})
        return await end()

    monkeypatch.setattr(slower.matching._settled, "end", overtaken)
    await world.happens({"reason": "BOTH"})
    await slower.tell()
    reasons = [one["data"]["reason"] for one in world.bodies()]
    assert sorted(reasons) == ["BEHIND", "BOTH"]
    await slower.sender.close()


async def test_a_name_that_is_not_looked_up_for_others_is_no_failure_of_the_receiver(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webhook_addresses, "_LOOKUP_SECONDS", 0.1)
    monkeypatch.setattr(webhook_addresses, "_LOOKUPS", 1)
    begun, go_on = threading.Event(), threading.Event()

    def lookup(host: str, port: int) -> Sequence[str]:
        if host == "slow.example":
            begun.set()
            go_on.wait(20)
        return look_up(host, port)

    addresses = WebhookAddresses(LOOPBACK, lookup)
    monkeypatch.setattr(world.sender, "_addresses", addresses)
    hook = await world.hook()
    await world.happens({})
    await world.duties.match()
    slow = asyncio.create_task(addresses.target("https://slow.example"))
    await asyncio.to_thread(begun.wait, 20)
    (claimed,) = await world.telling.claim([])
    await world.telling.attempt(claimed)
    (delivery,) = await world.deliveries_of(hook)
    assert (delivery.status, len(delivery.attempts)) == (WebhookDelivery.PENDING, 0)
    assert (await world.shown(hook)).consecutive_failures == 0

    go_on.set()
    await asyncio.gather(slow, return_exceptions=True)
    world.clock.advance(1)
    monkeypatch.setattr(webhook_addresses, "_LOOKUP_SECONDS", 5.0)
    await world.tell()
    assert world.types() == ["job.queued"]
    addresses.close()


async def test_whose_names_are_slow_is_refused_and_holds_up_nothing_that_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webhook_addresses, "_CHECKS", 1)
    monkeypatch.setattr(webhook_addresses, "_CHECKS_WAITING", 0)
    begun, go_on = threading.Event(), threading.Event()

    def lookup(host: str, port: int) -> Sequence[str]:
        if host == "slow.example":
            begun.set()
            go_on.wait(20)
        return look_up("127.0.0.1", port)

    await world.hook()
    addresses = WebhookAddresses(LOOPBACK, lookup)
    monkeypatch.setattr(world.service, "_addresses", addresses)
    monkeypatch.setattr(world.sender, "_addresses", addresses)
    slow = asyncio.create_task(world.hook(url="https://slow.example"))
    await asyncio.to_thread(begun.wait, 20)
    with pytest.raises(Unavailable) as refused:
        await world.hook("/other")
    assert refused.value.reason == "NAME_LOOKUPS_BUSY"
    await world.happens({})
    await world.tell()
    assert world.types() == ["job.queued"]
    go_on.set()
    await slow
    addresses.close()


async def test_what_failed_is_not_sent_sooner_because_its_server_stops(world: World):
    world.receiver.respond = lambda _request: answer(500)
    hook = await world.hook()
    await world.happens({})
    await world.duties.match()
    claimed = await world.telling.claim([])
    await world.telling.attempt(claimed[0])
    (before,) = await world.deliveries_of(hook)
    await world.telling.give_back(claimed)
    (after,) = await world.deliveries_of(hook)
    assert after.next_attempt_time == before.next_attempt_time


async def test_a_receiver_that_asks_for_time_is_left_alone_with_all_that_waits(world: World):
    world.receiver.respond = lambda _request: answer(429, retry_after="600")
    await world.hook()
    await world.happens({})
    await world.tell()
    await world.happens({})
    world.clock.advance(599)
    await world.tell()
    assert len(world.receiver.received) == 1
    world.clock.advance(2)
    await world.tell()
    assert len(world.receiver.received) == 2


async def test_what_a_server_breaks_off_when_it_stops_another_one_sends_at_once(
    world: World, database: Database
):
    world.receiver.respond = lambda _request: None
    hook = await world.hook()
    await world.happens({})
    await world.duties.match()
    await world.duties.send()
    await world.receiver.has(1)
    await world.duties.close()
    world.receiver.respond = lambda _request: OK
    other = World(database, world.clock, world.receiver)
    await other.tell()
    (delivery,) = await world.deliveries_of(hook)
    assert (delivery.status, delivery.attempt_count) == (WebhookDelivery.SUCCEEDED, 2)
    await other.sender.close()


async def test_each_project_is_told_of_its_own_objects_alone(world: World):
    await world.hook(types=["job.*"])
    theirs = Webhook(url=world.receiver.url("/speech"), types=["job.*"])
    await world.service.create(BOB, theirs)
    await world.happens(*end("job-a"), *end("job-b", project="speech"))
    await world.tell()
    assert {one["data"]["object_id"] for one in world.bodies()} == {"job-a"}
    assert {one["data"]["object_id"] for one in world.bodies("/speech")} == {"job-b"}


async def test_what_is_late_says_nothing_while_another_attempt_is_under_way(world: World):
    hook = await world.hook()
    await world.happens({})
    await world.duties.match()
    (late,) = await world.telling.claim([])
    world.clock.advance(webhook_telling.CLAIM_SECONDS)
    (taken_over,) = await world.telling.claim([])
    world.receiver.respond = lambda _request: answer(500)
    await world.telling.attempt(late)
    assert (await world.shown(hook)).consecutive_failures == 0
    (delivery,) = await world.deliveries_of(hook)
    assert (delivery.attempt_count, len(delivery.attempts)) == (2, 0)
    world.receiver.respond = lambda _request: OK
    await world.telling.attempt(taken_over)
    (delivery,) = await world.deliveries_of(hook)
    assert (delivery.status, len(delivery.attempts)) == (WebhookDelivery.SUCCEEDED, 1)


async def test_a_server_that_starts_again_goes_on_where_the_last_one_was(
    world: World, database: Database, receiver: Receiver
):
    hook = await world.hook()
    await world.happens({"reason": "BEFORE"})
    await world.duties.match()
    await world.happens({"reason": "MEANWHILE"})
    again = World(database, world.clock, receiver)
    await again.tell()
    assert sorted(one["data"]["reason"] for one in world.bodies()) == ["BEFORE", "MEANWHILE"]
    assert len(await world.deliveries_of(hook)) == 2
    await again.sender.close()


async def test_of_much_that_waits_only_so_much_becomes_deliveries_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webhook_matching, "MOST_PENDING", 10)
    monkeypatch.setattr(webhook_matching, "_EVENTS", 4)
    hook = await world.hook()
    await world.happens(*[{"reason": f"R{number}"} for number in range(50)])
    while await world.duties.match() == 0.0:
        pass
    assert len(await world.deliveries_of(hook)) == 12
    for _ in range(8):
        world.clock.advance(2)
        await world.tell()
    assert len({one["data"]["reason"] for one in world.bodies()}) == 50


async def test_a_secret_is_changed_in_peace_with_signatures_of_both_for_a_while(world: World):
    hook = await world.hook(types=["job.*"])
    new = await world.service.rotate(ANN, hook.row.webhook_id, 3_600_000_000)
    assert new.secret != hook.secret
    await world.happens({})
    await world.tell()
    world.clock.advance(3601)
    await world.happens({})
    await world.tell()
    during, behind = world.receiver.received
    for secret in (hook.secret, new.secret):
        Verifier(secret).verify(during.body, during.headers)
    assert len(behind.headers["webhook-signature"].split()) == 1
    await world.service.rotate(ANN, hook.row.webhook_id, 0)
    assert not (await world.shown(hook)).HasField("previous_secret_expire_time")


async def test_a_test_is_sent_once_also_to_one_that_is_disabled_and_to_no_other(world: World):
    hook, _ = await world.hook(enabled=False), await world.hook("/other")
    await world.deliveries.test(ANN, hook.row.webhook_id)
    world.receiver.respond = lambda _request: answer(500)
    await world.tell()
    world.clock.advance(3600)
    await world.tell()
    assert (world.types(), world.types("/other")) == (["webhook.tested"], [])
    (delivery,) = await world.deliveries_of(hook)
    assert (delivery.status, delivery.attempt_count) == (WebhookDelivery.FAILED, 1)
    assert (await world.shown(hook)).consecutive_failures == 0


async def test_what_failed_is_delivered_again_with_the_same_id(world: World):
    world.receiver.respond = lambda _request: answer(410)
    hook = await world.hook()
    await world.happens({})
    await world.tell()
    (delivery,) = await world.deliveries_of(hook)
    webhook_id, delivery_id = hook.row.webhook_id, delivery.delivery_id
    with pytest.raises(WrongState) as disabled:
        await world.deliveries.redeliver(ANN, webhook_id, delivery_id)
    assert disabled.value.reason == "WEBHOOK_DISABLED"
    await world.service.update(ANN, Webhook(webhook_id=webhook_id, enabled=True), ())
    world.receiver.respond = lambda _request: OK
    again = await world.deliveries.redeliver(ANN, webhook_id, delivery_id)
    assert delivery_message(again).status == WebhookDelivery.PENDING
    await world.tell()
    done = delivery_message(await world.deliveries.get(ANN, webhook_id, delivery_id))
    assert (done.status, done.attempt_count, len(done.attempts)) == (2, 2, 2)
    ids = {one.headers["webhook-id"] for one in world.receiver.received}
    assert ids == {delivery_id}


async def test_redirects_are_not_followed_and_answers_are_read_to_a_bound(world: World):
    def respond(request: Received) -> bytes:
        if request.target == "/moved":
            return answer(302, location=world.receiver.url("/elsewhere"))
        return answer(200, b"x" * 1_000_000)

    world.receiver.respond = respond
    moved, large = await world.hook("/moved"), await world.hook("/large")
    await world.happens({})
    await world.tell()
    assert "/elsewhere" not in {one.target for one in world.receiver.received}
    assert (await world.deliveries_of(moved))[0].attempts[0].http_status == 302
    assert len((await world.deliveries_of(large))[0].attempts[0].answer) == 512


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="no HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000 + b"\r\n\r\n", id="a large header"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab", id="half a body"),
        pytest.param(b"HTTP/1.1 99999 X\r\n\r\n", id="no status"),
    ],
)
async def test_answers_that_are_none_are_failures_in_words(world: World, response: bytes):
    world.receiver.respond = lambda _request: response
    hook = await world.hook()
    await world.happens({})
    await world.tell()
    attempt = (await world.deliveries_of(hook))[0].attempts[0]
    assert attempt.error == "BAD_ANSWER"


async def test_old_deliveries_are_forgotten(world: World):
    hook = await world.hook()
    await world.happens({})
    await world.tell()
    removal = DeliveryRemoval(world.database, world.clock, 7 * 86_400_000_000)
    await removal.cycle()
    assert len(await world.deliveries_of(hook)) == 1
    world.clock.advance(7 * 86_400 + 1)
    await removal.cycle()
    assert await world.deliveries_of(hook) == []


async def test_webhooks_of_other_projects_are_not_there_and_developers_change_none(world: World):
    hook = await world.hook()
    webhook_id = hook.row.webhook_id
    await world.happens({})
    await world.tell()
    (delivery,) = await world.deliveries_of(hook)
    asked = Webhook(webhook_id=webhook_id, description="x")
    calls: list[Any] = [
        lambda who, one=webhook_id: world.service.get(who, one),
        lambda who, one=webhook_id: world.service.update(
            who, Webhook(webhook_id=one, description="x"), ()
        ),
        lambda who, one=webhook_id: world.service.rotate(who, one, None),
        lambda who, one=webhook_id: world.service.delete(who, one, ""),
        lambda who, one=webhook_id: world.deliveries.list(who, one, status=0, size=0, token=""),
        lambda who, one=webhook_id: world.deliveries.get(who, one, delivery.delivery_id),
        lambda who, one=webhook_id: world.deliveries.redeliver(who, one, delivery.delivery_id),
        lambda who, one=webhook_id: world.deliveries.test(who, one),
    ]
    for call in calls:
        with pytest.raises(NotFound) as foreign:
            await call(BOB)
        with pytest.raises(NotFound) as absent:
            await call(ROOT, "webhook-none")
        assert foreign.value.message == absent.value.message.replace("webhook-none", webhook_id)
    for call in (calls[1], calls[2], calls[3], calls[6], calls[7]):
        with pytest.raises(Denied):
            await call(DEV)
    with pytest.raises(Denied):
        await world.service.create(DEV, Webhook(url=world.receiver.url()))
    with pytest.raises(Denied):
        await world.service.create(BOB, Webhook(project="vision", url=world.receiver.url()))
    assert (await world.service.list(BOB, "", size=0, token=""))[0] == []
    assert len((await world.service.list(DEV, "", size=0, token=""))[0]) == 1
    with pytest.raises(NotFound):
        await world.service.list(BOB, "vision", size=0, token="")
    assert asked.webhook_id == (await world.shown(hook)).webhook_id


async def test_what_makes_no_sense_is_refused_and_changes_are_guarded(world: World):
    url = world.receiver.url()
    bad = [
        (Webhook(), "URL_INVALID"),
        (Webhook(url="ftp://127.0.0.1/x"), "URL_INVALID"),
        (Webhook(url="http://user:pw@127.0.0.1/x"), "URL_INVALID"),
        (Webhook(url="http://[::1"), "URL_INVALID"),
        (Webhook(url="http:///x"), "URL_INVALID"),
        (Webhook(url="https://10.0.0.1/x"), "ADDRESS_NOT_ALLOWED"),
        (Webhook(url="http://1.1.1.1/x"), "HTTPS_REQUIRED"),
        (Webhook(url="https://name.invalid/x"), "NAME_NOT_RESOLVED"),
        (Webhook(url=url, notifications_only=True, types=["job.*"]), "FILTER_WITHOUT_EFFECT"),
        (Webhook(url=url, labels={"a": "b"}, types=["quota.*"]), "FILTER_WITHOUT_EFFECT"),
    ]
    for wanted, reason in bad:
        with pytest.raises(InvalidInput) as refused:
            await world.service.create(ANN, wanted)
        assert refused.value.reason == reason, wanted
        assert "pw" not in str(refused.value)
    hook = await world.hook(description="a", labels={"x": "y"})
    webhook_id = hook.row.webhook_id
    changed = await world.service.update(
        ANN, Webhook(webhook_id=webhook_id, description="b", etag="1"), ("description", "labels")
    )
    shown = webhook_message(changed, world.clock.now())
    assert (shown.description, dict(shown.labels), shown.etag) == ("b", {}, "2")
    with pytest.raises(Conflict):
        await world.service.update(ANN, Webhook(webhook_id=webhook_id, etag="1"), ("url",))
    with pytest.raises(InvalidInput):
        await world.service.update(ANN, Webhook(webhook_id=webhook_id), ("url",))
    for _ in range(MAX_WEBHOOKS - 1):
        await world.hook()
    with pytest.raises(WrongState) as full:
        await world.hook()
    assert full.value.reason == "TOO_MANY_WEBHOOKS"


async def test_no_secret_is_in_what_is_stored_or_told(world: World):
    hook = await world.hook("/hook?token=s3cret")
    await world.service.rotate(ANN, hook.row.webhook_id, None)
    await world.service.delete(ANN, hook.row.webhook_id, "")
    key = hook.secret.removeprefix("whsec_")
    assert key.encode() not in hook.row.secret
    assert key not in str(webhook_message(hook.row, 0))
    events = await world.database.read(
        lambda tx: tx.events.page(hook.row.webhook_id, after=0, size=10)
    )
    assert [one.reason for one in events] == [
        "WEBHOOK_CREATED",
        "WEBHOOK_SECRET_ROTATED",
        "WEBHOOK_DELETED",
    ]
    assert not any("s3cret" in one.message or key in one.message for one in events)
