"""Addresses of other installations. Pure."""

import ipaddress
import re
from dataclasses import dataclass

_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is.

    Attributes:
        address: `host:port`, as gRPC is given it.
        tls: whether the connection is encrypted.
        local: whether the server is on this machine.
    """

    address: str
    tls: bool
    local: bool


def parse_endpoint(text: str) -> Endpoint | None:
    """The parts of `host:port`, `https://host:port` or `http://host:port`; None when it is none.

    Without a scheme only an address of this machine goes without TLS: to send a key and jobs across a
    network in the clear has to be said.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    host, _, port = rest.rstrip("/").rpartition(":")
    # Without its brackets, where an IPv6 address ends and the port begins is a guess.
    literal = host[1:-1] if host.startswith("[") and host.endswith("]") else ""
    if scheme not in ("", "http", "https") or not (_HOST.fullmatch(host) or _is_address(literal)):
        return None
    if not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
        return None
    local = _is_loopback(literal or host)
    tls = scheme == "https" or (not scheme and not local)
    return Endpoint(f"{host}:{port}", tls=tls, local=local)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback
