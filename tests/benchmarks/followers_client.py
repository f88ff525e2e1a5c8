"""Many followers of one log in one process: `python -m tests.benchmarks.followers_client URL JOB COUNT`.

Says `ready` when all are connected, and at the end a line of JSON: how long each message took, from the
time that the job printed to the arrival at the follower.
"""

import asyncio
import json
import os
import re
import sys
import time
from urllib.parse import urlsplit

import uvloop

# What the job prints: the time in nanoseconds, as one message.
_TOLD = re.compile(rb'"text":"T(\d+)\\n"')
_AT_ONCE = 50


async def follow(
    host: str, port: int, request: bytes, late: list[float], ready: asyncio.Event
) -> int:
    """Follow to the end; the number of messages."""
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
    writer.write(request)
    count = 0
    async for line in reader:
        now = time.time_ns()
        if line.startswith((b"retry:", b"HTTP/1.1 200")):
            ready.set()
        elif found := _TOLD.search(line):
            count += 1
            late.append((now - int(found[1])) / 1e6)
        elif line.startswith(b"event: end"):
            break
    writer.close()
    return count


async def main(url: str, job_id: str, followers: int) -> None:
    """Connect all, wait for all to end, and say what they saw."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    request = (
        f"GET /v1/jobs/{job_id}/logs?follow=true HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Accept: text/event-stream\r\nAuthorization: Bearer {os.environ['BENCH_TOKEN']}\r\n\r\n"
    ).encode()
    late: list[float] = []
    tasks, events = [], []
    for first in range(0, followers, _AT_ONCE):
        group = [asyncio.Event() for _ in range(min(_AT_ONCE, followers - first))]
        tasks += [
            asyncio.create_task(follow(parts.hostname, parts.port, request, late, event))
            for event in group
        ]
        events += group
        await asyncio.gather(*(event.wait() for event in group))
    print("ready", flush=True)
    counts = await asyncio.gather(*tasks)
    late.sort()
    print(
        json.dumps(
            {
                "messages": len(late),
                "least": min(counts),
                "most": max(counts),
                "p50_ms": late[len(late) // 2],
                "p99_ms": late[int(len(late) * 0.99)],
                "longest_ms": late[-1],
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
