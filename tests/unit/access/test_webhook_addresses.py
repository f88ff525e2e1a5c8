"""Webhooks lead to public addresses, and to none that only looks like one."""

import asyncio
import threading
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from windlass_server.access import webhook_addresses
from windlass_server.access.webhook_addresses import Refused, WebhookAddresses, is_public
from windlass_server.errors import Unavailable

PUBLIC = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"]
INSIDE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",  # of carriers, and a cloud's metadata
    "100.100.100.200",
    "127.0.0.1",
    "127.1.2.3",
    "168.63.129.16",  # a cloud's own, though public by its number
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address: str):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", INSIDE)
def test_all_other_addresses_are_not(address: str):
    assert not is_public(ip_address(address))


def finding(*addresses: str) -> WebhookAddresses:
    def lookup(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return WebhookAddresses((ip_network("10.20.0.0/16"),), lookup)


@pytest.mark.parametrize(
    ("url", "found", "reason"),
    [
        ("https://a.example", ["1.1.1.1"], ""),
        ("https://a.example:8443/x?y=1", ["1.1.1.1", "2606:4700:4700::1111"], ""),
        ("https://a.example", ["10.20.1.1"], ""),
        ("http://a.example", ["10.20.1.1"], ""),
        ("http://a.example", ["::ffff:10.20.1.1"], ""),
        ("https://a.example", ["10.20.1.1", "1.1.1.1"], ""),
        ("http://a.example", ["10.20.1.1", "1.1.1.1"], "HTTPS_REQUIRED"),
        ("http://a.example", ["1.1.1.1"], "HTTPS_REQUIRED"),
        ("https://a.example", ["1.1.1.1", "10.21.0.1"], "ADDRESS_NOT_ALLOWED"),
        ("http://a.example", ["127.0.0.1"], "ADDRESS_NOT_ALLOWED"),
        ("https://a.example", ["fe80::1%eth0"], "ADDRESS_NOT_ALLOWED"),
        ("https://a.example", [], "NAME_NOT_RESOLVED"),
        ("https://a.example", ["nonsense"], "NAME_NOT_RESOLVED"),
        ("HTTPS://a.example", ["1.1.1.1"], ""),
        ("ftp://a.example", ["1.1.1.1"], "URL_INVALID"),
        ("a.example", ["1.1.1.1"], "URL_INVALID"),
        ("https://", ["1.1.1.1"], "URL_INVALID"),
        ("https:///x", ["1.1.1.1"], "URL_INVALID"),
        ("https://ann@a.example", ["1.1.1.1"], "URL_INVALID"),
        ("https://ann:pw@a.example", ["1.1.1.1"], "URL_INVALID"),
        ("https://a.example#b", ["1.1.1.1"], "URL_INVALID"),
        ("https://a.example\\@b.example", ["1.1.1.1"], "URL_INVALID"),
        ("https://a.example:0", ["1.1.1.1"], "URL_INVALID"),
        ("https://a.example:99999", ["1.1.1.1"], "URL_INVALID"),
        ("https://a.example:x", ["1.1.1.1"], "URL_INVALID"),
        ("https://[::1", ["1.1.1.1"], "URL_INVALID"),
        ("https://[fe80::1%25eth0]/", ["1.1.1.1"], "URL_INVALID"),
        ("https://a%2eexample", ["1.1.1.1"], "URL_INVALID"),
        (f"https://{'a' * 254}", ["1.1.1.1"], "URL_INVALID"),
    ],
)
async def test_a_url_is_checked_with_every_address_of_its_name(
    url: str, found: Sequence[str], reason: str
):
    addresses = finding(*found)
    if not reason:
        target = await addresses.target(url)
        assert [ip_address(one) for one in target.addresses] == [ip_address(one) for one in found]
        return
    with pytest.raises(Refused) as refused:
        await addresses.target(url)
    assert refused.value.reason == reason


async def test_a_url_is_taken_apart_as_it_is_asked_for():
    target = await finding("1.1.1.1").target("https://A.example:8443/x%20y?z=1&z=2")
    assert (target.host, target.port, target.authority, target.path) == (
        "a.example",
        8443,
        "A.example:8443",
        "/x%20y?z=1&z=2",
    )
    assert (await finding("1.1.1.1").target("https://a.example?q")).path == "/?q"


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "localhost", "[::1]"])
async def test_loopback_is_refused_however_it_is_written(host: str):
    with pytest.raises(Refused) as refused:
        await WebhookAddresses(()).target(f"https://{host}/x")
    assert refused.value.reason == "ADDRESS_NOT_ALLOWED"


async def test_names_that_callers_have_looked_up_are_bounded_and_hold_up_nothing_that_is_sent(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(webhook_addresses, "_LOOKUPS", 1)
    monkeypatch.setattr(webhook_addresses, "_CHECKS", 2)
    monkeypatch.setattr(webhook_addresses, "_CHECKS_WAITING", 3)
    go_on = threading.Event()

    def lookup(host: str, _port: int) -> Sequence[str]:
        if host == "slow.example":
            go_on.wait(20)
        return ["1.1.1.1"]

    addresses = WebhookAddresses((), lookup)
    slow = [asyncio.create_task(addresses.check("https://slow.example")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await addresses.check("https://a.example")
    assert refused.value.reason == "NAME_LOOKUPS_BUSY"
    assert (await addresses.target("https://a.example")).addresses == ("1.1.1.1",)
    go_on.set()
    await asyncio.gather(*slow)
    await addresses.check("https://a.example")
    addresses.close()
