"""A CA that is named by its fingerprint, against real handshakes."""

import asyncio
import base64
import hashlib
import socket
import ssl

import pytest

from tests.support.tls_proxy import Authority, authority, tls_proxy
from windlass_agent.clock import SystemClock
from windlass_agent.config import ConfigError, load_config
from windlass_agent.trust import with_trusted_ca


def pin_of(by: Authority) -> str:
    der = ssl.PEM_cert_to_DER_cert(by.ca.read_text())
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


async def trusted(server, tmp_path, *flags):
    config = load_config(["--server", server, "--data-dir", str(tmp_path), *flags], {})
    return (await with_trusted_ca(config, SystemClock())).ca_file


@pytest.fixture
def ours(tmp_path):
    return authority(tmp_path, "ours")


async def test_the_pinned_ca_is_taken_from_the_server_and_kept(tmp_path, ours):
    async with tls_proxy("127.0.0.1:1", ours) as server:
        kept = await trusted(server, tmp_path, "--ca-pin", pin_of(ours))
    assert kept.read_text() == ours.ca.read_text()
    # Nobody is asked a second time: the server is gone.
    assert await trusted(server, tmp_path, "--ca-pin", pin_of(ours)) == kept


async def test_a_pin_is_read_as_openssl_prints_it(tmp_path, ours):
    digest = pin_of(ours).removeprefix("sha256:").upper()
    colons = ":".join(digest[at : at + 2] for at in range(0, 64, 2))
    async with tls_proxy("127.0.0.1:1", ours) as server:
        kept = await trusted(server, tmp_path, "--ca-pin", f"SHA256:{colons}")
    assert kept.read_text() == ours.ca.read_text()


async def test_of_several_pins_one_is_enough(tmp_path, ours):
    old = authority(tmp_path, "old")
    async with tls_proxy("127.0.0.1:1", ours) as server:
        pins = f"{pin_of(old)},{pin_of(ours)}"
        assert (await trusted(server, tmp_path, "--ca-pin", pins)).read_text() == (
            ours.ca.read_text()
        )


@pytest.mark.parametrize("sends_ca", [True, False], ids=["another CA", "no CA"])
async def test_a_server_that_does_not_present_the_pinned_ca_is_refused(tmp_path, ours, sends_ca):
    shown = authority(tmp_path, "other") if sends_ca else authority(tmp_path, "x", sends_ca=False)
    pin = pin_of(ours) if sends_ca else pin_of(shown)
    async with tls_proxy("127.0.0.1:1", shown) as server:
        with pytest.raises(
            ConfigError, match=r"presents no certificate that --ca-pin names, but sha"
        ):
            await trusted(server, tmp_path, "--ca-pin", pin)
    assert not (tmp_path / "ca.pem").exists()


async def test_a_kept_file_that_somebody_changed_is_asked_for_anew(tmp_path, ours):
    (tmp_path / "ca.pem").write_text(authority(tmp_path, "other").ca.read_text())
    async with tls_proxy("127.0.0.1:1", ours) as server:
        kept = await trusted(server, tmp_path, "--ca-pin", pin_of(ours))
    assert kept.read_text() == ours.ca.read_text()


async def test_a_server_that_is_not_up_yet_is_waited_for(tmp_path, ours):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = load_config(
        ["--server", f"localhost:{port}", "--data-dir", str(tmp_path), "--ca-pin", pin_of(ours)], {}
    )
    clock = WaitedFor()
    waiting = asyncio.ensure_future(with_trusted_ca(config, clock))
    await clock.tries.wait()
    async with tls_proxy("127.0.0.1:1", ours, port=port):
        assert (await waiting).ca_file.read_text() == ours.ca.read_text()


class WaitedFor(SystemClock):
    """Says when somebody began to wait."""

    def __init__(self):
        self.tries = asyncio.Event()

    async def sleep(self, seconds):
        self.tries.set()
        await super().sleep(0.01)


async def test_a_server_without_tls_is_refused_in_a_line(tmp_path, ours):
    async def greet(_, writer):
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    plain = await asyncio.start_server(greet, "127.0.0.1", 0)
    server = f"localhost:{plain.sockets[0].getsockname()[1]}"
    with pytest.raises(ConfigError, match=f"{server} does not speak TLS: "):
        await trusted(server, tmp_path, "--ca-pin", pin_of(ours))
    plain.close()


async def test_a_ca_may_come_whole(tmp_path, ours):
    data = base64.b64encode(ours.ca.read_bytes()).decode()
    kept = await trusted("localhost:1", tmp_path, "--ca-data", data)
    assert kept.read_text() == ours.ca.read_text()
    with pytest.raises(ConfigError, match="--ca-data: holds no certificate"):
        await trusted("localhost:1", tmp_path, "--ca-data", base64.b64encode(b"x").decode())


async def test_without_a_pin_nothing_changes(tmp_path):
    assert await trusted("localhost:1", tmp_path) is None
