"""Emptying many machines, a few at a time."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import cast

from google.protobuf.duration_pb2 import Duration

from windlass.resources.v1 import drain_pb2, resources_service_pb2, resources_service_pb2_grpc
from windlass_client.calls import (
    AsyncGroup,
    Call,
    Group,
    Pages,
    SyncGroup,
    listing,
    operation,
    unary,
)
from windlass_client.errors import InvalidArgument
from windlass_client.nodes import DrainMode
from windlass_client.quantities import parse_duration

Drain = drain_pb2.Drain
Afterwards = drain_pb2.Drain.Afterwards

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
# Sent once, unless its request_id makes it idempotent.
CREATE = unary(_Stub, lambda stub: stub.DrainNodes, idempotent=False)
LIST = unary(_Stub, lambda stub: stub.ListDrains, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetDrain, idempotent=True)
CANCEL = unary(_Stub, lambda stub: stub.CancelDrain, idempotent=True)


def parse_afterwards(name: str) -> Afterwards:
    """What a name in any case, with hyphens or underscores, means. Raises InvalidArgument."""
    word = name.strip().upper().replace("-", "_")
    known = [one for one, number in Afterwards.items() if number]
    if word not in known:
        words = ", ".join(one.lower().replace("_", "-") for one in known)
        raise InvalidArgument(f"{name!r} is not one of {words}", reason="BAD_AFTERWARDS")
    return cast("Afterwards", Afterwards.Value(word))


class DrainCalls(Group):
    """Requests about drains of many nodes."""

    @operation
    def create(
        self,
        node_ids: Sequence[str] = (),
        *,
        cluster: str = "",
        zone: str = "",
        gpu_type: str = "",
        pool: str = "",
        labels: Mapping[str, str] | None = None,
        every: bool = False,
        mode: "DrainMode | None" = None,
        deadline: timedelta | float | str | None = None,
        reason: str = "",
        max_unavailable: int = 1,
        afterwards: "Afterwards | None" = None,
        request_id: str = "",
    ) -> Call[resources_service_pb2.DrainNodesRequest, Drain]:
        """Drain many nodes, a few at a time; returns at once.

        Args:
            node_ids: the nodes, in the order of their turns; or else those that are like the next six.
            cluster: nodes of this cluster.
            zone: nodes in this zone.
            gpu_type: nodes with such a GPU.
            pool: nodes of this pool.
            labels: nodes that carry all of these.
            every: all nodes that there are, instead of any of these.
            mode: what is done with what runs there; waits for it by default.
            deadline: for each node, from its turn on until what is left is stopped, as seconds, a
                timedelta or such as "10m"; by default it may take for ever.
            reason: why, for people.
            max_unavailable: how many of the nodes may be closed at once.
            afterwards: what becomes of a node that is empty; it stays closed by default.
            request_id: makes the call idempotent.

        Raises:
            InvalidArgument: neither nodes nor what they are like, both, or there are none like it.
            NotFound: there is no such node.
            FailedPrecondition: another drain is not done with one of the nodes.
        """
        request = resources_service_pb2.DrainNodesRequest(
            node_ids=node_ids,
            mode=mode,
            reason=reason,
            max_unavailable=max_unavailable,
            afterwards=afterwards,
            request_id=request_id,
        )
        selector = resources_service_pb2.NodeSelector(
            cluster=cluster,
            zone=zone,
            gpu_type=gpu_type,
            pool=pool,
            labels=[f"{key}={value}" for key, value in (labels or {}).items()],
            all=every,
        )
        if selector.ByteSize():
            request.selector.CopyFrom(selector)
        if deadline is not None:
            request.deadline.CopyFrom(Duration())
            request.deadline.FromTimedelta(parse_duration(deadline))
        return Call(CREATE, request)

    @listing
    def list(
        self, *, status: "drain_pb2.Drain.Status | None" = None, page_size: int = 0
    ) -> Pages[
        resources_service_pb2.ListDrainsRequest,
        resources_service_pb2.ListDrainsResponse,
        Drain,
    ]:
        """Iterate over the drains, newest first, without their nodes."""
        request = resources_service_pb2.ListDrainsRequest(status=status, page_size=page_size)
        return Pages(LIST, request, lambda page: page.drains)

    @operation
    def get(self, drain_id: str) -> Call[resources_service_pb2.GetDrainRequest, Drain]:
        """Read how far a drain is. Raises NotFound."""
        return Call(GET, resources_service_pb2.GetDrainRequest(drain_id=drain_id))

    @operation
    def cancel(self, drain_id: str) -> Call[resources_service_pb2.CancelDrainRequest, Drain]:
        """End a drain, opening the nodes that are not empty yet.

        Raises NotFound, and FailedPrecondition when it is done with all of its nodes.
        """
        return Call(CANCEL, resources_service_pb2.CancelDrainRequest(drain_id=drain_id))


class Drains(DrainCalls, SyncGroup):
    """Drains of many nodes, blocking."""


class AsyncDrains(DrainCalls, AsyncGroup):
    """Drains of many nodes for asyncio."""
