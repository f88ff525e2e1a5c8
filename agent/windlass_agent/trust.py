"""Which CA the agent trusts: a file, or what the operator's one line says of it.

A pin is the SHA-256 fingerprint of the CA's certificate, as `openssl x509 -fingerprint -sha256` prints
it. The server must present that certificate, as the last of its chain or as its own: what it presents
is believed only because the fingerprint is right. It is kept, so that it is asked for once.
"""

import asyncio
import contextlib
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog
import tenacity
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from windlass_agent.clock import Clock
from windlass_agent.config import AgentConfig, ConfigError
from windlass_agent.data_dir import write_atomically
from windlass_agent.reconnect import Backoff

_log = structlog.get_logger(__name__)

_HANDSHAKE_SECONDS = 10.0
_CHUNK = 1 << 16


async def with_trusted_ca(config: AgentConfig, clock: Clock) -> AgentConfig:
    """The same configuration, whose CA file holds what `ca_pin` or `ca_data` say.

    Waits for a server that is not up yet.

    Raises:
        ConfigError: the server presents no certificate that is pinned, or the data are no CA.
    """
    kept = config.data_dir / "ca.pem"
    if config.ca_data:
        _certificates(config.ca_data, "--ca-data")
        write_atomically(kept, config.ca_data)
        return replace(config, ca_file=kept)
    if not config.ca_pin:
        return config
    if not _is_kept(kept, config.ca_pin):
        chain = await _presented_in_time(config.server, clock)
        write_atomically(kept, _pinned(chain, config).public_bytes(Encoding.PEM))
        _log.info("the server's CA is the one that is pinned", kept=str(kept))
    return replace(config, ca_file=kept)


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of the certificate, in hexadecimal."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


async def presented(server: str) -> Sequence[x509.Certificate]:
    """The certificates that a server presents, its own first; none of them is to be believed.

    Raises:
        OSError: it cannot be reached.
        SSL.Error: it does not speak TLS.
    """
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_NONE)
    context.set_alpn_protos([b"h2"])
    connection = SSL.Connection(context, None)
    if not _is_address(host):
        connection.set_tlsext_host_name(host.encode("idna"))
    connection.set_connect_state()
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        await _shake_hands(connection, reader, writer)
    finally:
        writer.close()
    return connection.get_peer_cert_chain(as_cryptography=True) or ()


async def _shake_hands(
    connection: SSL.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            with contextlib.suppress(SSL.WantReadError):  # there may be nothing to say
                writer.write(connection.bio_read(_CHUNK))
            await writer.drain()
        else:
            return
        received = await reader.read(_CHUNK)
        if not received:
            raise ConnectionResetError("the server hung up during the handshake")
        connection.bio_write(received)


async def _presented_in_time(server: str, clock: Clock) -> Sequence[x509.Certificate]:
    """Tries until the server is there."""
    retry = tenacity.retry_if_exception_type(OSError)
    async for attempt in tenacity.AsyncRetrying(
        wait=Backoff(), sleep=clock.sleep, retry=retry, before_sleep=_say_why, reraise=True
    ):
        with attempt:
            try:
                async with asyncio.timeout(_HANDSHAKE_SECONDS):
                    return await presented(server)
            except SSL.Error as error:
                raise ConfigError(f"{server} does not speak TLS: {_words(error)}") from None
    raise AssertionError("tenacity ended an endless retry")


def _pinned(chain: Sequence[x509.Certificate], config: AgentConfig) -> x509.Certificate:
    for certificate in chain:
        if fingerprint(certificate) in config.ca_pin:
            return certificate
    shown = ", ".join(f"sha256:{fingerprint(certificate)}" for certificate in chain)
    raise ConfigError(
        f"{config.server} presents no certificate that --ca-pin names, but {shown}: it is another "
        "server, or its CA is not part of what it presents (then use --ca-file or --ca-data)"
    )


def _is_kept(path: Path, pins: Sequence[str]) -> bool:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return False
    return all(fingerprint(certificate) in pins for certificate in found)


def _certificates(pem: bytes, where: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigError(f"{where}: holds no certificate in PEM") from None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _words(error: SSL.Error) -> str:
    reasons = error.args[0] if error.args else ()
    return "; ".join(str(reason[-1]) for reason in reasons) or "it broke off"


def _say_why(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("cannot reach the server yet", reason=str(error))
