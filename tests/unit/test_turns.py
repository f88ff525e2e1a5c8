"""Long work on the event loop lets others run, but not more often than they would notice."""

import asyncio
import time

import pytest

from windlass_server.turns import Turns


@pytest.mark.parametrize(
    ("passed", "given"), [(0.0, False), (0.0099, False), (0.01, True), (3, True)]
)
async def test_others_run_once_they_have_waited_for_ten_milliseconds(
    monkeypatch: pytest.MonkeyPatch, passed: float, given: bool
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    turns, ran = Turns(), []
    asyncio.get_running_loop().call_soon(ran.append, "other")
    now[0] += passed
    await turns.give()
    assert bool(ran) is given
