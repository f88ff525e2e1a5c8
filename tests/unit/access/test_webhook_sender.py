"""Receivers are reached at the address that was checked, by the name that their certificate is for."""

import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.support.certificates import self_signed
from tests.support.fake_clock import FakeClock
from tests.support.webhook_receiver import Receiver, receiving
from windlass_server.access.webhook_addresses import WebhookAddresses
from windlass_server.access.webhook_sender import Outcome, WebhookSender

LOOPBACK = (ip_network("127.0.0.1/32"),)


@pytest.fixture
async def tls(tmp_path: Path) -> AsyncIterator[tuple[Receiver, ssl.SSLContext]]:
    """A receiver with a certificate for `localhost`, and who trusts it."""
    key, certificate = self_signed()
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "certificate").write_bytes(certificate)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    trusting = ssl.create_default_context(cadata=certificate.decode())
    async with receiving(server) as receiver:
        yield receiver, trusting


async def sent(addresses: WebhookAddresses, url: str, tls: ssl.SSLContext | None = None) -> Outcome:
    sender = WebhookSender(addresses, FakeClock(), tls)
    try:
        return await sender.send(url, {"webhook-id": "delivery-1"}, b"{}")
    finally:
        await sender.close()


def answering(*answers: Sequence[str]) -> tuple[WebhookAddresses, list[str]]:
    """Addresses of names, an answer for each time that one is asked for, and the names."""
    asked: list[str] = []
    left: Iterator[Sequence[str]] = iter(answers)

    def lookup(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return next(left)

    return WebhookAddresses(LOOPBACK, lookup), asked


async def test_a_name_is_looked_up_once_and_its_certificate_verified_at_that_address(
    tls: tuple[Receiver, ssl.SSLContext],
):
    receiver, trusting = tls
    addresses, asked = answering(["127.0.0.1"])
    url = receiver.url("/x?y=1", "localhost", "https")
    outcome = await sent(addresses, url, trusting)
    assert (outcome.http_status, outcome.error) == (200, "")
    (request,) = receiver.received
    assert (request.target, request.headers["host"]) == ("/x?y=1", f"localhost:{receiver.port}")
    assert asked == ["localhost"]


async def test_a_certificate_of_another_name_or_of_nobodys_trust_ends_it_before_anything_is_sent(
    tls: tuple[Receiver, ssl.SSLContext],
):
    receiver, trusting = tls
    addresses, _ = answering(["127.0.0.1"], ["127.0.0.1"])
    other = await sent(addresses, receiver.url(host="a.example", scheme="https"), trusting)
    unknown = await sent(WebhookAddresses(LOOPBACK), receiver.url(host="localhost", scheme="https"))
    assert (other.error, unknown.error) == ("TLS_FAILED", "TLS_FAILED")
    assert "mismatch" in other.message
    assert receiver.received == []


async def test_a_name_that_leads_elsewhere_the_next_time_is_not_followed_there():
    async with receiving() as receiver:
        addresses, _ = answering(["1.1.1.1"], ["10.0.0.1"])
        url = receiver.url(host="rebinds.example", scheme="https")
        assert (await addresses.target(url)).addresses == ("1.1.1.1",)
        outcome = await sent(addresses, url)
        assert outcome.error == "ADDRESS_NOT_ALLOWED"
        assert receiver.received == []


async def test_the_next_address_of_a_name_is_tried_where_the_first_takes_no_connection():
    async with receiving() as receiver:
        addresses = WebhookAddresses(
            (ip_network("127.0.0.0/8"),), lambda _host, _port: ["127.0.0.2", "127.0.0.1"]
        )
        outcome = await sent(addresses, receiver.url(host="a.example"))
        assert outcome.http_status == 200
    outcome = await sent(WebhookAddresses(LOOPBACK), receiver.url())
    assert (outcome.error, outcome.http_status) == ("CONNECTION_FAILED", 0)
