"""How the scheduler decides, as it is set, read and audited, on both engines."""

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_projects
from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Conflict, Denied, InvalidInput, NotFound, WrongState
from windlass_server.paging import PageTokens
from windlass_server.resources import scheduling_policies
from windlass_server.resources.scheduling_policies import (
    SchedulingPolicies,
    SchedulingPoliciesService,
)
from windlass_server.resources.scheduling_policy_message import scheduling_policy_message
from windlass_server.scheduler.policies import BUILT_IN, PriorityClass
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import SchedulingPolicyRow

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

Spec = scheduling_policy_pb2.SchedulingPolicy
DEVELOPER = Caller("ada", roles={"vision": Role.ADMIN})
DAY = 86_400_000_000


class Policies:
    """The service, its clock, and how often the scheduler was told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock()
        self.told = 0
        self.seen = SchedulingPolicies()
        tokens = PageTokens(b"key")
        self.service = SchedulingPoliciesService(database, self.clock, tokens, self.tell)

    def tell(self) -> None:
        self.told += 1

    async def set(
        self, policy_id: str = "default", *mask: str, who: Caller = ADMIN, **said: Any
    ) -> SchedulingPolicyRow:
        wanted = ParseDict({"policy_id": policy_id} | said, Spec())
        return await self.service.update(who, wanted, mask)

    async def said(self, policy_id: str = "default", who: Caller = ADMIN) -> Spec:
        row = await self.service.get(who, policy_id)
        assert row is not None
        return scheduling_policy_message(row, who)

    async def listed(self, size: int = 100) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            rows, token = await self.service.list(ADMIN, size=size, token=token)
            assert len(rows) <= size
            found += [row.policy_id for row in rows]
            if not token:
                return found

    async def events(self, policy_id: str = "default") -> list[tuple[str, str, str]]:
        rows, _ = await self.service.events(ADMIN, policy_id, size=100, token="")
        return [(row.actor, row.reason, row.message) for row in rows]


@pytest.fixture
async def policies(database: Database) -> Policies:
    await database.write(lambda tx: add_projects(tx, "vision", "speech"))
    return Policies(database)


async def test_nobody_has_set_anything_at_first(policies: Policies):
    assert await policies.service.get(ADMIN, "default") is None
    assert await policies.listed() == []
    seen = await policies.database.read(policies.seen.load)
    assert seen.of_job("any", ("any",)) == BUILT_IN


async def test_a_policy_is_what_was_said_of_it_and_the_scheduler_goes_by_it(policies: Policies):
    await policies.set(
        "queue.fast",
        description="quick",
        priority_classes={"classes": [{"name": "b", "priority": 9}, {"name": "a"}]},
        aging={"boost": 100, "over": "86400s"},
        fair_share={"weights": [{"project": "vision", "weight": 2.5}], "half_life": "172800s"},
        backfill={"depth": 0},
        preemption={"enabled": True, "min_run_time": "0s", "hourly_budget": 0},
        packing="tight",
    )
    said = await policies.said("queue.fast")
    assert (said.user, said.description, said.aging.boost) == ("admin", "quick", 100)
    assert said.etag
    seen = (await policies.database.read(policies.seen.load)).of_job("fast")
    assert seen.classes == (PriorityClass("a", 0), PriorityClass("b", 9))
    assert (seen.aging.boost, seen.aging.over) == (100, DAY)
    assert (seen.fair_share.half_life, seen.fair_share.of_project("vision")) == (2 * DAY, 2.5)
    assert seen.backfill.depth == 0
    rules = seen.preemption
    assert (rules.enabled, rules.min_run, rules.budget, rules.min_priority_gap) == (True, 0, 0, 1)
    assert rules.back_off == BUILT_IN.preemption.back_off


async def test_parts_that_nobody_spoke_of_are_as_they_are_built_in(policies: Policies):
    await policies.set(aging={}, fair_share={}, backfill={}, preemption={})
    seen = (await policies.database.read(policies.seen.load)).of_cluster()
    assert seen == BUILT_IN


async def test_the_scheduler_sees_a_change_at_its_next_look(policies: Policies):
    for depth in (1, 2):
        await policies.set(backfill={"depth": depth})
        seen = await policies.database.read(policies.seen.load)
        assert seen.of_cluster().backfill.depth == depth
        assert policies.told == depth
    await policies.service.delete(ADMIN, "default", "")
    assert (await policies.database.read(policies.seen.load)).of_cluster() == BUILT_IN
    assert policies.told == 3


async def test_an_update_changes_the_parts_that_it_names_and_no_others(policies: Policies):
    await policies.set(aging={"boost": 5}, backfill={"depth": 3}, description="first")
    await policies.set("default", "aging", "description", aging={"boost": 6})
    said = await policies.said()
    assert (said.aging.boost, said.backfill.depth, said.description) == (6, 3, "")
    await policies.set("default", "backfill")
    assert not (await policies.said()).HasField("backfill")
    await policies.set("default", "*", packing="tight")
    assert not (await policies.said()).HasField("aging")


async def test_what_is_as_it_was_is_no_change(policies: Policies):
    before = scheduling_policy_message(await policies.set(aging={"boost": 5}), ADMIN)
    policies.clock.advance(5)
    assert scheduling_policy_message(await policies.set(aging={"boost": 5}), ADMIN) == before
    assert len(await policies.events()) == policies.told == 1


async def test_who_comes_second_with_an_etag_is_refused(policies: Policies):
    await policies.set(aging={"boost": 5})
    first = (await policies.said()).etag
    await policies.set(aging={"boost": 6}, etag=first)
    with pytest.raises(Conflict, match="changed since"):
        await policies.set(aging={"boost": 7}, etag=first)
    with pytest.raises(Conflict):
        await policies.service.delete(ADMIN, "default", first)
    await policies.service.delete(ADMIN, "default", (await policies.said()).etag)
    # Nor is it good for another of the same name.
    policies.clock.advance(1)
    with pytest.raises(Conflict):
        await policies.set(aging={"boost": 7}, etag=first)
    await policies.set(aging={"boost": 7})
    with pytest.raises(Conflict):
        await policies.set(aging={"boost": 8}, etag=first)


async def test_everything_that_is_wrong_is_told_at_once(policies: Policies):
    with pytest.raises(InvalidInput) as refused:
        await policies.set(
            "pool.none",
            priority_classes={
                "classes": [
                    {"name": "a", "priority": 1},
                    {"name": "a", "priority": 2},
                    {"name": "b", "priority": 2},
                ]
            },
            fair_share={
                "weights": [
                    {"weight": 1.0},
                    {"project": "nowhere", "weight": 1.0},
                    {"project": "vision", "user": "ada", "weight": 1.0},
                    {"project": "vision", "user": "ada", "weight": 2.0},
                ]
            },
        )
    assert [(one.field, one.reason) for one in refused.value.violations] == [
        ("policy.policy_id", "POOL_NOT_FOUND"),
        ("policy.priority_classes.classes[1].name", "DUPLICATE_CLASS"),
        ("policy.priority_classes.classes[2].priority", "DUPLICATE_PRIORITY"),
        ("policy.fair_share.weights[0]", "WEIGHT_OF_NOBODY"),
        ("policy.fair_share.weights[1].project", "PROJECT_NOT_FOUND"),
        ("policy.fair_share.weights[3]", "DUPLICATE_WEIGHT"),
    ]
    assert await policies.listed() == []
    with pytest.raises(InvalidInput, match="cannot be changed"):
        await policies.set("default", "user", user="eve")


async def test_events_say_who_changed_what_from_what_to_what(policies: Policies):
    other = Caller("bob", organisation_role=Role.ADMIN)
    await policies.set(aging={"boost": 5})
    await policies.set(aging={"boost": 6}, packing="tight", who=other)
    await policies.service.delete(ADMIN, "default", "")
    assert await policies.events() == [
        ("admin", "POLICY_SET", 'aging: unset -> {"boost": 5}'),
        ("bob", "POLICY_SET", 'aging: {"boost": 5} -> {"boost": 6}; packing: unset -> "tight"'),
        ("admin", "POLICY_DELETED", 'aging: {"boost": 6} -> unset; packing: "tight" -> unset'),
    ]
    assert await policies.events("queue.other") == []


async def test_an_event_of_a_large_change_is_cut(policies: Policies):
    weights = [{"user": f"user-{n:04}", "weight": 1.0} for n in range(1000)]
    await policies.set(fair_share={"weights": weights})
    ((_, _, message),) = await policies.events()
    assert len(message) < 3000
    assert message.endswith("…")


async def test_policies_are_listed_by_id_page_by_page(policies: Policies):
    ids = ["queue.b", "default", "queue.a-1", "queue.a"]
    for policy_id in ids:
        await policies.set(policy_id, aging={"boost": 1})
    assert await policies.listed() == await policies.listed(size=1) == sorted(ids)


async def test_events_are_listed_page_by_page(policies: Policies):
    for boost in range(5):
        await policies.set(aging={"boost": boost + 1})
    found: list[int | None] = []
    token = ""
    while True:
        rows, token = await policies.service.events(ADMIN, "default", size=2, token=token)
        found += [row.sequence for row in rows]
        if not token:
            break
    assert len(found) == 5


async def test_a_caller_is_shown_weights_of_its_own_projects_alone(policies: Policies):
    weights = [{"project": p, "weight": 2.0} for p in ("vision", "speech")]
    await policies.set(fair_share={"weights": [*weights, {"user": "bob", "weight": 3.0}]})
    said = await policies.said(who=DEVELOPER)
    assert [(one.project, one.user) for one in said.fair_share.weights] == [
        ("vision", ""),
        ("", "bob"),
    ]
    assert len((await policies.said()).fair_share.weights) == 3


async def test_only_administrators_of_the_organisation_change_policies(policies: Policies):
    await policies.set(aging={"boost": 5})
    with pytest.raises(Denied):
        await policies.set(aging={"boost": 6}, who=DEVELOPER)
    with pytest.raises(Denied):
        await policies.service.delete(DEVELOPER, "default", "")
    with pytest.raises(Denied):
        await policies.service.events(DEVELOPER, "default", size=1, token="")
    with pytest.raises(Denied):
        await policies.service.get(Caller("nobody"), "default")


async def test_what_was_not_set_is_not_found(policies: Policies):
    with pytest.raises(NotFound):
        await policies.service.get(ADMIN, "queue.none")
    with pytest.raises(NotFound):
        await policies.service.delete(ADMIN, "default", "")


async def test_there_are_only_so_many_policies(policies: Policies, monkeypatch):
    monkeypatch.setattr(scheduling_policies, "MAX_POLICIES", 2)
    for name in "ab":
        await policies.set(f"queue.{name}", aging={"boost": 1})
    with pytest.raises(WrongState, match="most that there can be"):
        await policies.set("queue.c", aging={"boost": 1})
    await policies.set("queue.b", aging={"boost": 2})


async def test_what_is_stored_is_read_though_it_says_nothing(policies: Policies):
    await policies.set("queue.empty")
    said = await policies.said("queue.empty")
    assert said.policy_id == "queue.empty"
    assert (await policies.database.read(policies.seen.load)).of_job("empty") == BUILT_IN
