"""Events, the outbox and idempotent answers behave the same on both engines."""

import pytest
from sqlalchemy.exc import IntegrityError

from tests.support.fake_clock import START

pytestmark = pytest.mark.usefixtures("acting")


def record(tx, object_id, message):
    return tx.events.record(
        project="default",
        object_id=object_id,
        at=START,
        actor="ada",
        status=1,
        reason="SUBMITTED",
        message=message,
        run_id="",
    )


async def test_events_of_an_object_come_in_order_and_in_pages(database):
    def store(tx):
        return [record(tx, name, str(n)) for n, name in enumerate(["a", "b", "a", "a"])]

    sequences = await database.write(store)
    assert sequences == sorted(set(sequences))
    first = await database.read(lambda tx: tx.events.page("a", after=0, size=2))
    rest = await database.read(lambda tx: tx.events.page("a", after=first[-1].sequence, size=2))
    assert [event.message for event in (*first, *rest)] == ["0", "2", "3"]


async def test_an_event_waits_in_the_outbox_until_it_is_told(database):
    await database.write(lambda tx: [record(tx, "a", "1"), record(tx, "b", "2")])
    untold = await database.read(lambda tx: tx.events.untold(10))
    assert [row.topic for row in untold] == ["a", "b"]
    await database.write(lambda tx: tx.events.told([untold[0].sequence]))
    untold = await database.read(lambda tx: tx.events.untold(10))
    assert [row.topic for row in untold] == ["b"]


async def test_an_event_of_work_that_failed_is_neither_stored_nor_told(database):
    def fail(tx):
        record(tx, "a", "1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    assert await database.read(lambda tx: tx.events.page("a", after=0, size=9)) == []
    assert await database.read(lambda tx: tx.events.untold(10)) == []


async def test_an_answer_is_remembered_for_its_caller_method_and_request_id_alone(database):
    def remember(tx):
        tx.events.remember_answer(
            "ada", "jobs.submit", "r1", fingerprint=b"f", object_id="job-1", at=START
        )

    await database.write(remember)
    found = await database.read(
        lambda tx: [
            tx.events.earlier_answer("ada", "jobs.submit", "r1"),
            tx.events.earlier_answer("bob", "jobs.submit", "r1"),
            tx.events.earlier_answer("ada", "other", "r1"),
            tx.events.earlier_answer("ada", "jobs.submit", "r2"),
        ]
    )
    assert found[0].object_id == "job-1"
    assert found[1:] == [None, None, None]
    with pytest.raises(IntegrityError):
        await database.write(remember)
