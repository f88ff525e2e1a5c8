"""A path of the gateway itself that tells a balancer whether to send requests here."""

import json
from collections.abc import MutableMapping
from typing import Any

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from windlass_server.gateway.app import Gateway
from windlass_server.gateway.dispatch import Dispatcher, OutgoingCall, RpcFailure
from windlass_server.gateway.errors import DEADLINE_EXCEEDED, UNAVAILABLE
from windlass_server.gateway.http_rules import RuleError

_CHECK = "/grpc.health.v1.Health/Check"
_SECONDS = 2.0


class HealthPath:
    """The gateway with one more path, which answers `{"status": "SERVING"}` with 200, else 503.

    The status is that of the upstream's health service. An upstream that has none is taken for
    healthy while it answers at all.

    Args:
        gateway: serves every other path.
        path: taken literally.
        upstream: whose health it is.

    Raises:
        RuleError: the contract serves that path itself.
    """

    def __init__(self, gateway: Gateway, path: str, upstream: Dispatcher) -> None:
        if gateway.serves("GET", path):
            raise RuleError(f"the health path {path} is a path of the API, too")
        self._gateway = gateway
        self._path = path
        self._upstream = upstream
        self._draining = False

    def drain(self) -> None:
        """Answer NOT_SERVING from now on."""
        self._draining = True

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """ASGI's entry."""
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._gateway(scope, receive, send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            status_code = 204 if scope["method"] == "OPTIONS" else 405
            await _send(send, status_code, b"", (b"allow", b"GET, HEAD, OPTIONS"))
            return
        status = "NOT_SERVING" if self._draining else await self._status()
        body = json.dumps({"status": status}).encode() if scope["method"] == "GET" else b""
        await _send(
            send,
            200 if status == "SERVING" else 503,
            body,
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
        )

    async def _status(self) -> str:
        call = OutgoingCall(_CHECK, {}, timeout=_SECONDS)
        try:
            answer = health_pb2.HealthCheckResponse.FromString(
                await self._upstream.unary(call, b"")
            )
        except RpcFailure as failure:
            gone = failure.code in (UNAVAILABLE, DEADLINE_EXCEEDED)
            return "NOT_SERVING" if gone else "SERVING"
        except DecodeError:
            return "NOT_SERVING"
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return "SERVING" if serving else "NOT_SERVING"


async def _send(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    head = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
