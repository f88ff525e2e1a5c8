"""The upstream of the configuration: one gRPC server, by its name."""

import ipaddress
from typing import Any

from windlass_server.gateway.envoy.answers import Config
from windlass_server.gateway.serving import Address

NAME = "upstream"
# Calls and connections at the same time; beyond, Envoy answers 503.
MAX_CALLS = 50_000

# Whom the system trusts: Envoy has no default, and this is Debian's, Ubuntu's and Alpine's file.
SYSTEM_CA_PATH = "/etc/ssl/certs/ca-certificates.crt"

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(server: Address, tls: bool, ca_path: str, buffer_bytes: int) -> Config:
    """The only cluster.

    Args:
        server: its address; a name is looked up again and again.
        tls: whether to talk TLS to it.
        ca_path: certificates in PEM that sign the server's; empty: those of the system.
        buffer_bytes: most bytes that Envoy holds of a connection.
    """
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), MAX_CALLS)
    address = {"address": server.host, "port_value": server.port}
    endpoint = {"endpoint": {"address": {"socket_address": address}}}
    return {
        "name": NAME,
        "type": "STRICT_DNS",
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": buffer_bytes,
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {_HTTP: _http2()},
        **({"transport_socket": _tls(server.host, ca_path)} if tls else {}),
        "load_assignment": {
            "cluster_name": NAME,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _http2() -> Config:
    # A server that went without a word is found dead; none takes pings this rare for abuse.
    keepalive = {"interval": "330s", "timeout": "20s"}
    options: dict[str, Any] = {"http2_protocol_options": {"connection_keepalive": keepalive}}
    return {"@type": f"type.googleapis.com/{_HTTP}", "explicit_http_config": options}


def _tls(host: str, ca_path: str) -> Config:
    try:
        ipaddress.ip_address(host)
        kind, server_name = "IP_ADDRESS", {}
    except ValueError:
        kind, server_name = "DNS", {"sni": host}
    validation = {
        "trusted_ca": {"filename": ca_path or SYSTEM_CA_PATH},
        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": host}}],
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext",
            **server_name,
            "common_tls_context": {"alpn_protocols": ["h2"], "validation_context": validation},
        },
    }
