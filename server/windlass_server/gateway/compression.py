"""gzip for whole answers: JSON of some size, to callers who take it.

Streams and files are never compressed here: a stream's messages have to arrive when they come, and a
file's ranges and digests are of its own bytes.
"""

import asyncio
import zlib

# Below this, headers and the time it takes outweigh what is saved.
MIN_BYTES = 1024
# The fastest one takes 3 us for each KiB of JSON and leaves a tenth of it; the others take up to ten
# times as long for a few percent.
_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS
# What takes longer than a switch to another thread and back.
_LARGE_BYTES = 256 << 10


async def compress(body: bytes) -> bytes:
    """The body as gzip; a large one is compressed in another thread."""
    if len(body) < _LARGE_BYTES:
        return _compress(body)
    return await asyncio.to_thread(_compress, body)


def _compress(body: bytes) -> bytes:
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return stream.compress(body) + stream.flush()
