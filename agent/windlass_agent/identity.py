"""Who this node is: a key that never leaves it, and the name that the server gave it."""

import json
import secrets
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import jwt
import structlog
import tenacity
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from windlass.agents.v1 import agent_pb2, agents_service_pb2, agents_service_pb2_grpc
from windlass_agent import rpc_errors
from windlass_agent.clock import Clock
from windlass_agent.config import ConfigError
from windlass_agent.data_dir import write_atomically, write_json

_log = structlog.get_logger(__name__)

AUDIENCE = "windlass"
TOKEN_SECONDS = 300
_JOIN_DEADLINE_SECONDS = 10.0
_TRY_AGAIN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


class NodeKey:
    """The node's Ed25519 key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_bytes = private.public_key().public_bytes_raw()

    @classmethod
    def load_or_create(cls, path: Path) -> "NodeKey":
        """The key of this file, made on first use. The file is PEM (PKCS 8), readable by its owner.

        Raises:
            ConfigError: the file is no such key, or others may read it.
        """
        if not path.exists():
            return cls._create(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"others may read {path}: run `chmod 600 {path}`")
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"cannot read the node's key {path}: {error}") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise ConfigError(f"{path} is not an Ed25519 key")
        return cls(private)

    @classmethod
    def _create(cls, path: Path) -> "NodeKey":
        private = Ed25519PrivateKey.generate()
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_atomically(path, pem)
        return cls(private)

    def sign(self, claims: dict[str, str | int]) -> str:
        """A JWT of these claims, marked as a node's own."""
        return jwt.encode(claims, self._private, algorithm="EdDSA", headers={"typ": "node+jwt"})


@dataclass(slots=True)
class Identity:
    """A node that has joined.

    Its tokens are signed by the machine's clock, until the server has refused one for its times: then by
    the server's, carried on by the monotonic clock, so that a machine whose clock is wrong is still heard.
    """

    node_id: str
    key: NodeKey
    clock: Clock
    _ahead: float | None = None
    """The server's time less the monotonic clock, in seconds, once it is known."""

    def learn(self, trailing: rpc_errors.Trailing) -> bool:
        """Takes the server's time from what a refused call ended with; whether it told any."""
        nanos = rpc_errors.server_nanos(trailing)
        if nanos is None:
            return False
        self._ahead = nanos / 1e9 - self.clock.monotonic()
        return True

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Call metadata that proves who this is, good for one use within five minutes."""
        now = self._seconds()
        claims: dict[str, str | int] = {
            "sub": self.node_id,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "jti": secrets.token_urlsafe(16),
        }
        return (("authorization", f"Bearer {self.key.sign(claims)}"),)

    def _seconds(self) -> int:
        if self._ahead is None:
            return self.clock.time_nanos() // 1_000_000_000
        return int(self._ahead + self.clock.monotonic())


def stored_node_id(path: Path) -> str | None:
    """The name that the server gave this node earlier, or None when it has not joined.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        node_id = json.loads(path.read_bytes())["node_id"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"cannot read the node's identity {path}: {error!r}") from None
    return str(node_id)


async def join(
    open_channel: Callable[[], grpc.aio.Channel],
    request: agents_service_pb2.JoinRequest,
    *,
    wait: Callable[[tenacity.RetryCallState], float],
    sleep: Callable[[float], Awaitable[None]],
) -> str:
    """Trades the join token for a node id; waits for a server that is not up yet.

    Safe to repeat: the same key gets the same node.

    Raises:
        ConfigError: the server refuses the token.
    """
    async for attempt in tenacity.AsyncRetrying(
        wait=wait,
        sleep=sleep,
        retry=tenacity.retry_if_exception(_may_pass),
        before_sleep=_say_why,
        reraise=True,
    ):
        with attempt:
            try:
                async with open_channel() as channel:
                    stub = agents_service_pb2_grpc.AgentsServiceStub(channel)
                    answer = await stub.Join(request, timeout=_JOIN_DEADLINE_SECONDS)
            except grpc.aio.AioRpcError as error:
                if _may_pass(error):
                    raise
                raise ConfigError(
                    f"the server refuses to let this node join: {error.details()}"
                ) from None
            return answer.node_id
    raise AssertionError("tenacity ended an endless retry")


def remember(path: Path, node_id: str, server: str) -> None:
    """Keeps the name for the next start."""
    write_json(path, {"node_id": node_id, "joined_at": server})


def join_request(
    token: str | None, key: NodeKey, inventory: agent_pb2.Inventory
) -> agents_service_pb2.JoinRequest:
    """What to ask of the server.

    Raises:
        ConfigError: there is no token.
    """
    if not token:
        raise ConfigError(
            "this node has not joined yet and has no join token: set WINDLASS_JOIN_TOKEN, "
            "--join-token-file or --join-token"
        )
    return agents_service_pb2.JoinRequest(
        join_token=token, public_key=key.public_bytes, inventory=inventory
    )


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in _TRY_AGAIN


def _say_why(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, grpc.aio.AioRpcError):
        _log.warning("cannot join yet", code=error.code().name, reason=error.details())
