"""One request to an ASGI application, without anything that could wait but the application."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.gateway import Answer

# A body that is not read to its end is waited for so long by the application itself.
_SECONDS = 20


async def ask(
    app: Callable[..., Awaitable[None]], scope: dict[str, Any], pieces: list[bytes]
) -> Answer:
    """The answer; raises AssertionError when it is not one, and TimeoutError when it does not end."""
    answer = Answer(0, [], [])
    left = list(pieces)
    ended = False

    async def receive() -> dict[str, Any]:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}
        await asyncio.Event().wait()
        raise AssertionError("woken")

    async def send(message: dict[str, Any]) -> None:
        nonlocal ended
        assert not ended, "sent after the end"
        if message["type"] == "http.response.start":
            assert answer.status == 0, "started twice"
            answer.status = message["status"]
            answer.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
            return
        assert answer.status, "a body before its head"
        answer.chunks.append(message["body"])
        ended = not message.get("more_body", False)

    async with asyncio.timeout(_SECONDS):
        await app(scope, receive, send)
    assert ended, "the answer has no end"
    return answer
