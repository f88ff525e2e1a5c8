"""Calls to the server about what runs have left: again and again, until it answers."""

# The stubs are generic for the type checker alone.
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio
import tenacity

from windlass.agents.v1 import agents_service_pb2_grpc
from windlass_agent import rpc_errors
from windlass_agent.clock import Clock
from windlass_agent.identity import Identity
from windlass_agent.session import OpenChannel

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]

# A server that answers and fails gets so many tries; one that cannot be reached any number.
_MAX_FAILURES = 8


class Refused(Exception):
    """What the server does not do; the text is for people, `reason` its word for programs."""

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason


class ServerCalls:
    """Calls the server, once it is said where that is.

    Args:
        clock: Waits between tries.
        pauses: Seconds between tries: they double from the first to the second.
    """

    def __init__(self, clock: Clock, *, pauses: tuple[float, float] = (0.5, 10.0)) -> None:
        self._clock = clock
        self._pauses = pauses
        self._channel: grpc.aio.Channel | None = None
        self._identity: Identity | None = None
        self._connected = asyncio.Event()

    def connect(self, open_channel: OpenChannel, identity: Identity) -> None:
        """Say how the server is reached, and as whom. What waits for it begins."""
        self._channel = open_channel()
        self._identity = identity
        self._connected.set()

    async def close(self) -> None:
        """Let go of the connection."""
        self._connected.clear()
        if self._channel is not None:
            await self._channel.close()

    async def call(
        self,
        work: Callable[[agents_service_pb2_grpc.AgentsServiceAsyncStub, Metadata], Awaitable[T]],
    ) -> T:
        """The answer of the server, however long it cannot be reached.

        Raises:
            Refused: it refuses, or fails again and again.
        """
        failures = 0

        def is_worth_another_try(error: BaseException) -> bool:
            nonlocal failures
            if not isinstance(error, grpc.aio.AioRpcError):
                return False
            if rpc_errors.is_unreachable(error):
                return True
            failures += 1
            return rpc_errors.is_passing(error) and failures < _MAX_FAILURES

        first, longest = self._pauses
        retrying = tenacity.AsyncRetrying(
            wait=tenacity.wait_random_exponential(multiplier=first, max=longest),
            sleep=self._clock.sleep,
            retry=tenacity.retry_if_exception(is_worth_another_try),
            reraise=True,
        )
        try:
            return await retrying(self._once, work)
        except grpc.aio.AioRpcError as error:
            raise Refused(rpc_errors.sentence(error), rpc_errors.reason(error)) from None

    async def _once(
        self,
        work: Callable[[agents_service_pb2_grpc.AgentsServiceAsyncStub, Metadata], Awaitable[T]],
    ) -> T:
        await self._connected.wait()
        assert self._channel is not None
        assert self._identity is not None
        stub: agents_service_pb2_grpc.AgentsServiceAsyncStub
        stub = agents_service_pb2_grpc.AgentsServiceStub(self._channel)
        try:
            return await work(stub, self._identity.metadata())
        except grpc.aio.AioRpcError as error:
            self._identity.learn(error.trailing_metadata())
            raise
