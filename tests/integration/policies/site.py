"""One gateway that is asked, and what has to be true of every refusal."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from google.protobuf import any_pb2, json_format

from tests.support.gateway import failure
from tests.support.json_peer import Peers
from tests.support.served_routes import ServedRoute
from windlass_server.gateway.dispatch import OutgoingCall

_REASON = re.compile(r"[A-Z][A-Z0-9_]+")
JSON = {"content-type": "application/json"}
FAILURE_STATUS = 429
FAILURE = {
    "code": 8,
    "message": "enough",
    "details": [{"@type": "type.googleapis.com/other.v1.Unknown", "value": "CAE="}],
}


@dataclass(frozen=True)
class Site:
    """A gateway over HTTP and its routes.

    Attributes:
        http: what is asked.
        failing: the same contract, of which every call fails with `FAILURE`.
    """

    http: httpx.AsyncClient
    failing: httpx.AsyncClient
    routes: list[ServedRoute]
    peers: Peers

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | list[tuple[str, str]] = JSON,
    ) -> httpx.Response:
        """The answer."""
        given = [*(headers.items() if isinstance(headers, Mapping) else headers)]
        if body is None:
            given = [pair for pair in given if pair != ("content-type", "application/json")]
        return await self.http.request(method, target, content=body, headers=given)

    async def refused(
        self,
        status: int,
        reasons: str,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | list[tuple[str, str]] = JSON,
    ) -> httpx.Response:
        """The answer, which has to be a refusal with the status and one of the reasons."""
        answer = await self.ask(method, target, body, headers)
        found = (
            f"{method} {target} {(body or b'')[:80]!r}: {answer.status_code} {answer.text[:300]}"
        )
        assert answer.status_code == status, found
        assert answer.headers["content-type"] == "application/json", found
        if method == "HEAD":
            assert answer.content == b"", found
            return answer
        parsed = self.peers.type("google.rpc.Status")()
        json_format.Parse(answer.content, parsed, descriptor_pool=self.peers.pool)
        assert parsed.code, found
        assert parsed.message, found
        assert reason_of(answer) in reasons.split(), found
        return answer


class Failing:
    """A dispatcher of which every call fails, with a detail of a type that nobody knows."""

    async def unary(self, _call: OutgoingCall, _request: bytes) -> bytes:
        raise self._failure()

    async def stream(self, _call: OutgoingCall, _request: bytes) -> AsyncIterator[bytes]:
        raise self._failure()
        yield b""

    async def client_stream(self, _call: OutgoingCall, _requests: AsyncIterator[bytes]) -> bytes:
        raise self._failure()

    async def bidi_stream(
        self, _call: OutgoingCall, _requests: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        raise self._failure()
        yield b""

    def _failure(self) -> Exception:
        detail = any_pb2.Any(type_url="type.googleapis.com/other.v1.Unknown", value=b"\x08\x01")
        return failure(8, "enough", detail)


def reason_of(answer: httpx.Response) -> str:
    """The reason of the error's only ErrorInfo."""
    infos = [one for one in answer.json()["details"] if one["@type"].endswith("rpc.ErrorInfo")]
    assert len(infos) == 1, answer.text
    assert _REASON.fullmatch(infos[0]["reason"]), answer.text
    assert infos[0]["domain"] == "windlass", answer.text
    return str(infos[0]["reason"])


def names(answer: httpx.Response, *fields: str) -> bool:
    """Whether the error names all of the fields, as far as it can: that of HEAD names none."""
    return answer.request.method == "HEAD" or set(fields) <= set(violations_of(answer))


def violations_of(answer: httpx.Response) -> list[str]:
    """The fields that the error's BadRequest names."""
    if answer.status_code < 400:
        return []
    details: list[dict[str, Any]] = answer.json()["details"]
    return [
        each["field"]
        for one in details
        if one["@type"].endswith("google.rpc.BadRequest")
        for each in one["field_violations"]
    ]
