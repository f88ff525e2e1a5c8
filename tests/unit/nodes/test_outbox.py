"""What waits to be sent on a stream."""

import asyncio

import pytest

from windlass_server.errors import Exhausted, Unavailable
from windlass_server.nodes.outbox import Outbox


async def test_messages_come_in_the_order_in_which_they_were_first_put() -> None:
    box: Outbox[str] = Outbox()
    box.put("a", "a1")
    box.put("b", "b1")
    box.put("a", "a2")
    assert [await box.take(), await box.take()] == ["a2", "b1"]


async def test_a_message_that_was_sent_is_not_replaced() -> None:
    box: Outbox[str] = Outbox()
    box.put("a", "a1")
    assert await box.take() == "a1"
    box.put("a", "a2")
    assert await box.take() == "a2"


async def test_taking_waits_for_something_to_take() -> None:
    box: Outbox[str] = Outbox()
    taking = asyncio.create_task(box.take())
    await asyncio.sleep(0)
    assert not taking.done()
    box.put("a", "a1")
    assert await taking == "a1"


async def test_a_closed_box_ends_with_what_it_was_closed_with_first() -> None:
    box: Outbox[str] = Outbox()
    box.put("a", "a1")
    error = Unavailable("gone", reason="GONE")
    box.close(error)
    box.close()
    box.put("b", "b1")
    with pytest.raises(Unavailable):
        await box.take()


async def test_a_box_closed_without_an_error_just_ends() -> None:
    box: Outbox[str] = Outbox()
    taking = asyncio.create_task(box.take())
    await asyncio.sleep(0)
    box.close()
    assert await taking is None


async def test_a_peer_that_does_not_read_is_given_up() -> None:
    box: Outbox[int] = Outbox(limit=3)
    for number in range(3):
        box.put(number, number)
        box.put(number, number)
    assert not box.closed
    box.put(3, 3)
    with pytest.raises(Exhausted):
        await box.take()


@pytest.mark.parametrize("close", [False, True])
async def test_one_can_wait_until_everything_is_taken_or_given_up(close: bool) -> None:
    box: Outbox[str] = Outbox()
    await box.emptied()
    box.put("a", "a1")
    box.put("b", "b1")
    waiting = asyncio.create_task(box.emptied())
    await box.take()
    await asyncio.sleep(0)
    assert not waiting.done()
    if close:
        box.close()
    else:
        await box.take()
    await waiting
