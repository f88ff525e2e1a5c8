"""One answer that is awaited while its client may leave."""

import asyncio

import pytest

from windlass_server.gateway.watched import ClientGone, unless_gone


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Watch at once whoever has to wait."""
    monkeypatch.setattr("windlass_server.gateway.watched._PATIENCE_S", 0.0)


async def never():
    await asyncio.Event().wait()


async def left():
    return {"type": "http.disconnect"}


async def test_an_answer_that_is_there_is_given_also_when_the_client_has_left():
    async def answer():
        return b"a"

    assert await unless_gone(left, answer()) == b"a"


async def test_an_answer_that_comes_in_several_steps_is_given():
    async def answer():
        parts = []
        for part in (b"a", b"b", b"c"):
            await asyncio.sleep(0)
            async with asyncio.timeout(5):
                parts.append(await asyncio.wait_for(asyncio.sleep(0, part), 5))
        return b"".join(parts)

    assert await unless_gone(never, answer()) == b"abc"


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_an_error_is_raised_at_whichever_step_it_comes(steps):
    async def answer():
        for _ in range(steps):
            await asyncio.sleep(0)
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        await unless_gone(never, answer())


async def test_a_client_that_leaves_ends_the_call():
    ended = asyncio.Event()

    async def answer():
        try:
            await never()
        finally:
            await asyncio.sleep(0)
            ended.set()

    with pytest.raises(ClientGone):
        await unless_gone(left, answer())
    assert ended.is_set()


async def test_a_timeout_around_it_cancels_the_call():
    ended = asyncio.Event()

    async def answer():
        try:
            await never()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(unless_gone(never, answer()), 0.01)
    assert ended.is_set()
