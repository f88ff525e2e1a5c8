"""Does one thing to many jobs, each on its own: what cannot be done to one keeps no other from it."""

import asyncio
from collections.abc import Mapping

from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.access.policy import Caller
from windlass_server.errors import WindlassError
from windlass_server.jobs.actions import JobActions
from windlass_server.jobs.states import Event, Status, after, standing

_Action = pb.UpdateJobStatusRequest
# So many at a time share the writes to the disk.
_AT_ONCE = 32
_EVENTS: Mapping[int, Event] = {
    _Action.CANCEL: Event.CANCEL,
    _Action.RETRY: Event.RETRY,
    _Action.HOLD: Event.HOLD,
    _Action.RELEASE: Event.RELEASE,
    _Action.SUSPEND: Event.SUSPEND,
    _Action.RESUME: Event.RESUME,
}


class BulkActions:
    """Acts on pages of jobs.

    Args:
        actions: what is done to each.
    """

    def __init__(self, actions: JobActions) -> None:
        self._actions = actions

    async def act(
        self, who: Caller, page: pb.ListJobsResponse, request: pb.UpdateJobStatusesRequest
    ) -> pb.UpdateJobStatusesResponse:
        """Do what is asked for to each job of a page; of a dry run say what would become of it.

        Args:
            who: the caller.
            page: the jobs, as it was listed for the caller.
            request: what to do, valid by the rules of the contract.
        """
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(job: job_pb2.Job) -> pb.JobOutcome:
            async with room:
                return await self._one(who, job, request)

        outcomes = await asyncio.gather(*map(one, page.jobs))
        refused = sum(bool(outcome.error_reason) for outcome in outcomes)
        return pb.UpdateJobStatusesResponse(
            outcomes=outcomes,
            done_count=len(outcomes) - refused,
            refused_count=refused,
            next_page_token=page.next_page_token,
        )

    async def _one(
        self, who: Caller, job: job_pb2.Job, request: pb.UpdateJobStatusesRequest
    ) -> pb.JobOutcome:
        outcome = pb.JobOutcome(job_id=job.job_id, previous_status=job.status, status=job.status)
        try:
            if request.validate_only:
                event, array = _EVENTS[request.action], job.HasField("array_status")
                if job.frozen and event is Event.RESUME:
                    event = Event.THAW
                now = standing(job.status, frozen=job.frozen)
                status = after(now, event, job.job_id, array=array)
                retry = request.action == _Action.RETRY
                outcome.status = int(Status.QUEUED if retry else status)  # type: ignore[assignment]
                return outcome
            wanted = pb.UpdateJobStatusRequest(
                job_id=job.job_id,
                action=request.action,
                reason=request.reason,
                force=request.force,
            )
            row = await self._actions.act(who, wanted)
        except WindlassError as error:
            outcome.error_reason, outcome.error_message = error.reason, error.message
            return outcome
        outcome.status = row.status  # type: ignore[assignment]
        if row.job_id != job.job_id:
            outcome.retry_job_id = row.job_id
        return outcome
