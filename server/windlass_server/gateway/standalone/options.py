"""The flags of `windlass gateway`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from windlass_server.gateway.serving import DEFAULT_WRITE_TIMEOUT_S, Address, ServerName
from windlass_server.gateway.standalone.arguments import (
    Parser,
    add_contract,
    add_cors,
    add_json,
    add_timeout,
    add_tls,
    address,
    header_name,
    is_local,
    path,
    seconds,
    upstream_name,
)

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


@dataclass(frozen=True, slots=True)
class Options:
    """What the gateway is told to do; see `--help`.

    Attributes:
        upstream: gRPC's name of the server.
        tls: whether to talk TLS to it.
        upstream_ca: whom to trust for that; None: whom the system trusts.
        services: full names; empty: every one that has an HTTP rule.
        docs: whether to serve `/docs`, `/openapi.json` and `/descriptors.binpb`.
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
    docs: bool
    cors_origins: tuple[str, ...]
    max_body_bytes: int
    timeout: float
    forward_headers: tuple[str, ...]
    write_timeout: float
    health_path: str | None
    http_server: ServerName
    grace: float
    log_level: str
    log_format: Literal["json", "text"]
    routes: bool


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The options of the command line; exits with 2 and one line when they are not good."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.upstream is None and not given.routes:
        parser.error("the following arguments are required: --upstream")
    tls = given.upstream_tls or given.upstream_ca is not None
    if not (tls or given.plaintext or given.routes or is_local(given.upstream)):
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
        docs=given.docs,
        cors_origins=tuple(given.cors_origins),
        max_body_bytes=given.max_body_bytes,
        timeout=given.timeout,
        forward_headers=tuple(given.forward_header),
        write_timeout=given.write_timeout,
        health_path=given.health_path,
        http_server=given.http_server,
        grace=given.grace,
        log_level=given.log_level,
        log_format=given.log_format,
        routes=given.routes,
    )


def _parser() -> Parser:
    parser = Parser(
        prog="windlass gateway",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    contract = parser.add_argument_group("what is served")
    add_contract(contract)
    contract.add_argument("--routes", action="store_true", help="list the routes and stop")
    _add_upstream(parser.add_argument_group("where the calls go"))
    _add_http(parser.add_argument_group("HTTP and JSON"))
    _add_process(parser.add_argument_group("the process"))
    return parser


def _add_upstream(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--upstream", type=upstream_name, metavar="HOST:PORT", help="the gRPC server, or unix:/path"
    )
    add_tls(group)
    add_timeout(group)
    group.add_argument(
        "--forward-header",
        type=header_name,
        action="append",
        default=[],
        metavar="NAME",
        help="a request header that becomes metadata, besides authorization, user-agent, "
        "x-request-id, traceparent and tracestate; may be given more than once",
    )


def _add_http(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--listen",
        type=address,
        default=Address("127.0.0.1", 8080),
        metavar="HOST:PORT",
        help="where to answer HTTP (default: 127.0.0.1:8080)",
    )
    add_json(group)
    group.add_argument(
        "--no-docs",
        action="store_false",
        dest="docs",
        help="do not serve /docs, /openapi.json and /descriptors.binpb",
    )
    add_cors(group)
    group.add_argument(
        "--write-timeout",
        type=seconds,
        default=DEFAULT_WRITE_TIMEOUT_S,
        metavar="SECONDS",
        help="how long a client may read nothing of its stream or file (default: 60)",
    )
    group.add_argument(
        "--health-path",
        type=path,
        metavar="PATH",
        help="a path that answers 200 while the upstream is healthy, else 503 (default: none)",
    )
    group.add_argument("--http-server", choices=["granian", "uvicorn"], default="granian")


def _add_process(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--grace",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long calls in flight may take when it stops (default: 10)",
    )
    group.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    group.add_argument("--log-format", choices=["json", "text"], default="text")
