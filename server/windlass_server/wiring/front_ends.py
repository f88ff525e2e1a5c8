"""Last stage: the two front ends, gRPC and HTTP, before one chain."""

from dataclasses import dataclass
from pathlib import Path

from grpc import aio
from grpc_health.v1 import health_pb2_grpc

import windlass
from windlass_server.about import ABOUT
from windlass_server.config import ServerConfig
from windlass_server.errors import BadConfiguration
from windlass_server.gateway.app import Gateway
from windlass_server.gateway.cors import Cors
from windlass_server.gateway.discovery import Discovery
from windlass_server.gateway.serving import Address, HttpServer, http_server
from windlass_server.rpc.dispatcher import InProcessDispatcher
from windlass_server.rpc.health import Health
from windlass_server.rpc.server import GrpcServer
from windlass_server.wiring.calls import PLANNED_SERVICES, PUBLIC_SERVICES, Calls


@dataclass(frozen=True, slots=True)
class FrontEnds:
    """What listens, and what watchers of the server's health are told."""

    health: Health
    grpc: GrpcServer
    gateway: Gateway
    http: HttpServer


def open_front_ends(config: ServerConfig, calls: Calls) -> FrontEnds:
    """Listen, without answering yet; raises BadConfiguration where that is not possible."""
    health = Health(calls.draining)
    grpc = GrpcServer(
        calls.pipeline,
        config.grpc,
        unrouted=calls.unrouted,
        add_others=lambda server: _add_health(health, server),
    )
    gateway = _gateway(config, InProcessDispatcher(calls.pipeline, calls.unrouted))
    return FrontEnds(health, grpc, gateway, _http_server(config, gateway))


def _gateway(config: ServerConfig, dispatcher: InProcessDispatcher) -> Gateway:
    return Gateway(
        descriptor_set=descriptor_set(),
        services=[*PUBLIC_SERVICES, *PLANNED_SERVICES],
        planned_extension="windlass.options.v1.planned",
        discovery=Discovery(ABOUT, public=config.public_docs),
        limits_extension="windlass.options.v1.limits",
        dispatcher=dispatcher,
        authenticate=dispatcher.authenticate,
        find_violations=dispatcher.find_violations,
        write_timeout_s=config.write_timeout_seconds,
        token_cookies=True,
    )


def _add_health(health: Health, server: aio.Server) -> None:
    health_pb2_grpc.add_HealthServicer_to_server(health, server)


def _http_server(config: ServerConfig, gateway: Gateway) -> HttpServer:
    host, _, port = config.http.rpartition(":")
    address = Address(host, int(port))
    app = Cors(gateway, config.cors_origins) if config.cors_origins else gateway
    try:
        return http_server(config.http_server, app, address, config.write_timeout_seconds)
    except OSError as error:
        message = f"cannot listen for HTTP on {config.http}: {error.strerror or error}"
        raise BadConfiguration(message) from None


def descriptor_set() -> bytes:
    """The contract's descriptor set, which lies beside the generated package."""
    return (Path(next(iter(windlass.__path__))).parent / "windlass.binpb").read_bytes()
