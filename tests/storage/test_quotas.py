"""Quotas: what is said of them, on both engines."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_projects
from tests.support.quotas import a_quota, quotas_service
from windlass.access.v1 import quota_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.access.quota_message import quota_event_message, quota_message
from windlass_server.access.quotas import QuotaFilter, QuotasService
from windlass_server.errors import AlreadyExists, Conflict, Denied, InvalidInput, NotFound
from windlass_server.storage.engine import Database

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

VIEWER = Caller("ada", default_project="default", roles={"default": Role.VIEWER})
OWNER = Caller("bob", default_project="default", roles={"default": Role.ADMIN})
GPUS = {"gpu_millis": 8000}


@pytest.fixture
async def quotas(database: Database) -> QuotasService:
    await database.write(lambda tx: add_projects(tx, "default", "vision"))
    return quotas_service(database, FakeClock())


async def made(quotas: QuotasService, **values: Any) -> quota_pb2.Quota:
    return quota_message(await quotas.create(ADMIN, a_quota(**values)))


async def listed(quotas: QuotasService, who: Caller = ADMIN, **wanted: str) -> list[str]:
    found, token = [], ""
    while True:
        views, token = await quotas.list(who, QuotaFilter(**wanted), size=2, token=token)
        found += [one.row.quota_id for one in views]
        if not token:
            return found


async def test_a_quota_that_was_made_is_read_as_it_was_said(quotas: QuotasService):
    said = {
        "cohort": "research",
        "guaranteed": {"gpu_millis": 8000, "cpu_millis": 0},
        "borrowing_limit": {"gpu_millis": 0},
        "limit": {"memory_bytes": 1 << 40, "running_jobs": 7, "queued_jobs": 0},
        "max_priority": 0,
    }
    one = await made(quotas, **said)
    assert quota_message(await quotas.get(VIEWER, one.quota_id)) == one
    assert quota_pb2.Quota(**said) == quota_pb2.Quota(**{name: getattr(one, name) for name in said})
    assert one.limit.HasField("queued_jobs")
    assert not one.guaranteed.HasField("memory_bytes")
    assert (one.project, one.user, one.exceeded, one.status_message) == ("default", "", False, "")
    assert one.use == quota_pb2.QuotaUse()
    assert one.borrowable == quota_pb2.QuotaAmounts(gpu_millis=0, cpu_millis=0)


async def test_a_quota_without_a_project_is_of_the_default_one(quotas: QuotasService):
    owner = Caller("root", default_project="vision", organisation_role=Role.ADMIN)
    view = await quotas.create(owner, a_quota(project="", limit=GPUS))
    assert view.row.project == "vision"


async def test_lists_are_of_what_the_caller_may_see_by_project_user_and_type(quotas: QuotasService):
    ids = [
        (await made(quotas, limit=GPUS, **values)).quota_id
        for values in (
            {},
            {"user": "ann"},
            {"gpu_type": "H100"},
            {"user": "ann", "gpu_type": "H100"},
            {"project": "vision"},
        )
    ]
    assert await listed(quotas) == ids
    assert await listed(quotas, VIEWER) == ids[:4]
    assert await listed(quotas, project="vision") == ids[4:]
    assert await listed(quotas, user="ann") == [ids[1], ids[3]]
    assert await listed(quotas, gpu_type="h100") == [ids[2], ids[3]]
    with pytest.raises(NotFound):
        await listed(quotas, project="none")
    with pytest.raises(Denied):
        await listed(quotas, VIEWER, project="vision")
    with pytest.raises(NotFound):
        await quotas.get(VIEWER, ids[4])


async def test_an_owner_has_one_quota_of_each_type(quotas: QuotasService):
    first = await made(quotas, gpu_type="H100", limit=GPUS)
    with pytest.raises(AlreadyExists) as refused:
        await made(quotas, gpu_type="h100", guaranteed=GPUS)
    assert refused.value.metadata["quota_id"] == first.quota_id


async def test_an_update_changes_what_it_names_and_nothing_else(quotas: QuotasService):
    one = await made(quotas, guaranteed=GPUS, limit=GPUS)
    new = quota_pb2.Quota(quota_id=one.quota_id, limit={"cpu_millis": 5})
    now = quota_message(await quotas.update(ADMIN, new, []))
    assert (now.guaranteed, now.limit) == (one.guaranteed, quota_pb2.QuotaLimits(cpu_millis=5))
    assert now.etag != one.etag
    cleared = quota_message(await quotas.update(ADMIN, new, ["guaranteed"]))
    assert not cleared.HasField("guaranteed")
    assert quota_message(await quotas.update(ADMIN, cleared, ["*"])).etag == cleared.etag
    gone = quota_message(await quotas.delete(ADMIN, one.quota_id, cleared.etag))
    assert gone == cleared
    assert await listed(quotas) == []


REFUSED: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("nothing", {}, [("quota.limit", "SAYS_NOTHING")]),
    (
        "a priority by a type of GPUs",
        {"gpu_type": "H100", "limit": GPUS, "max_priority": 1},
        [("quota.max_priority", "ONLY_GPUS_HAVE_TYPES")],
    ),
    (
        "less than is guaranteed",
        {"guaranteed": {"gpu_millis": 2, "cpu_millis": 2}, "limit": {"gpu_millis": 1, "cpu_millis": 1}},
        [("quota.limit.gpu_millis", "LIMIT_BELOW_GUARANTEE"), ("quota.limit.cpu_millis", "LIMIT_BELOW_GUARANTEE")],
    ),
    (
        "borrowing beyond nothing",
        {"borrowing_limit": GPUS, "limit": GPUS, "cohort": "x"},
        [("quota.borrowing_limit.gpu_millis", "NOTHING_GUARANTEED"), ("quota.cohort", "NOTHING_GUARANTEED")],
    ),
    (
        "guaranteed to a user",
        {"user": "ann", "guaranteed": GPUS, "cohort": "x"},
        [("quota.cohort", "ONLY_OF_PROJECTS"), ("quota.guaranteed", "ONLY_OF_PROJECTS")],
    ),
    (
        "more than GPUs of a type",
        {"gpu_type": "H100", "guaranteed": {"cpu_millis": 1}, "limit": {"running_jobs": 1, "cpu_millis": 2}},
        [
            ("quota.guaranteed.cpu_millis", "ONLY_GPUS_HAVE_TYPES"),
            ("quota.limit.cpu_millis", "ONLY_GPUS_HAVE_TYPES"),
            ("quota.limit.running_jobs", "ONLY_GPUS_HAVE_TYPES"),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("values", "violations"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])  # fmt: skip
async def test_everything_that_makes_no_sense_is_told_at_once(
    quotas: QuotasService, values: dict[str, Any], violations: list[tuple[str, str]]
):
    one = await made(quotas, project="vision", limit=GPUS)
    with pytest.raises(InvalidInput) as refused:
        await made(quotas, **values)
    assert [(each.field, each.reason) for each in refused.value.violations] == violations
    if not values.get("user") and not values.get("gpu_type"):
        new = quota_pb2.Quota(quota_id=one.quota_id, **values)
        with pytest.raises(InvalidInput) as refused:
            await quotas.update(ADMIN, new, ["*"])
        assert [(each.field, each.reason) for each in refused.value.violations] == violations


CALLS: list[tuple[str, Callable[[QuotasService, str], Coroutine[Any, Any, Any]], type, str]] = [
    ("get none", lambda q, _: q.get(ADMIN, "quota-no"), NotFound, "QUOTA_NOT_FOUND"),
    ("delete none", lambda q, _: q.delete(ADMIN, "quota-no", ""), NotFound, "QUOTA_NOT_FOUND"),
    ("update none", lambda q, _: q.update(ADMIN, quota_pb2.Quota(quota_id="quota-no"), []), NotFound, "QUOTA_NOT_FOUND"),
    ("of no project", lambda q, _: q.create(ADMIN, a_quota(project="no", limit=GPUS)), NotFound, "PROJECT_NOT_FOUND"),
    ("may not make", lambda q, _: q.create(OWNER, a_quota(limit=GPUS)), Denied, "PERMISSION_DENIED"),
    ("may not change", lambda q, one: q.update(OWNER, quota_pb2.Quota(quota_id=one), []), Denied, "PERMISSION_DENIED"),
    ("may not delete", lambda q, one: q.delete(OWNER, one, ""), Denied, "PERMISSION_DENIED"),
    ("changed meanwhile", lambda q, one: q.update(ADMIN, quota_pb2.Quota(quota_id=one, etag="9", limit=GPUS), []), Conflict, "ETAG_MISMATCH"),
    ("deleted late", lambda q, one: q.delete(ADMIN, one, "9"), Conflict, "ETAG_MISMATCH"),
    ("another owner", lambda q, one: q.update(ADMIN, quota_pb2.Quota(quota_id=one, user="ann"), []), InvalidInput, "FIELD_NOT_CHANGEABLE"),
    ("another project", lambda q, one: q.update(ADMIN, quota_pb2.Quota(quota_id=one), ["project"]), InvalidInput, "FIELD_NOT_CHANGEABLE"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "reason"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])  # fmt: skip
async def test_what_cannot_be_is_refused(
    quotas: QuotasService, call: Any, error: type[Exception], reason: str
):
    one = await made(quotas, limit=GPUS)
    with pytest.raises(error) as refused:
        await call(quotas, one.quota_id)
    assert refused.value.reason == reason  # type: ignore[attr-defined]
    assert await listed(quotas) == [one.quota_id]


async def test_each_change_is_an_event_of_the_quota(database: Database, quotas: QuotasService):
    one = await made(quotas, guaranteed=GPUS, borrowing_limit={"gpu_millis": 500})
    new = quota_pb2.Quota(quota_id=one.quota_id, limit={"gpu_millis": 9000, "running_jobs": 3})
    await quotas.update(ADMIN, new, [])
    await quotas.delete(ADMIN, one.quota_id, "")
    events = await database.read(lambda tx: tx.events.page(one.quota_id, after=0, size=9))
    assert [(event.reason, event.actor, event.project) for event in events] == [
        (reason, "admin", "default") for reason in ("QUOTA_CREATED", "QUOTA_UPDATED", "QUOTA_DELETED")
    ]  # fmt: skip
    assert events[1].message == (
        "project default: guaranteed 8 GPUs, may borrow 0.5 GPUs, limit 9 GPUs and 3 running jobs"
    )


async def test_what_happened_to_a_quota_is_listed_page_by_page_also_when_it_is_gone(
    quotas: QuotasService,
):
    one = await made(quotas, limit=GPUS)
    other = await made(quotas, project="vision", limit=GPUS)
    for amount in (1, 2):
        new = quota_pb2.Quota(quota_id=one.quota_id, limit={"gpu_millis": amount * 1000})
        await quotas.update(ADMIN, new, [])
    await quotas.delete(ADMIN, one.quota_id, "")
    found, token = await quotas.events(VIEWER, one.quota_id, size=3, token="")
    more, last = await quotas.events(VIEWER, one.quota_id, size=3, token=token)
    events = [quota_event_message(each) for each in (*found, *more)]
    assert [each.reason for each in events] == [
        *("QUOTA_CREATED", "QUOTA_UPDATED", "QUOTA_UPDATED", "QUOTA_DELETED")
    ]
    assert (len(found), last) == (3, "")
    assert events[1].message == "project default: limit 1 GPU"
    assert {(each.quota_id, each.actor) for each in events} == {(one.quota_id, "admin")}
    for quota_id in (other.quota_id, "quota-no", "policy default", "job-1"):
        with pytest.raises(NotFound) as refused:
            await quotas.events(VIEWER, quota_id, size=3, token="")
        assert refused.value.reason == "QUOTA_NOT_FOUND"
    with pytest.raises(InvalidInput):
        await quotas.events(VIEWER, one.quota_id, size=3, token="x")
