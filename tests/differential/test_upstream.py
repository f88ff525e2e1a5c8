"""Upstreams that are away, come and go, or talk TLS, behind both front ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.differential.backend import Backend, Script, Types
from tests.differential.lab import FRONT, SERVICES, gateway_before, running_backend, serving
from tests.differential.outcome import Outcome, read
from tests.differential.raw_http import send
from tests.support.certificates import self_signed
from tests.support.envoy import running_envoy
from windlass_server.gateway.envoy.bootstrap import Front, bootstrap
from windlass_server.gateway.serving import Address


@asynccontextmanager
async def envoy_before(sample_set: bytes, directory: Path, front: Front) -> AsyncIterator[str]:
    async with running_envoy(bootstrap(sample_set, SERVICES, front), directory) as address:
        yield address


async def get(
    address: str, target: str = "/v1/things/x", accept: str = "application/json"
) -> Outcome:
    reply = await send(address, "GET", target, (("accept", accept),))
    return read(reply, (), "json")


@pytest.mark.parametrize("target", ["/v1/things/x", "/v1/watch/t"])
async def test_an_upstream_that_is_away_is_said_in_the_same_words(sample_set, tmp_path, target):
    async with running_backend(sample_set) as backend:
        front = replace(FRONT, server=Address("127.0.0.1", backend.port))
        async with (
            gateway_before(backend, sample_set) as gateway,
            serving(gateway) as address,
            envoy_before(sample_set, tmp_path, front) as envoy,
        ):
            await backend.stop()
            ours, theirs = await get(address, target), await get(envoy, target)
    assert ours == theirs
    assert (ours.status, ours.reason) == (503, "UPSTREAM_UNAVAILABLE")
    assert ours.headers["retry-after"] == "1"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[grpc.ServerCredentials, Path]:
    """What a server on localhost shows, and the file of who signed it."""
    key, pem = self_signed()
    path = tmp_path / "ca.pem"
    path.write_bytes(pem)
    return grpc.ssl_server_credentials([(key, pem)]), path


async def test_an_upstream_is_talked_to_in_tls_when_its_name_and_certificate_are_right(
    sample_set, tmp_path, certificate
):
    credentials, trusted = certificate
    backend = Backend(Types(sample_set), credentials)
    backend.expect(Script())
    await backend.start()
    other = tmp_path / "other.pem"
    other.write_bytes(self_signed()[1])
    named = replace(FRONT, server=Address("localhost", backend.port), tls=True)
    unnamed = replace(named, server=Address("127.0.0.1", backend.port))
    try:
        for front, status in (
            (replace(named, ca_path=str(trusted)), 200),
            (replace(named, ca_path=str(other)), 503),
            (replace(unnamed, ca_path=str(trusted)), 503),
        ):
            async with envoy_before(sample_set, tmp_path, front) as envoy:
                assert (await get(envoy)).status == status, front
    finally:
        await backend.stop()
