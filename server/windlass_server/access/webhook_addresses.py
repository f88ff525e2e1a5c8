"""Where webhooks may lead: to public addresses, and to networks that the operator has allowed.

A name is looked up and each of its addresses checked, and the connection is made to one of those, so that the name
cannot lead elsewhere a moment later (DNS rebinding).
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from windlass_server.errors import Unavailable

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
# Names that are looked up at once, to send there and for callers who ask; of these so many more wait. A name server
# that is slow keeps one each, for longer than it is waited for.
_LOOKUPS = 32
_CHECKS = 8
_CHECKS_WAITING = 16


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


class _Lookups:
    """Looks names up on threads of its own, so that slow ones keep nobody else waiting.

    Args:
        lookup: the addresses of a name and port.
        at_once: how many threads.
        waiting: how many names may wait for one; None: any number.
    """

    def __init__(self, lookup: Lookup, at_once: int, waiting: int | None = None) -> None:
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="webhook-names")
        self._most = None if waiting is None else at_once + waiting
        self._under_way: set[Future[Sequence[str]]] = set()

    async def find(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name.

        Raises:
            OSError, UnicodeError: there are none, or not in time.
            Unavailable: there was no thread for it (`NAME_LOOKUPS_BUSY`).
        """
        self._under_way = {one for one in self._under_way if not one.done()}
        if self._most is not None and len(self._under_way) >= self._most:
            raise _busy()
        looking = self._threads.submit(self._lookup, host, port)
        self._under_way.add(looking)
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                return await asyncio.wrap_future(looking)
        except TimeoutError:
            # That can be cancelled alone which has not begun.
            if looking.cancel():
                raise _busy() from None
            raise

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _busy() -> Unavailable:
    text = "too many names are looked up at once, slowly"
    return Unavailable(text, reason="NAME_LOOKUPS_BUSY", retry_seconds=_LOOKUP_SECONDS)


class WebhookAddresses:
    """Finds the addresses to send to.

    Args:
        allowed: networks besides the public ones; there http will do, too.
        lookup: the addresses of a name and port.
    """

    def __init__(self, allowed: Sequence[Network], lookup: Lookup = look_up) -> None:
        self._allowed = allowed
        self._to_send = _Lookups(lookup, _LOOKUPS)
        self._to_check = _Lookups(lookup, _CHECKS, _CHECKS_WAITING)

    async def target(self, text: str) -> Target:
        """Where a URL leads.

        Raises:
            Refused: URL_INVALID, HTTPS_REQUIRED, NAME_NOT_RESOLVED or ADDRESS_NOT_ALLOWED.
            Unavailable: its name could not be looked up for all the others (`NAME_LOOKUPS_BUSY`).
        """
        return await self._target(text, self._to_send)

    async def check(self, text: str) -> None:
        """The same for somebody who wants it sent there; keeps nothing waiting that is sent."""
        await self._target(text, self._to_check)

    async def _target(self, text: str, lookups: _Lookups) -> Target:
        url = _parsed(text)
        host = url.hostname or ""
        port = url.port or _PORTS[url.scheme]
        found = await _found(lookups, host, port)
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

    def _is_allowed(self, address: Address) -> bool:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._allowed)

    def close(self) -> None:
        """Look up nothing more."""
        self._to_send.close()
        self._to_check.close()


async def _found(lookups: _Lookups, host: str, port: int) -> list[Address]:
    try:
        addresses = [ipaddress.ip_address(one) for one in await lookups.find(host, port)]
    except (OSError, UnicodeError, ValueError):
        addresses = []
    if not addresses:
        raise Refused("NAME_NOT_RESOLVED", f"{host} has no address")
    return addresses


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
