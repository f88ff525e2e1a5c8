"""How the scheduler decides, as data."""

from collections.abc import Sequence

from windlass.resources.v1 import (
    resources_service_pb2,
    resources_service_pb2_grpc,
    scheduling_policy_pb2,
)
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

SchedulingPolicy = scheduling_policy_pb2.SchedulingPolicy

_Stub = resources_service_pb2_grpc.ResourcesServiceStub
LIST = unary(_Stub, lambda stub: stub.ListSchedulingPolicies, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetSchedulingPolicy, idempotent=True)
EVENTS = unary(_Stub, lambda stub: stub.ListSchedulingPolicyEvents, idempotent=True)
# Sent once: a repeat would be told that it was changed, or is gone.
UPDATE = unary(_Stub, lambda stub: stub.UpdateSchedulingPolicy, idempotent=False)
DELETE = unary(_Stub, lambda stub: stub.DeleteSchedulingPolicy, idempotent=False)


class PolicyCalls(Group):
    """Requests about scheduling policies."""

    @listing
    def list(
        self, *, page_size: int = 0
    ) -> Pages[
        resources_service_pb2.ListSchedulingPoliciesRequest,
        resources_service_pb2.ListSchedulingPoliciesResponse,
        SchedulingPolicy,
    ]:
        """Iterate over the policies that were set, by their ids."""
        request = resources_service_pb2.ListSchedulingPoliciesRequest(page_size=page_size)
        return Pages(LIST, request, lambda page: page.policies)

    @operation
    def get(
        self, policy_id: str
    ) -> Call[resources_service_pb2.GetSchedulingPolicyRequest, SchedulingPolicy]:
        """Read a policy: `default`, `queue.NAME` or `pool.NAME`. Raises NotFound."""
        request = resources_service_pb2.GetSchedulingPolicyRequest(policy_id=policy_id)
        return Call(GET, request)

    @operation
    def update(
        self, policy: SchedulingPolicy, mask: Sequence[str] = ()
    ) -> Call[resources_service_pb2.UpdateSchedulingPolicyRequest, SchedulingPolicy]:
        """Set parts of a policy, which is made if need be.

        Args:
            policy: as it shall be; with an `etag`: refused when somebody else changed it since.
            mask: the parts to change; by default those that are set, `*`: all.

        Raises:
            InvalidArgument: what is said makes no sense.
            Aborted: it is not as the etag says.
        """
        request = resources_service_pb2.UpdateSchedulingPolicyRequest(policy=policy)
        request.update_mask.paths.extend(mask)
        return Call(UPDATE, request)

    @operation
    def delete(
        self, policy_id: str, *, etag: str = ""
    ) -> Call[resources_service_pb2.DeleteSchedulingPolicyRequest, SchedulingPolicy]:
        """Remove a policy: what is built in, or behind it, holds again. Raises NotFound."""
        request = resources_service_pb2.DeleteSchedulingPolicyRequest(
            policy_id=policy_id, etag=etag
        )
        return Call(DELETE, request)

    @listing
    def events(
        self, policy_id: str, *, page_size: int = 0
    ) -> Pages[
        resources_service_pb2.ListSchedulingPolicyEventsRequest,
        resources_service_pb2.ListSchedulingPolicyEventsResponse,
        scheduling_policy_pb2.SchedulingPolicyEvent,
    ]:
        """Iterate over who changed what of a policy, oldest first."""
        request = resources_service_pb2.ListSchedulingPolicyEventsRequest(
            policy_id=policy_id, page_size=page_size
        )
        return Pages(EVENTS, request, lambda page: page.events)


class Policies(PolicyCalls, SyncGroup):
    """Scheduling policies, blocking."""


class AsyncPolicies(PolicyCalls, AsyncGroup):
    """Scheduling policies for asyncio."""
