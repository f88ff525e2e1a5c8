"""Sends a file to the client as its RPC gives it, piece by piece."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

from windlass_server.gateway.body import Receive
from windlass_server.gateway.downloads import (
    FileHead,
    conditions,
    file_head,
    take_file_metadata,
)
from windlass_server.gateway.exchange import Exchange
from windlass_server.gateway.headers import RequestHeaders
from windlass_server.gateway.http_body import FileBytes
from windlass_server.gateway.pump import closable
from windlass_server.gateway.transcoder import Binding
from windlass_server.gateway.watched import Watched


class NotWhole(Exception):
    """A service that sent more or fewer bytes of a file than it said."""


async def send_file(
    exchange: Exchange,
    headers: RequestHeaders,
    binding: Binding,
    answers: AsyncIterator[bytes],
    receive: Receive,
    *,
    whole: bool,
    write_timeout_s: float,
) -> None:
    """Send the file that the RPC's messages are of, all but the end of the answer.

    Args:
        exchange: of the request; its call's metadata says what there is to say of the file.
        headers: of the request.
        binding: of the RPC.
        answers: its messages; closed at the end, however it comes.
        receive: tells when the client leaves.
        whole: whether the first message is the whole file.
        write_timeout_s: seconds that the client may take to make room for what is sent.

    Raises:
        ClientGone: the client left, or does not read.
        Refusal: the client asked for what the file does not have.
        Exception: what the RPC raised; when the answer has begun it must be cut off.
    """
    watched = Watched(receive, write_timeout_s)
    async with closable(answers) as messages, watched:
        try:
            first = await anext(messages, None)
        finally:
            # Not in an error's answer.
            metadata = take_file_metadata(exchange.call.response_metadata)
        part = FileBytes("", b"") if first is None else binding.file(first)
        size = len(part.data) if whole else _declared_size(metadata)
        asked = conditions(exchange.scope["method"], headers)
        head = file_head(asked, metadata, part.content_type, size)
        await exchange.start_file(head.status, head.headers)
        if head.status != 304 and not exchange.is_head:
            await _send_bytes(exchange, binding, head, part.data, messages, watched)


async def _send_bytes(
    exchange: Exchange,
    binding: Binding,
    head: FileHead,
    data: bytes,
    messages: AsyncGenerator[bytes],
    watched: Watched,
) -> None:
    skip, left = head.skip, head.length
    while True:
        cut = data[skip:] if skip else data
        skip -= len(data) - len(cut)
        if left is not None:
            # A file that is longer than it says: what is behind its length is not sent.
            cut = cut if len(cut) <= left else cut[:left]
            left -= len(cut)
        if cut:
            watched.sending_since = time.monotonic()
            await exchange.send_chunk(cut)
            watched.sending_since = None
        # Neither a service that has it all in memory nor a server whose client has left waits for
        # anything: let others run, and be told that the client has left.
        await asyncio.sleep(0)
        if left == 0 or (message := await anext(messages, None)) is None:
            break
        data = binding.file(message).data
    if left:
        raise NotWhole(f"{binding.rpc}: the file ends {left} bytes before it should")


def _declared_size(metadata: dict[str, str]) -> int | None:
    text = metadata.get("x-content-length", "")
    return int(text) if text.isdecimal() and len(text) <= 18 else None
