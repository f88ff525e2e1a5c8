"""The machines, and the tokens with which they join."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

import grpc
from google.protobuf.duration_pb2 import Duration

from windlass.resources.v1 import (
    node_metrics_pb2,
    node_pb2,
    resources_service_pb2,
    resources_service_pb2_grpc,
)
from windlass_client.calls import (
    AsyncGroup,
    Call,
    Group,
    Pages,
    SyncGroup,
    built,
    listing,
    operation,
    unary,
)
from windlass_client.connect import AioTransport, BlockingTransport
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_duration

Node = node_pb2.Node
DrainMode = node_pb2.Maintenance.DrainMode

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
LIST = unary(_Stub, lambda stub: stub.ListNodes, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetNode, idempotent=True)
EVENTS = unary(_Stub, lambda stub: stub.ListNodeEvents, idempotent=True)
METRICS = unary(_Stub, lambda stub: stub.GetNodeMetrics, idempotent=True)
# Orders mean the same when they are repeated.
CORDON = unary(_Stub, lambda stub: stub.CordonNode, idempotent=True)
UNCORDON = unary(_Stub, lambda stub: stub.UncordonNode, idempotent=True)
DRAIN = unary(_Stub, lambda stub: stub.DrainNode, idempotent=False)
# Sent once: a repeat would be told that there is none.
DELETE = unary(_Stub, lambda stub: stub.DeleteNode, idempotent=False)
CREATE_JOIN_TOKEN = unary(_Stub, lambda stub: stub.CreateJoinToken, idempotent=False)


def parse_drain_mode(name: str) -> DrainMode:
    """The mode of a name in any case, with hyphens or underscores. Raises InvalidArgument."""
    word = name.strip().upper().replace("-", "_")
    modes = [mode for mode, number in DrainMode.items() if number]
    if word not in modes:
        known = ", ".join(mode.lower().replace("_", "-") for mode in modes)
        raise InvalidArgument(f"{name!r} is not one of {known}", reason="BAD_DRAIN_MODE")
    return cast("DrainMode", DrainMode.Value(word))


def parse_status(name: str) -> node_pb2.Node.Status:
    """The status of a name in any case. Raises InvalidArgument."""
    known = [word for word, number in node_pb2.Node.Status.items() if number]
    if name.upper() not in known:
        raise InvalidArgument(f"{name!r} is not one of {', '.join(known)}", reason="BAD_STATUS")
    return cast("node_pb2.Node.Status", node_pb2.Node.Status.Value(name.upper()))


class NodeCalls(Group):
    """Requests of the resources API."""

    @listing
    def list(
        self,
        *,
        status: "node_pb2.Node.Status | None" = None,
        gpu_type: str = "",
        cluster: str = "",
        zone: str = "",
        labels: Mapping[str, str] | None = None,
        pool: str = "",
        page_size: int = 0,
    ) -> Pages[
        resources_service_pb2.ListNodesRequest,
        resources_service_pb2.ListNodesResponse,
        node_pb2.Node,
    ]:
        """Iterate over the nodes with their live values, oldest first.

        Args:
            status: only nodes of this status.
            gpu_type: only nodes with such a GPU.
            cluster: only nodes of this cluster.
            zone: only nodes in this zone.
            labels: only nodes that carry all of these.
            pool: only nodes of this pool.
            page_size: nodes that are fetched at once.
        """
        request = resources_service_pb2.ListNodesRequest(
            status=status,
            gpu_type=gpu_type,
            cluster=cluster,
            zone=zone,
            labels=[f"{key}={value}" for key, value in (labels or {}).items()],
            pool=pool,
            page_size=page_size,
        )
        return Pages(LIST, request, lambda page: page.nodes)

    @operation
    def get(self, node_id: str) -> Call[resources_service_pb2.GetNodeRequest, node_pb2.Node]:
        """Read a node with its live values. Raises NotFound."""
        return Call(GET, resources_service_pb2.GetNodeRequest(node_id=node_id))

    @listing
    def events(
        self, node_id: str, *, page_size: int = 0
    ) -> Pages[
        resources_service_pb2.ListNodeEventsRequest,
        resources_service_pb2.ListNodeEventsResponse,
        node_pb2.NodeEvent,
    ]:
        """Iterate over what happened to a node, oldest first."""
        request = resources_service_pb2.ListNodeEventsRequest(node_id=node_id, page_size=page_size)
        return Pages(EVENTS, request, lambda page: page.events)

    @operation
    def metrics(
        self,
        node_id: str,
        *,
        fields: Sequence[str] = (),
        subjects: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        resolution: timedelta | float | str | None = None,
    ) -> Call[node_metrics_pb2.GetNodeMetricsRequest, node_metrics_pb2.GetNodeMetricsResponse]:
        """Read what a node has measured over time. Raises NotFound.

        Args:
            node_id: the node.
            fields: such as "gpu_power_watts"; none means all.
            subjects: GPUs by UUID, runs by id, the machine by ""; none means of all.
            start: from when on; by default an hour before the end.
            end: until when; by default now.
            resolution: width of the buckets, as seconds, a timedelta or such as "1m"; by default as
                fits into 300 of them.
        """
        request = node_metrics_pb2.GetNodeMetricsRequest(
            node_id=node_id, field=fields, subject=subjects, start_time=start, end_time=end
        )
        if resolution is not None:
            request.resolution.FromTimedelta(parse_duration(resolution))
        return Call(METRICS, request)

    @operation
    def cordon(
        self, node_id: str, *, reason: str = ""
    ) -> Call[resources_service_pb2.CordonNodeRequest, node_pb2.Node]:
        """Place nothing new on a node; what runs there goes on. Raises NotFound."""
        request = resources_service_pb2.CordonNodeRequest(node_id=node_id, reason=reason)
        return Call(CORDON, request)

    @operation
    def uncordon(
        self, node_id: str
    ) -> Call[resources_service_pb2.UncordonNodeRequest, node_pb2.Node]:
        """Open a node to new work again; also ends a drain. Raises NotFound."""
        return Call(UNCORDON, resources_service_pb2.UncordonNodeRequest(node_id=node_id))

    @operation
    def drain(
        self,
        node_id: str,
        *,
        mode: "DrainMode | None" = None,
        deadline: timedelta | float | str | None = None,
        reason: str = "",
    ) -> Call[resources_service_pb2.DrainNodeRequest, node_pb2.Node]:
        """Empty a node; returns at once, with how far it is in `maintenance`. Raises NotFound.

        Args:
            node_id: the node.
            mode: what is done with what runs there; waits for it by default.
            deadline: from now on until what is left is stopped, as seconds, a timedelta or such as
                "10m"; by default it may take for ever.
            reason: why, for people.
        """
        request = resources_service_pb2.DrainNodeRequest(node_id=node_id, mode=mode, reason=reason)
        if deadline is not None:
            request.deadline.CopyFrom(Duration())
            request.deadline.FromTimedelta(parse_duration(deadline))
        return Call(DRAIN, request)

    @operation
    def delete(
        self, node_id: str, *, force: bool = False
    ) -> Call[resources_service_pb2.DeleteNodeRequest, node_pb2.Node]:
        """Forget a machine for good, and refuse its key; answers it as it was.

        Args:
            node_id: the node.
            force: also one that holds something; for machines that are gone.

        Raises:
            NotFound: there is no such node.
            FailedPrecondition: its agent is connected, or it holds something.
        """
        request = resources_service_pb2.DeleteNodeRequest(node_id=node_id, force=force)
        return Call(DELETE, request)

    @operation
    def create_join_token(
        self,
        *,
        lifetime: timedelta | float | str | None = None,
        max_uses: int = 1,
        cluster: str = "",
    ) -> Call[resources_service_pb2.CreateJoinTokenRequest, resources_service_pb2.JoinToken]:
        """Make a token with which nodes can join.

        Args:
            max_uses: how many nodes.
            cluster: the cluster that they will belong to; `default` by default.
            lifetime: seconds, a timedelta or such as "1h"; one hour by default, at most a week.
        """
        request = resources_service_pb2.CreateJoinTokenRequest(max_uses=max_uses, cluster=cluster)
        if lifetime is not None:
            request.lifetime.CopyFrom(Duration())
            request.lifetime.FromTimedelta(parse_duration(lifetime))
        return Call(CREATE_JOIN_TOKEN, request)


class Nodes(NodeCalls, SyncGroup):
    """The resources API, blocking."""

    def __init__(self, transport: BlockingTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    def watch(
        self,
        node_ids: Sequence[str] = (),
        *,
        fields: Sequence[str] = (),
        min_interval: timedelta | float | str = 1.0,
    ) -> Iterator[node_metrics_pb2.TelemetryMessage]:
        """Iterate over what nodes measure from now on: messages with `values`, and heartbeats.

        Ends with the connection: the newest values are what counts, so open it again for these.

        Args:
            node_ids: none means all.
            fields: such as "gpu_power_watts"; none means all.
            min_interval: between two messages about a node, as seconds, a timedelta or such as "5s".

        Raises:
            NotFound: one of the nodes does not exist.
            Unavailable: the server has gone.
        """
        request = built(_watch_request, node_ids, fields, min_interval)
        return self._wire.stream(_bind_telemetry, request)


class AsyncNodes(NodeCalls, AsyncGroup):
    """The resources API for asyncio."""

    def __init__(self, transport: AioTransport, project: str) -> None:
        super().__init__(transport, project)
        self._wire = transport

    def watch(
        self,
        node_ids: Sequence[str] = (),
        *,
        fields: Sequence[str] = (),
        min_interval: timedelta | float | str = 1.0,
    ) -> AsyncIterator[node_metrics_pb2.TelemetryMessage]:
        """Iterate over what nodes measure from now on; see `Nodes.watch`."""
        request = built(_watch_request, node_ids, fields, min_interval)
        return self._wire.stream(_bind_telemetry, request)


def _watch_request(
    node_ids: Sequence[str], fields: Sequence[str], min_interval: timedelta | float | str
) -> node_metrics_pb2.StreamTelemetryRequest:
    request = node_metrics_pb2.StreamTelemetryRequest(node_id=node_ids, field=fields)
    request.min_interval.FromTimedelta(parse_duration(min_interval))
    return request


def _bind_telemetry(
    channel: grpc.Channel,
) -> "grpc.UnaryStreamMultiCallable[node_metrics_pb2.StreamTelemetryRequest, node_metrics_pb2.TelemetryMessage]":
    return _Stub(channel).StreamTelemetry
