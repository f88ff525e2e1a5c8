"""Command line arguments that the gateway's programs have in common."""

import argparse
import ipaddress
import math
from pathlib import Path
from typing import NoReturn

from windlass_server.gateway.app import DEFAULT_MAX_BODY_BYTES
from windlass_server.gateway.forwarding import Forwarding
from windlass_server.gateway.origins import is_origin
from windlass_server.gateway.serving import Address

EXIT_BAD_CONFIGURATION = 2
# Of gRPC's names; anything else is HOST:PORT.
_SCHEMES = ("unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:")


class Parser(argparse.ArgumentParser):
    """Refuses what it does not know in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_CONFIGURATION, f"{self.prog}: {message}; see {self.prog} --help\n")


def add_contract(group: argparse._ArgumentGroup, *, required: bool = True) -> None:
    """Add what says which API is served."""
    group.add_argument(
        "--descriptors",
        type=Path,
        required=required,
        metavar="FILE",
        help="serialized descriptor set",
    )
    group.add_argument(
        "--services",
        type=names,
        default=(),
        metavar="NAMES",
        help="full names, separated by commas (default: every service with an HTTP rule)",
    )
    group.add_argument(
        "--http-rules",
        type=Path,
        metavar="FILE",
        help="HTTP rules for methods by their selectors, YAML or JSON; win over the contract's",
    )


def add_tls(group: argparse._ArgumentGroup) -> None:
    """Add how the upstream is talked to."""
    group.add_argument(
        "--upstream-tls", action="store_true", help="talk TLS to it, trusting whom the system does"
    )
    group.add_argument(
        "--upstream-ca", type=Path, metavar="FILE", help="talk TLS to it, trusting these (PEM)"
    )
    group.add_argument(
        "--plaintext",
        action="store_true",
        help="talk to it without TLS, credentials included; the default only on this machine",
    )


def add_timeout(group: argparse._ArgumentGroup) -> None:
    """Add the deadline of calls that come without one."""
    group.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="deadline of calls whose caller sets none, but of streams (default: 60)",
    )


def add_json(group: argparse._ArgumentGroup) -> None:
    """Add how JSON looks, and how much of it is taken."""
    group.add_argument(
        "--json-names",
        choices=["proto", "json"],
        default="proto",
        help="names of fields in answers; requests may use both (default: proto)",
    )
    defaults = group.add_mutually_exclusive_group()
    defaults.add_argument(
        "--print-defaults",
        action="store_true",
        default=True,
        help="show fields that have their default value (the default)",
    )
    defaults.add_argument(
        "--omit-defaults", action="store_false", dest="print_defaults", help="leave them out"
    )
    group.add_argument(
        "--max-body-bytes",
        type=positive,
        default=DEFAULT_MAX_BODY_BYTES,
        metavar="BYTES",
        help="largest request body, as sent and as inflated (default: 4194304)",
    )


def add_cors(group: argparse._ArgumentGroup) -> None:
    """Add which pages of other origins may use the API."""
    group.add_argument(
        "--cors-origin",
        type=origin,
        action="append",
        default=[],
        dest="cors_origins",
        metavar="ORIGIN",
        help="an origin whose pages may use the API, or * for any; can be repeated (default: none)",
    )


def address(text: str) -> Address:
    """A host and a port of `host:port`."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 65536):
        message = f"{text!r} is not HOST:PORT"
        raise argparse.ArgumentTypeError(message)
    return Address(host.strip("[]"), int(port))


def names(text: str) -> tuple[str, ...]:
    """Names of a list separated by commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        message = f"{text!r} is not a positive number of seconds"
        raise argparse.ArgumentTypeError(message)
    return seconds


def positive(text: str) -> int:
    """A positive whole number."""
    if not (text.isdecimal() and int(text) > 0):
        message = f"{text!r} is not a positive number"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def path(text: str) -> str:
    """A path of HTTP."""
    if not text.startswith("/"):
        message = f"{text!r} does not start with '/'"
        raise argparse.ArgumentTypeError(message)
    return text


def origin(text: str) -> str:
    """An origin as browsers send it."""
    if not is_origin(text):
        message = f"{text!r} is not an origin, such as https://console.example"
        raise argparse.ArgumentTypeError(message)
    return text


def upstream_name(text: str) -> str:
    """A server's name as gRPC has it, or `host:port`."""
    if not text.startswith(_SCHEMES):
        address(text)
    return text


def header_name(text: str) -> str:
    """The name of a header that can become metadata."""
    try:
        Forwarding([text])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text.lower()


def is_local(upstream: str) -> bool:
    """Whether the name of a server can only mean one on this machine."""
    if upstream.startswith(("unix:", "unix-abstract:")):
        return True
    host = upstream.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
