"""The key of another installation is kept secret, and the way there is checked."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import self_signed
from tests.support.federated import WEST, Pair
from tests.support.tcp_proxy import proxied

PATH = f"/v1/resources/clusters/{WEST}"


async def test_the_key_is_read_back_nowhere(pair: Pair):
    made = await pair.register()
    secret = pair.key.partition("_")[2]
    texts = [str(made)]
    async with pair.here.rest() as rest:
        bad = {
            "cluster_id": "x",
            "kind": "REMOTE",
            "remote": {"endpoint": "?", "api_key": pair.key},
        }
        twice = {"cluster_id": WEST, "kind": "REMOTE"}
        twice["remote"] = {"endpoint": pair.link.address, "api_key": pair.key}
        answers = [
            await rest.get(PATH),
            await rest.get("/v1/resources/clusters"),
            await rest.patch(PATH, json={"remote": {"api_key": pair.key}}),
            await rest.post("/v1/resources/clusters", json=bad),
            await rest.post("/v1/resources/clusters", json=twice),
        ]
    texts += [answer.text for answer in answers]
    job = await pair.here.submit("true")
    await pair.ended(job.job_id)
    assert pair.here.server is not None
    texts += pair.here.server.lines
    assert not [text for text in texts if secret in text]
    await pair.here.server.kill()
    kept = [file for file in (pair.here.directory / "data").rglob("*") if file.is_file()]
    assert not [file for file in kept if secret.encode() in file.read_bytes()]
    assert kept


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """What a server for `localhost` serves with, and the authority that signed for it."""
    key, chain = self_signed()
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "chain.pem").write_bytes(chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    context.set_alpn_protocols(["h2"])
    return context, chain.decode()


async def test_a_job_goes_over_tls_to_whom_the_authority_signed_for(
    pair: Pair, certificate: tuple[ssl.SSLContext, str]
):
    context, authority = certificate
    async with proxied(pair.west.grpc, context) as link:
        endpoint = f"https://{link.address}"
        settings = {"ca_certificates": authority, "server_name": "localhost"}
        await pair.register(endpoint=endpoint, **settings)
        job = await pair.here.submit("echo", "safe")
        assert (await pair.here.follow(job.job_id))[0] == "safe\n"
        assert (await pair.ended(job.job_id)).placement.cluster == WEST


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_nothing_is_sent_to_whom_nobody_signed_for(
    pair: Pair, certificate: tuple[ssl.SSLContext, str], wrong: str
):
    context, authority = certificate
    async with proxied(pair.west.grpc, context) as link:
        remote: dict[str, Any] = {
            "endpoint": f"https://{link.address}",
            "api_key": "wlk_x",
            "ca_certificates": authority if wrong == "name" else self_signed()[1].decode(),
            "server_name": "localhost" if wrong == "authority" else "west.example",
            "spill_over_after": "0s",
        }
        async with pair.here.rest() as rest:
            body = {"cluster_id": WEST, "kind": "REMOTE", "remote": remote}
            assert (await rest.post("/v1/resources/clusters", json=body)).status_code == 200
        await pair.becomes("UNREACHABLE")
        assert link.bytes_passed == 0
