import asyncio
import datetime
import ipaddress

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.fake_control_plane import NODE_ID, FakeControlPlane
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.channel import channel_to
from windlass_agent.clock import SystemClock
from windlass_agent.config import ConfigError, load_config
from windlass_agent.identity import NodeKey, join, join_request
from windlass_agent.reconnect import Backoff


async def joined(plane, tmp_path, token, *flags):
    config = load_config(["--server", plane.address, "--data-dir", str(tmp_path), *flags], {})
    key = NodeKey.load_or_create(tmp_path / "node.key")
    request = join_request(token, key, pb.Inventory(hostname="here"))
    return await join(
        lambda: channel_to(config),
        request,
        wait=Backoff(initial=0.01, cap=0.02),
        sleep=SystemClock().sleep,
    )


async def test_a_good_token_buys_a_node_id(plane, tmp_path):
    assert await joined(plane, tmp_path, "join-me") == NODE_ID
    (request,) = plane.joins
    assert len(request.public_key) == 32
    assert request.inventory.hostname == "here"


async def test_joining_again_with_the_same_key_is_the_same_node(plane, tmp_path):
    assert await joined(plane, tmp_path, "join-me") == await joined(plane, tmp_path, "join-me")


async def test_a_server_that_is_not_up_yet_is_waited_for(plane, tmp_path):
    plane.join_failures = [grpc.StatusCode.UNAVAILABLE] * 3
    assert await joined(plane, tmp_path, "join-me") == NODE_ID
    assert len(plane.joins) == 4


@pytest.mark.parametrize(
    ("code", "complaint"),
    [(None, "the join token is not good"), (grpc.StatusCode.INVALID_ARGUMENT, "not now")],
)
async def test_a_refusal_is_final_and_one_clear_line(plane, tmp_path, code, complaint):
    plane.join_failures = [code] if code else []
    with pytest.raises(ConfigError, match=f"refuses to let this node join: {complaint}"):
        await joined(plane, tmp_path, "join-me" if code else "stolen")
    assert len(plane.joins) == 1


async def test_waiting_for_the_server_can_be_given_up(plane, tmp_path):
    plane.join_failures = [grpc.StatusCode.UNAVAILABLE] * 1000
    task = asyncio.ensure_future(joined(plane, tmp_path, "join-me"))
    await plane.until_joined(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def self_signed():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's server")])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(pem)


async def test_a_server_with_a_trusted_certificate_is_joined_over_tls_and_no_other(tmp_path):
    trusted, strange = self_signed(), self_signed()
    (tmp_path / "trusted.pem").write_bytes(trusted[1])
    (tmp_path / "strange.pem").write_bytes(strange[1])
    async with FakeControlPlane(grpc.ssl_server_credentials([trusted])) as plane:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await joined(plane, tmp_path, "join-me", "--ca-file", str(tmp_path / "strange.pem"))
        assert plane.joins == []
        known = ("--ca-file", str(tmp_path / "trusted.pem"))
        assert await joined(plane, tmp_path, "join-me", *known) == NODE_ID
