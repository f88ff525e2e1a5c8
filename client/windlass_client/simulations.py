"""Jobs in virtual time, played by a server."""

from collections.abc import Sequence

from windlass.resources.v1 import (
    resources_service_pb2,
    resources_service_pb2_grpc,
    scheduling_policy_pb2,
    simulation_pb2,
)
from windlass_client.calls import AsyncGroup, Call, Group, SyncGroup, operation, unary

SimulatedJob = simulation_pb2.SimulatedJob
SimulatedNodes = simulation_pb2.SimulatedNodes
SimulateResponse = resources_service_pb2.SimulateResponse

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
RUN = unary(_Stub, lambda stub: stub.Simulate, idempotent=True)


class SimulationCalls(Group):
    """Requests about what would be."""

    @operation
    def run(
        self,
        jobs: Sequence[SimulatedJob],
        nodes: Sequence[SimulatedNodes] = (),
        policies: Sequence[str] = (),
        policy: scheduling_policy_pb2.SchedulingPolicy | None = None,
    ) -> Call[resources_service_pb2.SimulateRequest, SimulateResponse]:
        """Play jobs under policies of the scheduler; nothing is changed.

        Args:
            jobs: at most 5,000.
            nodes: where; none: those of the cluster, empty.
            policies: `fifo`, `greedy`, `backfill`, `fair-share`, `built-in`; none: `built-in`, unless there
                is a `policy`.
            policy: one of one's own, too.

        Raises:
            InvalidArgument: it is too much, or makes no sense.
            ResourceExhausted: it takes longer than 30 seconds, or another one is being played.
        """
        request = resources_service_pb2.SimulateRequest(
            jobs=jobs, nodes=nodes, policies=policies, policy=policy
        )
        return Call(RUN, request)


class Simulations(SimulationCalls, SyncGroup):
    """What would be, blocking."""


class AsyncSimulations(SimulationCalls, AsyncGroup):
    """What would be, for asyncio."""
