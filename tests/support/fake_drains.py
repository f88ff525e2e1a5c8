"""The part of the small control plane in memory that is about drains of many nodes."""

# ruff: noqa: N802 - gRPC methods are CamelCase

from typing import Any

from windlass.resources.v1 import drain_pb2, resources_service_pb2

Drain = drain_pb2.Drain


class FakeDrains:
    """Drains that are done with a node for each time that they are looked at."""

    state: Any

    async def enter(self, name: str, request: Any, context: Any) -> None:
        """As the service that this is a part of."""
        raise NotImplementedError

    async def DrainNodes(self, request: Any, context: Any) -> Drain:
        await self.enter("DrainNodes", request, context)
        drain = Drain(
            drain_id=f"drain-{len(self.state.drains) + 1}",
            status=Drain.RUNNING,
            mode=request.mode,
            afterwards=request.afterwards or Drain.STAY_DRAINED,
            max_unavailable=request.max_unavailable or 1,
            reason=request.reason,
            user="ada",
            nodes=[
                drain_pb2.DrainedNode(node_id=node_id, state=drain_pb2.DrainedNode.WAITING)
                for node_id in request.node_ids
            ],
            node_count=len(request.node_ids),
            waiting_count=len(request.node_ids),
        )
        drain.create_time.FromJsonString("2026-01-02T03:04:05Z")
        self.state.drains[drain.drain_id] = drain
        return drain

    async def ListDrains(
        self, request: Any, context: Any
    ) -> resources_service_pb2.ListDrainsResponse:
        await self.enter("ListDrains", request, context)
        return resources_service_pb2.ListDrainsResponse(drains=self.state.drains.values())

    async def GetDrain(self, request: Any, context: Any) -> Drain:
        await self.enter("GetDrain", request, context)
        drain: Drain = self.state.drains[request.drain_id]
        for node in drain.nodes:
            if node.state == drain_pb2.DrainedNode.WAITING and drain.status == Drain.RUNNING:
                node.state = drain_pb2.DrainedNode.DRAINED
                drain.waiting_count -= 1
                drain.done_count += 1
                break
        else:
            drain.status = max(drain.status, Drain.COMPLETED)
        return drain

    async def CancelDrain(self, request: Any, context: Any) -> Drain:
        await self.enter("CancelDrain", request, context)
        drain: Drain = self.state.drains[request.drain_id]
        drain.status = Drain.CANCELLED
        return drain
