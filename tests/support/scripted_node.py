"""A node by hand against a real server: it joins, holds a session, and floods when it is told to.

`python -m tests.support.scripted_node` floods from a process of its own: it takes one line of JSON, what
`dump` made and the number of series, and says `flooding` when it does.
"""

# The stubs are generic for the type checker alone.
from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc import aio

from tests.support.fake_agent import heartbeat, hello, samples, series
from tests.support.nodes import an_inventory
from windlass.agents.v1 import agent_pb2, agents_service_pb2, agents_service_pb2_grpc

if TYPE_CHECKING:
    from tests.support.cluster import Cluster


class Session:
    """A control session that is up."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def send(self, message: agent_pb2.AgentMessage) -> None:
        """Say something."""
        await self._call.write(agents_service_pb2.OpenSessionRequest(message=message))

    async def beat(self) -> None:
        """Send a heartbeat and wait for its answer: what was said before has been taken in."""
        await self.send(heartbeat())
        await self.receive("heartbeat_reply")

    async def receive(self, kind: str) -> Any:
        """The next message of a kind; others are dropped."""
        while True:
            response = await self._call.read()
            if response is aio.EOF:
                raise EOFError(f"{await self._call.code()}: {await self._call.details()}")
            if response.message.WhichOneof("content") == kind:
                return getattr(response.message, kind)


@dataclass(frozen=True)
class ScriptedNode:
    """A node that has joined."""

    server: str
    node_id: str
    key: Ed25519PrivateKey
    clock_offset: int = 0
    """How many seconds the node's clock is ahead."""

    @classmethod
    async def join(cls, cluster: Cluster) -> ScriptedNode:
        """Join with a fresh token."""
        key = Ed25519PrivateKey.generate()
        request = agents_service_pb2.JoinRequest(
            join_token=await cluster.join_token(),
            public_key=key.public_key().public_bytes_raw(),
            inventory=an_inventory(gpus=2),
        )
        stub = agents_service_pb2_grpc.AgentsServiceStub(cluster.channel)
        return cls(cluster.grpc, (await stub.Join(request)).node_id, key)

    def dump(self) -> dict[str, Any]:
        """For another process."""
        key = self.key.private_bytes_raw().hex()
        return {"server": self.server, "node_id": self.node_id, "key": key}

    @classmethod
    def parse(cls, values: dict[str, Any]) -> ScriptedNode:
        """What `dump` made."""
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(values["key"]))
        return cls(values["server"], values["node_id"], key)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What proves who it is, for one call."""
        now = int(time.time()) + self.clock_offset  # noqa: TID251 - the server's clock is the real one
        claims = {
            "sub": self.node_id,
            "aud": "windlass",
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_urlsafe(8),
        }
        token = jwt.encode(claims, self.key, algorithm="EdDSA", headers={"typ": "node+jwt"})
        return (("authorization", f"Bearer {token}"),)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Hold a control session.

        Raises:
            AioRpcError: the server refuses it.
        """
        async with aio.insecure_channel(self.server) as channel:
            stub = agents_service_pb2_grpc.AgentsServiceStub(channel)
            call: Any = stub.OpenSession(metadata=self.metadata())
            session = Session(call)
            if not await call.initial_metadata():  # it is refused: writing would hide why
                await session.receive("anything")
            await session.send(hello(inventory=an_inventory(gpus=2)))
            await session.receive("sync_end")
            yield session
            call.cancel()

    async def flood(self, count: int) -> None:
        """Send batches of so many series as fast as the connection takes them, until killed."""
        batch = samples(*[series("GPU_POWER_WATTS", "GPU-0", 400.0)] * count)
        request = agents_service_pb2.StreamTelemetryRequest(message=batch)
        async with aio.insecure_channel(self.server) as channel:
            stub = agents_service_pb2_grpc.AgentsServiceStub(channel)
            call: Any = stub.StreamTelemetry(metadata=self.metadata())
            await call.read()  # the first credit
            sys.stdout.write("flooding\n")
            sys.stdout.flush()
            while True:
                await call.write(request)


if __name__ == "__main__":
    orders = json.loads(sys.stdin.readline())
    asyncio.run(ScriptedNode.parse(orders).flood(orders["series"]))
