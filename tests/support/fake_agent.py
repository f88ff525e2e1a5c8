"""A node's side of its streams, by hand, over anything that takes requests and yields responses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Generic, TypeVar

from tests.support.nodes import an_inventory
from windlass.agents.v1 import agent_pb2

Sent = TypeVar("Sent")
Received = TypeVar("Received")

_PATIENCE_SECONDS = 10.0


class FakeStream(Generic[Sent, Received]):
    """One stream: `send` what a node says, `receive` what it is told."""

    def __init__(self, connect: Callable[[AsyncIterator[Sent]], AsyncIterator[Received]]) -> None:
        self._outgoing: asyncio.Queue[Sent | None] = asyncio.Queue()
        self._received: asyncio.Queue[Received | BaseException | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._pump(connect(self._messages())))

    def send(self, *messages: Sent) -> None:
        for message in messages:
            self._outgoing.put_nowait(message)

    async def receive(self) -> Received:
        """The next message; raises what the stream ended with, or EOFError."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            answer = await self._received.get()
        if answer is None:
            raise EOFError
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def received(self) -> list[Received]:
        """What has come meanwhile, without waiting."""
        found = []
        while not self._received.empty():
            answer = self._received.get_nowait()
            if answer is None or isinstance(answer, BaseException):
                self._received.put_nowait(answer)
                break
            found.append(answer)
        return found

    def half_close(self) -> None:
        """Say that nothing more comes."""
        self._outgoing.put_nowait(None)

    async def break_off(self) -> None:
        """Be gone at once."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _messages(self) -> AsyncIterator[Sent]:
        while (message := await self._outgoing.get()) is not None:
            yield message

    async def _pump(self, answers: AsyncIterator[Received]) -> None:
        try:
            async for answer in answers:
                self._received.put_nowait(answer)
        except Exception as error:
            self._received.put_nowait(error)
        else:
            self._received.put_nowait(None)
        finally:
            close = getattr(answers, "aclose", None)
            if close is not None:
                await close()


def hello(
    *runs: agent_pb2.RunReport,
    version: int = 1,
    inventory: agent_pb2.Inventory | None = None,
) -> agent_pb2.AgentMessage:
    return agent_pb2.AgentMessage(
        hello=agent_pb2.Hello(
            protocol_version=version, inventory=inventory or an_inventory(), runs=runs
        )
    )


def heartbeat() -> agent_pb2.AgentMessage:
    return agent_pb2.AgentMessage(heartbeat=agent_pb2.Heartbeat())


def reports(run: agent_pb2.RunReport) -> agent_pb2.AgentMessage:
    return agent_pb2.AgentMessage(run_report=run)


def log_batch(
    run_id: str, position: int, frames: bytes, epoch: int = 1, lost: str = ""
) -> agent_pb2.TelemetryMessage:
    batch = agent_pb2.LogBatch(
        run_id=run_id, epoch=epoch, position=position, frames=frames, lost=lost
    )
    return agent_pb2.TelemetryMessage(logs=batch)


def samples(
    *series: agent_pb2.Series,
    at_nanos: int = 1_800_000_000_000_000_000,
    deltas: Sequence[int] = (0,),
    processes: Sequence[agent_pb2.GpuProcessSample] = (),
) -> agent_pb2.TelemetryMessage:
    return agent_pb2.TelemetryMessage(
        samples=agent_pb2.SampleBatch(
            base_time_nanos=at_nanos,
            time_deltas_nanos=deltas,
            series=series,
            gpu_processes=processes,
        )
    )


def series(measured: str, subject: str, *values: float) -> agent_pb2.Series:
    return agent_pb2.Series(field=measured, subject=subject, values=values)
