"""Quotas in tests: the service, and what their owners have by a count of the rows themselves."""

from collections import Counter
from typing import Any

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.fake_clock import FakeClock
from windlass.access.v1 import quota_pb2
from windlass_server.access.quotas import QuotasService
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import QuotaRow
from windlass_server.storage.transaction import Transaction

COUNTED = (
    "gpu_millis",
    "cpu_millis",
    "memory_bytes",
    "running_jobs",
    "queued_jobs",
    "artifact_bytes",
)


def quotas_service(database: Database, clock: FakeClock) -> QuotasService:
    """One that tells nobody of changes."""
    return QuotasService(database, clock, IdSource(clock), PageTokens(b"key"), lambda: None)


def a_quota(**values: Any) -> quota_pb2.Quota:
    """Of project `default`; amounts as in `limit={"gpu_millis": 8000}`."""
    return quota_pb2.Quota(**({"project": "default"} | values))


async def set_quota(database: Database, **values: Any) -> str:
    """Make one; returns its id."""
    made = await quotas_service(database, FakeClock()).create(ADMIN, a_quota(**values))
    return made.row.quota_id


async def change_quota(database: Database, clock: FakeClock, said: dict[str, Any]) -> None:
    """Make one as it is said, or change the one that its owner has."""
    service, wanted = quotas_service(database, clock), a_quota(**said)
    there = await database.read(
        lambda tx: tx.quotas.of_owner(wanted.project, wanted.user, wanted.gpu_type.casefold())
    )
    if there is None:
        await service.create(ADMIN, wanted)
    else:
        wanted.quota_id = there.quota_id
        await service.update(ADMIN, wanted, ["*"])


async def remove_quotas(database: Database, clock: FakeClock) -> None:
    """All of them."""
    for one in await database.read(lambda tx: tx.quotas.all()):
        await quotas_service(database, clock).delete(ADMIN, one.quota_id, "")


async def require_counted(database: Database) -> None:
    """Every quota says what the rows of runs, allocations and jobs say, and no more than it allows."""
    await database.read(_require_counted)


def _require_counted(tx: Transaction) -> None:
    for quota in tx.quotas.all():
        counted = Counter[str]()
        for one in tx.quotas.held_in(quota.project):
            if quota.user in ("", one.user):
                counted.update(_held(quota, one))
        for one in tx.quotas.jobs_in(quota.project):
            if quota.user in ("", one.user) and not quota.gpu_key:
                counted.update(running_jobs=int(one.running), queued_jobs=int(one.queued))
        used = {name: getattr(quota, f"used_{name}") for name in COUNTED}
        assert used == {name: counted[name] for name in COUNTED}, quota.quota_id
        if not quota.lowered:
            for name in COUNTED[:4]:
                limit = getattr(quota, f"limit_{name}")
                assert limit is None or used[name] <= limit


def _held(quota: QuotaRow, one: Any) -> dict[str, int]:
    uuids, types = (text.split(",") if text else [] for text in (one.gpu_uuids, one.gpu_types))
    share = one.gpu_millis or 1000
    if quota.gpu_key:
        return {"gpu_millis": share * sum(kind.lower() == quota.gpu_key for kind in types)}
    amounts = {"cpu_millis": one.cpu_millis, "memory_bytes": one.memory_bytes}
    return amounts | {"gpu_millis": share * len(uuids)}
