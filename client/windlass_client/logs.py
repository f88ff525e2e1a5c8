"""Following a job's log over broken connections without losing or doubling a line.

`LogReader` holds the only state that matters, the cursor behind the last message that was handed on,
and decides what to ask for and whether to go on. The two loops that read are all that differs between
the blocking and the asyncio client.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import grpc

from windlass.jobs.v1 import job_pb2, jobs_service_pb2_grpc
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_client.connect import AioTransport, BlockingTransport, Manner
from windlass_client.errors import Unavailable, WindlassError
from windlass_client.resuming import OnBreak, Resuming


class LogReader:
    """The state of one reading of a log, from its first message to its end."""

    def __init__(
        self,
        request: pb.StreamJobLogsRequest,
        manner: Manner,
        on_break: OnBreak | None = None,
    ) -> None:
        self._request = request
        self._resuming = Resuming(manner, on_break)
        self.ended = False

    def request(self) -> pb.StreamJobLogsRequest:
        """What to open the next stream with: the first request, or one behind the last message."""
        return self._request

    def accept(self, message: job_pb2.JobLogMessage) -> bool:
        """Note a message; True when it is the caller's, False when it only keeps the stream alive.

        Raises:
            Unavailable: the server says that the stream broke.
        """
        if message.cursor:
            # The tail was served by the stream that broke.
            self._request.ClearField("tail")
            self._request.cursor = message.cursor
        kind = message.WhichOneof("content")
        if kind == "error":
            raise Unavailable(message.error.message, reason=message.error.reason)
        self._resuming.went_on()
        self.ended = kind == "end"
        return kind in ("chunk", "end")

    def broken(self, error: WindlassError | None) -> float:
        """Decide about a stream that stopped before its end.

        Args:
            error: why; None when it ended as if all were well.

        Returns:
            Seconds to wait before the next stream.

        Raises:
            WindlassError: `error` itself, when reading again cannot help or took too long already.
        """
        stopped = Unavailable("the log stream stopped before its end", reason="LOG_BROKEN")
        return self._resuming.wait(error or stopped)


def read(
    transport: BlockingTransport, reader: LogReader, sleep: Callable[[float], None] = time.sleep
) -> Iterator[job_pb2.JobLogMessage]:
    """Yield chunks and finally the end message, reopening the stream as often as it breaks."""
    while not reader.ended:
        error: WindlassError | None = None
        try:
            for message in transport.stream(_bind, reader.request()):
                if reader.accept(message):
                    yield message
                if reader.ended:
                    return
        except WindlassError as failure:
            error = failure
        sleep(reader.broken(error))


async def read_async(
    transport: AioTransport, reader: LogReader
) -> AsyncIterator[job_pb2.JobLogMessage]:
    """The same on the running event loop."""
    while not reader.ended:
        error: WindlassError | None = None
        try:
            async for message in transport.stream(_bind, reader.request()):
                if reader.accept(message):
                    yield message
                if reader.ended:
                    return
        except WindlassError as failure:
            error = failure
        await asyncio.sleep(reader.broken(error))


def _bind(
    channel: grpc.Channel,
) -> "grpc.UnaryStreamMultiCallable[pb.StreamJobLogsRequest, job_pb2.JobLogMessage]":
    return jobs_service_pb2_grpc.JobsServiceStub(channel).StreamJobLogs
