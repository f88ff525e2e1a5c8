"""Where webhooks may lead: to public addresses, and to networks that the operator has allowed.

A name is looked up and each of its addresses checked, and the connection is made to one of those, so that the name
cannot lead elsewhere a moment later (DNS rebinding).
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Lookup = Callable[[str, int], Sequence[str]]

# Public by their numbers, but answered by the machine's own cloud.
_OF_CLOUDS = frozenset({ipaddress.ip_address("168.63.129.16")})
# Addresses in which others are written: NAT64, and IPv4 in IPv6 as nobody writes it any more.
_TRANSLATED = tuple(
    map(
        ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
    )
)
_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}", re.ASCII)
_LOOKUP_SECONDS = 5.0
# A name server that is slow keeps one of them each.
_LOOKUPS = 32


class Refused(Exception):
    """The server does not send there; `reason` is an UPPER_SNAKE word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send.

    Attributes:
        scheme: `https` or `http`.
        host: its name, or address.
        port: of the URL, or the scheme's.
        authority: host and port as the URL has them.
        path: what is asked for there, with the query.
        addresses: those of the host, all of which are allowed.
    """

    scheme: str
    host: str
    port: int
    authority: str
    path: str
    addresses: tuple[str, ...]


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, and of nothing else."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.is_site_local or any(address in network for network in _TRANSLATED):
            return False
    if address in _OF_CLOUDS or address.is_multicast or address.is_reserved:
        return False
    return address.is_global


def look_up(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, in the order in which to try them. Raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class WebhookAddresses:
    """Finds the addresses to send to.

    Args:
        allowed: networks besides the public ones; there http will do, too.
        lookup: the addresses of a name and port.
    """

    def __init__(self, allowed: Sequence[Network], lookup: Lookup = look_up) -> None:
        self._allowed = allowed
        self._lookup = lookup
        # Of its own, so that names that are slow to look up keep nobody else waiting.
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook-names")

    async def target(self, text: str) -> Target:
        """Where a URL leads.

        Raises:
            Refused: URL_INVALID, HTTPS_REQUIRED, NAME_NOT_RESOLVED or ADDRESS_NOT_ALLOWED.
        """
        url = _parsed(text)
        host = url.hostname or ""
        port = url.port or _PORTS[url.scheme]
        found = await self._found(host, port)
        inside = [self._is_allowed(address) for address in found]
        if not all(ok or is_public(one) for ok, one in zip(inside, found, strict=True)):
            text = (
                "leads to an address that is not public, and of no network that the server allows"
            )
            raise Refused("ADDRESS_NOT_ALLOWED", text)
        if url.scheme == "http" and not all(inside):
            raise Refused("HTTPS_REQUIRED", "must begin with https://")
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return Target(url.scheme, host, port, url.netloc, path, tuple(map(str, found)))

    async def _found(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                found = await loop.run_in_executor(self._threads, self._lookup, host, port)
            addresses = [ipaddress.ip_address(one) for one in found]
        except (OSError, UnicodeError, ValueError):
            addresses = []
        if not addresses:
            raise Refused("NAME_NOT_RESOLVED", f"{host} has no address")
        return addresses

    def _is_allowed(self, address: Address) -> bool:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._allowed)

    def close(self) -> None:
        """Look up nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _parsed(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        raise Refused("URL_INVALID", "is no URL") from None
    if url.scheme not in _PORTS or not host or port == 0:
        raise Refused("URL_INVALID", "must begin with https:// and a host")
    # What is no name is no address either, and could mean something else to whoever reads it next.
    if not _HOST.fullmatch(host) and not _is_address(host):
        raise Refused("URL_INVALID", "must have a name of letters, digits, '-' and '.' as its host")
    if "@" in url.netloc:
        text = "must have no user and password: verify the signature of what comes"
        raise Refused("URL_INVALID", text)
    if "#" in text or "\\" in text:
        raise Refused("URL_INVALID", "must have no fragment, and no backslash")
    return url


def _is_address(host: str) -> bool:
    try:
        return ipaddress.IPv6Address(host).scope_id is None
    except ValueError:
        return False
