"""The whole configuration: listener, filters, routes, upstream."""

from collections.abc import Sequence
from dataclasses import dataclass

from windlass_server.gateway.envoy import cors, filters, upstream
from windlass_server.gateway.envoy.answers import Answers, Config
from windlass_server.gateway.envoy.bindings import Bound, read_bindings
from windlass_server.gateway.envoy.descriptors import prepare
from windlass_server.gateway.envoy.guards import BindingGuards
from windlass_server.gateway.envoy.routes import Routes
from windlass_server.gateway.json_print import DEFAULT_STYLE, JsonStyle
from windlass_server.gateway.schema import Schema
from windlass_server.gateway.serving import Address
from windlass_server.gateway.table import build_table
from windlass_server.gateway.transcoder import Transcoder

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
# Connections of clients at the same time, all together.
_MAX_CONNECTIONS = 50_000
# Room above the largest body, for what the transcoder makes of it.
_BUFFER_MARGIN = 1 << 20
_STANDARD_METHODS = frozenset({"GET", "PUT", "POST", "DELETE", "PATCH"})


@dataclass(frozen=True)
class Front:
    """What there is to say beside the contract.

    Attributes:
        listen: where Envoy answers HTTP and gRPC.
        server: the gRPC server.
        tls: whether to talk TLS to it.
        ca_path: certificates that sign the server's; empty: those that the system trusts.
        admin: where Envoy's own pages are; None for none.
        planned_extension: full name of the service option that lists planned routes.
        limits_extension: full name of the method option that holds its limits.
        domain: of the `ErrorInfo` in errors that Envoy answers by itself.
        json_style: how answers and errors look as JSON.
        max_body_bytes: largest request body, inflated; more where a method says so.
        default_timeout: seconds for a call without a deadline, unless its method caps them or has a
            stream; None: for ever.
        cors_origins: origins whose pages may use the API; `*` for any.
        descriptor_path: the file that Envoy reads the prepared set from; empty to have it inline.
    """

    listen: Address
    server: Address
    tls: bool = False
    ca_path: str = ""
    admin: Address | None = None
    planned_extension: str | None = None
    limits_extension: str | None = None
    domain: str = "windlass"
    json_style: JsonStyle = DEFAULT_STYLE
    max_body_bytes: int = 4 << 20
    default_timeout: float | None = None
    cors_origins: tuple[str, ...] = ()
    descriptor_path: str = ""


def bootstrap(descriptor_set: bytes, services: Sequence[str], front: Front) -> Config:
    """Envoy's bootstrap for these services of a serialized `FileDescriptorSet`.

    Raises:
        RuleError: the contract cannot be served: a bad template, an ambiguous route.
        LookupError: the descriptor set lacks a message of the error model.
    """
    transcoder = Transcoder(descriptor_set)
    build_table(transcoder, services, front.planned_extension)  # refuses what the gateway refuses
    registry = transcoder.registry
    bindings = read_bindings(registry, services, front.planned_extension, front.limits_extension)
    answers = Answers(registry, front.domain, front.json_style)
    guards = BindingGuards(Schema(registry), answers)
    limits = {one.limits.body_bytes(front.max_body_bytes) for one in bindings if one.rule.method}
    routes = Routes(bindings, guards, answers, front.max_body_bytes, front.default_timeout)
    transcoding = filters.Transcoding(
        descriptors=prepare(descriptor_set, services),
        descriptor_path=front.descriptor_path,
        services=sorted({one.service for one in bindings if one.rule.method}),
        streams=any(one.gives_stream for one in bindings),
        body_limits=sorted(limits),
        style=front.json_style,
        kept_headers=("origin",) if front.cors_origins else (),
    )
    manager = {
        **_connections(bindings),
        "local_reply_config": answers.own_errors(),
        "http_filters": [
            *cors.http_filters(front.cors_origins),
            *filters.http_filters(transcoding),
        ],
        "route_config": _route_config([*cors.routes(front.cors_origins), *routes.all()]),
    }
    buffer = max([front.max_body_bytes, *limits]) + _BUFFER_MARGIN
    return {
        **({"admin": {"address": _socket(front.admin)}} if front.admin else {}),
        "static_resources": {
            "listeners": [_listener(front.listen, manager, buffer)],
            "clusters": [upstream.cluster(front.server, front.tls, front.ca_path, buffer)],
        },
        "layered_runtime": _runtime(),
        "overload_manager": _overload_manager(),
    }


def _connections(bindings: Sequence[Bound]) -> Config:
    """How connections and requests are read, before any route is looked for."""
    custom = any(each.rule.http_method not in _STANDARD_METHODS for each in bindings)
    return {
        "stat_prefix": "http",
        # The address in x-forwarded-for is the connection's, whatever the client claims.
        "use_remote_address": True,
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "server_header_transformation": "PASS_THROUGH",
        # Paths are matched as they come: an encoded slash, and `..`, are data.
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "request_headers_timeout": "10s",
        # A stream may be silent for as long as its server likes, but not its reader.
        "stream_idle_timeout": "0s",
        "stream_flush_timeout": "60s",
        **({"http_protocol_options": {"allow_custom_methods": True}} if custom else {}),
    }


def _route_config(routes: list[Config]) -> Config:
    host = {"name": "contract", "domains": ["*"], "routes": routes}
    return {"name": "contract", "virtual_hosts": [host]}


def _listener(listen: Address, manager: Config, buffer: int) -> Config:
    kind = f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager"
    name = "envoy.filters.network.http_connection_manager"
    network_filter = {"name": name, "typed_config": {"@type": kind, **manager}}
    return {
        "name": "http",
        "address": _socket(listen),
        "per_connection_buffer_limit_bytes": buffer,
        "filter_chains": [{"filters": [network_filter]}],
    }


def _socket(address: Address) -> Config:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _runtime() -> Config:
    """Let the routes' expressions be as large as they are; by default Envoy stops at 100 steps."""
    layer = {"re2": {"max_program_size": {"error_level": 10_000, "warn_level": 10_000}}}
    return {"layers": [{"name": "expressions", "static_layer": layer}]}


def _overload_manager() -> Config:
    kind = f"{_EXTENSIONS}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    limit = {"@type": kind, "max_active_downstream_connections": _MAX_CONNECTIONS}
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return {"resource_monitors": [{"name": name, "typed_config": limit}]}
