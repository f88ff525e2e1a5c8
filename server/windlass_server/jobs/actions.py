"""What callers do to the status of jobs: each action, and who does it."""

from collections.abc import Awaitable, Callable, Mapping

from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.access.policy import Caller
from windlass_server.jobs.retrying import RetriesService, Retry
from windlass_server.jobs.service import JobsService
from windlass_server.jobs.suspending import Suspensions
from windlass_server.jobs.user_holds import UserHolds
from windlass_server.storage.tables import JobRow

_Request = pb.UpdateJobStatusRequest


class JobActions:
    """Does what a caller asks for.

    Args:
        jobs: cancels them.
        retries: submits them again.
        holds: keeps them from starting.
        suspensions: takes their places away.
    """

    def __init__(
        self, jobs: JobsService, retries: RetriesService, holds: UserHolds, suspensions: Suspensions
    ) -> None:
        self._jobs = jobs
        self._retries = retries
        self._holds = holds
        self._suspensions = suspensions
        self._doing: Mapping[_Request.Action, Callable[[Caller, _Request], Awaitable[JobRow]]] = {
            _Request.CANCEL: self._cancel,
            _Request.RETRY: self._retry,
            _Request.HOLD: self._hold,
            _Request.RELEASE: self._release,
            _Request.SUSPEND: self._suspend,
            _Request.RESUME: self._resume,
        }

    async def act(self, who: Caller, request: _Request) -> JobRow:
        """Do what is asked for; the job as it is then, of a retry the new one.

        Args:
            who: the caller.
            request: valid by the rules of the contract.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: that cannot be done to a job of its status.
            Others: as the action.
        """
        return await self._doing[request.action](who, request)

    async def _cancel(self, who: Caller, request: _Request) -> JobRow:
        return await self._jobs.cancel(
            who, request.job_id, reason=request.reason, force=request.force
        )

    async def _hold(self, who: Caller, request: _Request) -> JobRow:
        return await self._holds.hold(who, request.job_id, reason=request.reason)

    async def _release(self, who: Caller, request: _Request) -> JobRow:
        return await self._holds.release(who, request.job_id, reason=request.reason)

    async def _suspend(self, who: Caller, request: _Request) -> JobRow:
        if request.mode == _Request.FREEZE:
            return await self._suspensions.freeze(who, request.job_id, reason=request.reason)
        return await self._suspensions.suspend(who, request.job_id, reason=request.reason)

    async def _resume(self, who: Caller, request: _Request) -> JobRow:
        return await self._suspensions.resume(who, request.job_id, reason=request.reason)

    async def _retry(self, who: Caller, request: _Request) -> JobRow:
        wanted = Retry(
            job_id=request.job_id,
            reason=request.reason,
            overrides=request.overrides if request.HasField("overrides") else None,
            mask=tuple(request.update_mask.paths),
            from_scratch=request.from_scratch,
            request_id=request.request_id,
        )
        return await self._retries.retry(who, wanted)
