"""Pages of other origins, on both front ends: what a browser reads of their answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.differential.backend import Script
from tests.differential.lab import FRONT, SERVICES, gateway_before, running_backend, serving
from tests.differential.raw_http import Reply, send
from tests.support.envoy import running_envoy
from windlass_server.gateway.cors import Cors
from windlass_server.gateway.envoy.bootstrap import bootstrap
from windlass_server.gateway.serving import Address

HOME, ELSEWHERE = "https://console.example", "https://evil.example"
TARGET = "/v1/things/x"


@asynccontextmanager
async def front_ends(
    sample_set: bytes, directory: Path, *origins: str
) -> AsyncIterator[dict[str, str]]:
    """Both, by name, with pages of these origins."""
    async with running_backend(sample_set) as backend:
        backend.expect(Script())
        front = replace(FRONT, server=Address("127.0.0.1", backend.port), cors_origins=origins)
        async with (
            gateway_before(backend, sample_set) as gateway,
            serving(Cors(gateway, origins)) as address,
            running_envoy(bootstrap(sample_set, SERVICES, front), directory) as envoy,
        ):
            yield {"gateway": address, "envoy": envoy}


def names(reply: Reply, header: str) -> set[str]:
    return {name.strip().lower() for name in reply.headers.get(header, "").split(",")} - {""}


async def get(address: str, origin: str, target: str = TARGET) -> Reply:
    return await send(address, "GET", target, (("origin", origin),))


async def preflight(address: str, origin: str) -> Reply:
    asked = (
        ("origin", origin),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "authorization, content-type"),
    )
    return await send(address, "OPTIONS", TARGET, asked)


async def test_pages_of_the_origin_may_ask_and_read(sample_set, tmp_path):
    async with front_ends(sample_set, tmp_path, HOME) as addresses:
        for address in addresses.values():
            answer = await preflight(address, HOME)
            assert answer.status in (200, 204)
            assert answer.headers["access-control-allow-origin"] == HOME
            assert "patch" in names(answer, "access-control-allow-methods")
            wanted = {"authorization", "content-type"}
            assert names(answer, "access-control-allow-headers") >= wanted
            assert answer.headers["access-control-max-age"] == "600"
            for target in (TARGET, "/nowhere", f"{TARGET}?nonsense=1"):
                answer = await get(address, HOME, target)
                assert answer.headers["access-control-allow-origin"] == HOME, target
                assert "origin" in names(answer, "vary"), target


async def test_pages_of_other_origins_may_not(sample_set, tmp_path):
    async with front_ends(sample_set, tmp_path, HOME) as addresses:
        for address in addresses.values():
            for answer in (await get(address, ELSEWHERE), await preflight(address, ELSEWHERE)):
                assert "access-control-allow-origin" not in answer.headers
            assert (await preflight(address, ELSEWHERE)).headers["allow"]


@pytest.mark.parametrize("origin", [HOME, ELSEWHERE])
async def test_pages_of_any_origin_may_where_that_is_said(sample_set, tmp_path, origin):
    async with front_ends(sample_set, tmp_path, "*") as addresses:
        for address in addresses.values():
            answer = await get(address, origin)
            assert answer.headers["access-control-allow-origin"] in (origin, "*")
            assert "access-control-allow-credentials" not in answer.headers
