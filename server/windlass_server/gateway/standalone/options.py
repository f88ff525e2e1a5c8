"""The flags of `windlass gateway`."""

import argparse
import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from windlass_server.gateway.app import DEFAULT_MAX_BODY_BYTES
from windlass_server.gateway.serving import Address, ServerName

_EXIT_BAD_CONFIGURATION = 2
_DESCRIPTION = """\
Serve a gRPC API as HTTP and JSON, by the google.api.http rules in its descriptor set.
"""
_EPILOG = """\
examples:
  buf build -o api.binpb       # or: protoc --include_imports --descriptor_set_out=api.binpb ...
  windlass gateway --descriptors api.binpb --upstream 127.0.0.1:50051
  windlass gateway --descriptors api.binpb --upstream api.internal:443 --upstream-tls \\
      --listen 0.0.0.0:8080 --json-names json --omit-defaults --health-path /healthz
  windlass gateway --descriptors health.binpb --http-rules health.yaml --upstream 127.0.0.1:50051
  windlass gateway --descriptors api.binpb --routes

An API without HTTP rules gets them from a file, as a google.api.Service has them:
  http:
    rules:
      - selector: grpc.health.v1.Health.Check
        get: /v1/health/{service}
"""
# Of gRPC's names; anything else is HOST:PORT.
_SCHEMES = ("unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:")


@dataclass(frozen=True, slots=True)
class Options:
    """What the gateway is told to do; see `--help`.

    Attributes:
        upstream: gRPC's name of the server.
        tls: whether to talk TLS to it.
        upstream_ca: whom to trust for that; None: whom the system trusts.
        services: full names; empty: every one that has an HTTP rule.
        routes: only list the routes.
    """

    descriptors: Path
    upstream: str
    listen: Address
    services: tuple[str, ...]
    http_rules: Path | None
    tls: bool
    upstream_ca: Path | None
    proto_names: bool
    print_defaults: bool
    max_body_bytes: int
    timeout: float
    health_path: str | None
    http_server: ServerName
    grace: float
    log_level: str
    log_format: Literal["json", "text"]
    routes: bool


class _Parser(argparse.ArgumentParser):
    """Refuses what it does not know in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_EXIT_BAD_CONFIGURATION, f"{self.prog}: {message}; see {self.prog} --help\n")


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The options of the command line; exits with 2 and one line when they are not good."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.upstream is None and not given.routes:
        parser.error("the following arguments are required: --upstream")
    tls = given.upstream_tls or given.upstream_ca is not None
    if not (tls or given.plaintext or given.routes or _is_local(given.upstream)):
        parser.error(
            f"{given.upstream} is not on this machine: "
            "give --upstream-tls, --upstream-ca FILE or --plaintext"
        )
    return Options(
        descriptors=given.descriptors,
        upstream=given.upstream or "",
        listen=given.listen,
        services=given.services,
        http_rules=given.http_rules,
        tls=tls,
        upstream_ca=given.upstream_ca,
        proto_names=given.json_names == "proto",
        print_defaults=given.print_defaults,
        max_body_bytes=given.max_body_bytes,
        timeout=given.timeout,
        health_path=given.health_path,
        http_server=given.http_server,
        grace=given.grace,
        log_level=given.log_level,
        log_format=given.log_format,
        routes=given.routes,
    )


def _parser() -> _Parser:
    parser = _Parser(
        prog="windlass gateway",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_contract(parser.add_argument_group("what is served"))
    _add_upstream(parser.add_argument_group("where the calls go"))
    _add_http(parser.add_argument_group("HTTP and JSON"))
    _add_process(parser.add_argument_group("the process"))
    return parser


def _add_contract(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--descriptors", type=Path, required=True, metavar="FILE", help="serialized descriptor set"
    )
    group.add_argument(
        "--services",
        type=_names,
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
    group.add_argument("--routes", action="store_true", help="list the routes and stop")


def _add_upstream(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--upstream", type=_upstream, metavar="HOST:PORT", help="the gRPC server, or unix:/path"
    )
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
    group.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="deadline of calls whose caller sets none, but of streams (default: 60)",
    )


def _add_http(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--listen",
        type=_address,
        default=Address("127.0.0.1", 8080),
        metavar="HOST:PORT",
        help="where to answer HTTP (default: 127.0.0.1:8080)",
    )
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
        type=_positive,
        default=DEFAULT_MAX_BODY_BYTES,
        metavar="BYTES",
        help="largest request body, as sent and as inflated (default: 4194304)",
    )
    group.add_argument(
        "--health-path",
        type=_path,
        metavar="PATH",
        help="a path that answers 200 while the upstream is healthy, else 503 (default: none)",
    )
    group.add_argument("--http-server", choices=["granian", "uvicorn"], default="granian")


def _add_process(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--grace",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long calls in flight may take when it stops (default: 10)",
    )
    group.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    group.add_argument("--log-format", choices=["json", "text"], default="text")


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 65536):
        message = f"{text!r} is not HOST:PORT"
        raise argparse.ArgumentTypeError(message)
    return Address(host.strip("[]"), int(port))


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        message = f"{text!r} is not a positive number of seconds"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        message = f"{text!r} is not a positive number"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _path(text: str) -> str:
    if not text.startswith("/"):
        message = f"{text!r} does not start with '/'"
        raise argparse.ArgumentTypeError(message)
    return text


def _upstream(text: str) -> str:
    if not text.startswith(_SCHEMES):
        _address(text)
    return text


def _is_local(upstream: str) -> bool:
    """Whether the name of a server can only mean one on this machine."""
    if upstream.startswith(("unix:", "unix-abstract:")):
        return True
    host = upstream.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
