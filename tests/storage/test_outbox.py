"""What happened is told to those who listen: in order, at least once, and then no more."""

from collections.abc import Sequence

import pytest

from tests.support.fake_clock import START
from windlass_server.controllers.outbox import OutboxDispatcher
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")


class Listener:
    """Notes what it is told, and fails as often as it shall."""

    def __init__(self, failures: int = 0) -> None:
        self.told: list[str] = []
        self._failures = failures

    def __call__(self, topics: Sequence[str]) -> None:
        if self._failures:
            self._failures -= 1
            raise ConnectionError
        self.told += topics


def record(tx: Transaction, *topics: str) -> None:
    for topic in topics:
        tx.events.record(
            project="default",
            object_id=topic,
            at=START,
            actor="ada",
            status=1,
            reason="SUBMITTED",
            message="",
            run_id="",
        )


async def test_all_that_happened_is_told_in_order_and_once(database: Database) -> None:
    listener = Listener()
    outbox = OutboxDispatcher(database, [listener])
    await database.write(lambda tx: record(tx, "job-a", "job-b", "job-a"))
    await outbox.cycle()
    await outbox.cycle()
    assert listener.told == ["job-a", "job-b", "job-a"]
    await database.write(lambda tx: record(tx, "job-c"))
    await outbox.cycle()
    assert listener.told[3:] == ["job-c"]


async def test_more_than_one_batch_is_told_in_one_cycle(database: Database) -> None:
    topics = [f"job-{number:04}" for number in range(1201)]
    await database.write(lambda tx: record(tx, *topics))
    listener = Listener()
    await OutboxDispatcher(database, [listener]).cycle()
    assert listener.told == topics


async def test_what_could_not_be_told_is_told_at_the_next_cycle(database: Database) -> None:
    listener = Listener(failures=1)
    outbox = OutboxDispatcher(database, [listener])
    await database.write(lambda tx: record(tx, "job-a", "job-b"))
    with pytest.raises(ConnectionError):
        await outbox.cycle()
    assert listener.told == []
    await outbox.cycle()
    assert listener.told == ["job-a", "job-b"]
