"""The part of the resources API that is about how the scheduler decides: messages to calls and back."""

from windlass.resources.v1 import resources_service_pb2, scheduling_policy_pb2
from windlass_server.resources.scheduling_policies import SchedulingPoliciesService
from windlass_server.resources.scheduling_policy_message import (
    scheduling_policy_event_message,
    scheduling_policy_message,
)
from windlass_server.resources.shares import SharesService
from windlass_server.resources.shares_message import shares_message
from windlass_server.rpc.call import Call


class SchedulingPoliciesRpc:
    """What `windlass.resources.v1.ResourcesService` says of scheduling policies."""

    def __init__(self, policies: SchedulingPoliciesService, shares: SharesService) -> None:
        self._policies = policies
        self._shares = shares

    async def ListSchedulingPolicies(
        self, request: resources_service_pb2.ListSchedulingPoliciesRequest, call: Call
    ) -> resources_service_pb2.ListSchedulingPoliciesResponse:
        found, token = await self._policies.list(
            call.caller, size=request.page_size, token=request.page_token
        )
        return resources_service_pb2.ListSchedulingPoliciesResponse(
            policies=[scheduling_policy_message(one, call.caller) for one in found],
            next_page_token=token,
        )

    async def GetSchedulingPolicy(
        self, request: resources_service_pb2.GetSchedulingPolicyRequest, call: Call
    ) -> scheduling_policy_pb2.SchedulingPolicy:
        found = await self._policies.get(call.caller, request.policy_id)
        if found is None:
            return scheduling_policy_pb2.SchedulingPolicy(policy_id=request.policy_id)
        return scheduling_policy_message(found, call.caller)

    async def UpdateSchedulingPolicy(
        self, request: resources_service_pb2.UpdateSchedulingPolicyRequest, call: Call
    ) -> scheduling_policy_pb2.SchedulingPolicy:
        stored = await self._policies.update(call.caller, request.policy, request.update_mask.paths)
        return scheduling_policy_message(stored, call.caller)

    async def DeleteSchedulingPolicy(
        self, request: resources_service_pb2.DeleteSchedulingPolicyRequest, call: Call
    ) -> scheduling_policy_pb2.SchedulingPolicy:
        gone = await self._policies.delete(call.caller, request.policy_id, request.etag)
        return scheduling_policy_message(gone, call.caller)

    async def ListSchedulingPolicyEvents(
        self, request: resources_service_pb2.ListSchedulingPolicyEventsRequest, call: Call
    ) -> resources_service_pb2.ListSchedulingPolicyEventsResponse:
        found, token = await self._policies.events(
            call.caller, request.policy_id, size=request.page_size, token=request.page_token
        )
        return resources_service_pb2.ListSchedulingPolicyEventsResponse(
            events=[scheduling_policy_event_message(one, request.policy_id) for one in found],
            next_page_token=token,
        )

    async def GetShares(
        self, request: resources_service_pb2.GetSharesRequest, call: Call
    ) -> scheduling_policy_pb2.Shares:
        return shares_message(await self._shares.get(call.caller, request.queue, request.pool))
