"""Many followers of one log in one process: `python -m tests.benchmarks.followers_client URL JOB COUNT`.

Says `ready` when all are connected, and at the end a line of JSON: how long each message took, from the
time that the job printed to the arrival at the follower. What was printed before all were connected was
there already for those who came later, and is not measured.
"""

import asyncio
import json
import os
import re
import sys
import time
from urllib.parse import SplitResult, urlsplit

import uvloop

# What the job prints: the time in nanoseconds, as one message.
_TOLD = re.compile(rb'"text":"T(\d+)\\n"')
_AT_ONCE = 50


async def follow(
    url: SplitResult, request: bytes, told: list[tuple[int, int]], ready: asyncio.Event
) -> int:
    """Follow to the end, and note when each message was printed and when it came; how many."""
    reader, writer = await asyncio.open_connection(url.hostname, url.port, limit=1 << 20)
    writer.write(request)
    count = 0
    async for line in reader:
        if line.startswith(b"HTTP/1.1 200"):
            ready.set()
        elif found := _TOLD.search(line):
            count += 1
            told.append((int(found[1]), time.time_ns()))
        elif line.startswith(b"event: end"):
            break
    writer.close()
    return count


async def main(url: str, job_id: str, followers: int) -> None:
    """Connect all, wait for all to end, and say what they saw."""
    parts = urlsplit(url)
    request = (
        f"GET /v1/jobs/{job_id}/logs?follow=true HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Accept: text/event-stream\r\nAuthorization: Bearer {os.environ['BENCH_TOKEN']}\r\n\r\n"
    ).encode()
    told: list[tuple[int, int]] = []
    tasks = []
    for first in range(0, followers, _AT_ONCE):
        ready = [asyncio.Event() for _ in range(min(_AT_ONCE, followers - first))]
        tasks += [asyncio.create_task(follow(parts, request, told, event)) for event in ready]
        await asyncio.gather(*(event.wait() for event in ready))
    print("ready", flush=True)
    ready_at = time.time_ns()
    counts = await asyncio.gather(*tasks)
    late = sorted((came - printed) / 1e6 for printed, came in told if printed > ready_at)
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
