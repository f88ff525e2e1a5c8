"""The messages of a client's stream, made of its request body while it comes.

The body is a JSON array or one JSON value per line (`application/x-ndjson`, also called
`application/ndjson` and `application/jsonl`); each element is a message, or the field of it that the
rule calls its body. What the path and the query bind is bound into the first message alone, as Envoy
does: a later message says only what its element says. A rule without a body has one message, of its
path and query.
"""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from windlass_server.gateway.body_stream import BodyStream
from windlass_server.gateway.errors import Refusal
from windlass_server.gateway.headers import RequestHeaders, check_content_type
from windlass_server.gateway.json_elements import (
    ArrayElements,
    Elements,
    LineElements,
    element_too_large,
    is_lines,
)
from windlass_server.gateway.transcoder import Binding


def json_messages(
    binding: Binding,
    values: Sequence[str],
    query: str,
    headers: RequestHeaders,
    body: BodyStream,
    *,
    element_limit: int,
    message_limit: int,
) -> AsyncGenerator[bytes]:
    """The messages of a stream of JSON values.

    The parameters are checked at once, also when no message comes to hold them.

    Args:
        binding: of the RPC.
        values: decoded values of the path's variables.
        query: the raw query string.
        headers: of the request.
        body: the elements; read as fast as the messages are taken.
        element_limit: most bytes of an element, as JSON.
        message_limit: most bytes of a serialized message.

    Raises:
        Refusal: for bad parameters and content types at once; of the iterator for a bad element, by
            its index.
    """
    first = binding.request(values, query, b"")
    if not binding.takes_body:
        return _one(first, body)
    content_type = headers.others.get("content_type", "")
    elements: Elements = LineElements(element_limit)
    if not is_lines(content_type):
        check_content_type(content_type)
        elements = ArrayElements(element_limit)
    return _read(binding, values, query, body, elements, message_limit)


async def _one(message: bytes, body: BodyStream) -> AsyncGenerator[bytes]:
    await body.refuse_any("this method takes no body")
    yield message


async def _read(
    binding: Binding,
    values: Sequence[str],
    query: str,
    body: BodyStream,
    elements: Elements,
    limit: int,
) -> AsyncGenerator[bytes]:
    index = 0
    async for element in _elements(body, elements):
        try:
            message = binding.element(element) if index else binding.request(values, query, element)
        except Refusal as refusal:
            raise at_element(refusal, index) from None
        if len(message) > limit:
            raise element_too_large(index, limit)
        yield message
        index += 1


async def _elements(body: BodyStream, elements: Elements) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(body.pieces()) as pieces:
        async for piece in pieces:
            for element in elements.feed(piece):
                yield element
    for element in elements.end():
        yield element


def at_element(refusal: Refusal, index: int) -> Refusal:
    """The refusal of what an element says, which names the element by its index."""
    place = f"[{index}]"
    violations = tuple(
        replace(each, field=f"{place}.{each.field}" if each.field else place)
        for each in refusal.violations
    )
    return Refusal(
        refusal.code,
        refusal.reason,
        f"element {index}: {refusal.message}",
        http_status=refusal.http_status,
        violations=violations,
        headers=refusal.headers,
        metadata={**refusal.metadata, "index": str(index)},
    )
