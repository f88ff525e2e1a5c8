"""Brings the log of a job at another cluster here, whole and once, however often the link is cut.

What comes behind a cursor is always the same, cut in the same pieces, and each piece is a frame of the
log here. So position and cursor are written down together now and then: whoever goes on from there, also
after a crash, gets some pieces again, and the log skips what it has.
"""

import asyncio
from collections.abc import AsyncIterator

from windlass.jobs.v1 import job_pb2
from windlass_server.federation.link import Calls, LinkDown, Refused
from windlass_server.jobs.remote_runs import RemoteRunsService
from windlass_server.objects.frames import MAX_BATCH_BYTES, encode
from windlass_server.objects.logs import LogRefused, LogStore
from windlass_server.storage.tables import RemoteRunRow

_NOTE_SECONDS = 1.0
# Messages that are read ahead, each of at most 64 KiB.
_AHEAD = 64
_NANOS = 1_000_000_000


class LogFollower:
    """Follows the log of one run.

    Args:
        run: as its row was read; not changed.
    """

    def __init__(
        self, link: Calls, runs: RemoteRunsService, logs: LogStore, run: RemoteRunRow
    ) -> None:
        self._link = link
        self._runs = runs
        self._logs = logs
        self._run_id = run.run_id
        self._remote_job_id = run.remote_job_id
        self._cursor = run.log_cursor
        self._position = run.log_position

    async def follow(self) -> bool:
        """Return when nothing more comes, or, False, when the link is cut; then follow again."""
        if await self._logs.end(self._run_id) < self._position:
            # What was noted is on another server's disk.
            self._cursor, self._position = "", 0
        try:
            await self._read()
        except LinkDown:
            await self._note()
            return False
        except Refused as refused:
            lost = f"the cluster does not give the rest of the output: {refused.message}"
            await self._whole(lost)
        except LogRefused as refused:
            lost = f"the output does not go on where it broke off: {refused.message}"
            await self._whole(lost)
        return True

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        noted = loop.time()
        async for batch in _batches(self._link.log(self._remote_job_id, self._cursor)):
            await self._take(batch)
            last = batch[-1]
            if last.HasField("end"):
                lost = "; ".join(dict.fromkeys(one.message for one in last.end.incomplete))
                await self._whole(lost)
                return
            if last.HasField("error"):
                raise LinkDown(last.error.message)
            if loop.time() - noted >= _NOTE_SECONDS:
                noted = loop.time()
                await self._note()

    async def _take(self, batch: list[job_pb2.JobLogMessage]) -> None:
        frames = b"".join(_frame(message.chunk) for message in batch if message.HasField("chunk"))
        if frames:
            await self._logs.append(self._run_id, self._position, frames)
            self._position += len(frames)
        self._cursor = batch[-1].cursor or self._cursor

    async def _note(self) -> None:
        await self._runs.log_reaches(self._run_id, self._cursor, self._position)

    async def _whole(self, lost: str) -> None:
        await self._runs.log_is_whole(self._run_id, self._cursor, self._position, lost)


def _frame(chunk: job_pb2.LogChunk) -> bytes:
    payload = chunk.data if chunk.HasField("data") else chunk.text.encode()
    return encode(chunk.stream, chunk.time.seconds * _NANOS + chunk.time.nanos, payload)


async def _batches(
    messages: AsyncIterator[job_pb2.JobLogMessage],
) -> AsyncIterator[list[job_pb2.JobLogMessage]]:
    """What has come meanwhile, together, as far as one append takes it; its errors at their place."""
    queue: asyncio.Queue[job_pb2.JobLogMessage | Exception] = asyncio.Queue(_AHEAD)
    pump = asyncio.create_task(_pump(messages, queue))
    try:
        batch: list[job_pb2.JobLogMessage] = []
        size = 0
        while True:
            one = await queue.get()
            if isinstance(one, Exception):
                if batch:
                    yield batch
                raise one
            more = one.ByteSize()
            if batch and size + more > MAX_BATCH_BYTES // 2:
                yield batch
                batch, size = [], 0
            batch.append(one)
            size += more
            if queue.empty():
                yield batch
                batch, size = [], 0
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def _pump(
    messages: AsyncIterator[job_pb2.JobLogMessage],
    queue: "asyncio.Queue[job_pb2.JobLogMessage | Exception]",
) -> None:
    try:
        async for message in messages:
            await queue.put(message)
    except (LinkDown, Refused) as error:
        await queue.put(error)
    else:
        await queue.put(LinkDown("the stream stopped before its end"))
