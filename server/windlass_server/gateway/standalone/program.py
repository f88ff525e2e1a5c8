"""The standalone gateway, wired: contract, upstream, gateway, HTTP server."""

import logging
import re
from pathlib import Path

import grpc

from windlass_server.gateway.app import Gateway
from windlass_server.gateway.cors import Cors
from windlass_server.gateway.discovery import Discovery
from windlass_server.gateway.http_rules import RuleError
from windlass_server.gateway.json_print import JsonStyle
from windlass_server.gateway.openapi.document import About
from windlass_server.gateway.serving import App, http_server
from windlass_server.gateway.standalone.contract import Contract, load
from windlass_server.gateway.standalone.health import HealthPath
from windlass_server.gateway.standalone.options import Options
from windlass_server.gateway.table import build_table
from windlass_server.gateway.transcoder import Transcoder
from windlass_server.gateway.upstream import UpstreamDispatcher

_log = logging.getLogger(__name__)


class Program:
    """A whole gateway: made in the running loop, then `start`, and at the end `stop`.

    Raises:
        RuleError: the contract cannot be served as the options say.
        OSError: the address cannot be had.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        contract, services = load(options.descriptors, options.http_rules, options.services)
        self._upstream = UpstreamDispatcher(options.upstream, credentials=_credentials(options))
        self._gateway = _gateway(options, contract, services, self._upstream)
        app: App = self._gateway
        self._health = None
        if options.health_path is not None:
            self._health = HealthPath(self._gateway, options.health_path, self._upstream)
            app = self._health
        if options.cors_origins:
            app = Cors(app, options.cors_origins)
        self._http = http_server(options.http_server, app, options.listen, options.write_timeout)

    @property
    def address(self) -> str:
        """Where HTTP is answered, `host:port` with the real port."""
        address = self._http.address
        host = f"[{address.host}]" if ":" in address.host else address.host
        return f"{host}:{address.port}"

    async def start(self) -> None:
        """Begin to answer; the upstream need not be there yet."""
        await self._http.start()
        _log.info(
            "the gateway serves %d routes at http://%s, from %s",
            len(self._gateway.routes),
            self.address,
            self._options.upstream,
        )

    async def stop(self) -> None:
        """Take no new requests, let those in flight end, close everything."""
        if self._health is not None:
            self._health.drain()
        self._gateway.drain()
        await self._http.stop(self._options.grace)
        await self._upstream.close()
        _log.info("the gateway has stopped")


def routes_of(options: Options) -> tuple[str, ...]:
    """The routes that would be served, as lines; raises RuleError."""
    contract, services = load(options.descriptors, options.http_rules, options.services)
    try:
        return build_table(Transcoder(contract.serialize()), services).lines
    except (LookupError, ValueError) as error:
        raise RuleError(f"{options.descriptors}: {error}") from None


def _gateway(
    options: Options, contract: Contract, services: list[str], upstream: UpstreamDispatcher
) -> Gateway:
    try:
        return Gateway(
            descriptor_set=contract.serialize(),
            services=services,
            dispatcher=upstream,
            json_style=JsonStyle(options.proto_names, options.print_defaults),
            discovery=Discovery(about(services)) if options.docs else None,
            max_body_bytes=options.max_body_bytes,
            default_timeout=options.timeout,
            forward_headers=options.forward_headers,
            write_timeout_s=options.write_timeout,
            # Of no account to a contract that does not have it.
            limits_extension="windlass.options.v1.limits",
        )
    except (LookupError, ValueError) as error:
        raise RuleError(f"{options.descriptors}: {error}") from None


def about(services: list[str]) -> About:
    """What is known of a contract by the names of its services: `shop.v2.Carts` is `shop`, `v2`."""
    packages = list(dict.fromkeys(name.rpartition(".")[0] for name in services))
    named, _, version = packages[0].rpartition(".")
    is_versioned = len(packages) == 1 and re.fullmatch(r"v[0-9]\w*", version)
    return About(
        title=(named if is_versioned else ", ".join(packages)) or "API",
        version=version if is_versioned else "unversioned",
        credential="Handed on to the server that answers the calls.",
        credential_required=False,
        domain="windlass",
    )


def _credentials(options: Options) -> grpc.ChannelCredentials | None:
    if not options.tls:
        return None
    return grpc.ssl_channel_credentials(_trusted(options.upstream_ca))


def _trusted(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        certificates = path.read_bytes()
    except OSError as error:
        raise RuleError(f"cannot read {path}: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in certificates:
        raise RuleError(f"{path} holds no certificate in PEM")
    return certificates
