"""Queues in tests."""

from typing import Any

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.fake_clock import FakeClock
from windlass.jobs.v1 import queue_pb2
from windlass_server.jobs.queues import QueuesService
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database


def queues_service(database: Database, clock: FakeClock) -> QueuesService:
    """One that tells nobody of changes."""
    return QueuesService(database, clock, PageTokens(b"key"), lambda: None)


async def add_queue(database: Database, queue_id: str = "nightly", **said: Any) -> None:
    """Make one, as in `limits={"queued_jobs": 2}`."""
    wanted = queue_pb2.Queue(queue_id=queue_id, **said)
    await queues_service(database, FakeClock()).create(ADMIN, wanted)


async def change_queue(database: Database, queue_id: str = "nightly", **said: Any) -> None:
    """Change what is named of one."""
    wanted = queue_pb2.Queue(queue_id=queue_id, **said)
    await queues_service(database, FakeClock()).update(ADMIN, wanted, list(said))
