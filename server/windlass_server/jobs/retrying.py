"""Submits jobs that have ended again: what is the same, what is not, and who may."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.jobs.array_rules import Indices
from windlass_server.jobs.array_spec import indices_of
from windlass_server.jobs.lineage import Again
from windlass_server.jobs.notifying import with_webhooks_there
from windlass_server.jobs.overriding import override
from windlass_server.jobs.service import JobsService
from windlass_server.jobs.states import Event, Status, after
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import merged

# The caller's fields that a retry may have otherwise, by their numbers.
_CALLERS = (*range(1, 20), *range(40, 60))
_CHANGEABLE = tuple(
    field.name
    for field in job_pb2.Job.DESCRIPTOR.fields
    if field.number in _CALLERS and field.name not in ("project", "template")
)


@dataclass(frozen=True, slots=True)
class Retry:
    """What is asked for.

    Attributes:
        job_id: the job that has ended.
        reason: why, in the caller's words; empty for none.
        overrides: what is to be otherwise.
        mask: fields that are taken from there as a whole; none: what it has values for.
        from_scratch: begin anew, not with the newest checkpoint.
        request_id: makes it idempotent; empty: the same retry that has not ended is the answer.
    """

    job_id: str
    reason: str = ""
    overrides: job_pb2.Job | None = None
    mask: Sequence[str] = ()
    from_scratch: bool = False
    request_id: str = ""


class RetriesService:
    """Retries of jobs.

    Args:
        jobs: where the new ones are submitted.
        check: raises InvalidInput for a submission that breaks the rules of the contract.
    """

    def __init__(
        self, database: Database, jobs: JobsService, check: Callable[[Message], None]
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._check = check

    async def retry(self, who: Caller, wanted: Retry) -> JobRow:
        """Submit a job that has ended again, as a new one.

        Raises:
            NotFound: no such job, or foreign.
            Denied: the caller may not submit there.
            WrongState: it has not ended.
            InvalidInput: with the overrides it is no valid job.
            Others: as `JobsService.submit`.
        """

        def load(tx: Transaction) -> tuple[JobRow, job_pb2.Job]:
            job = tx.jobs.get(wanted.job_id)
            if job is None:
                raise absent("job", wanted.job_id)
            require_object(who, "jobs.submit", job.project, kind="job", object_id=job.job_id)
            after(job.status, Event.RETRY, job.job_id, array=bool(job.array_count))
            return job, with_webhooks_there(tx, _to_retry(tx, job))

        source, stored = await self._database.read(load)
        stored.queue = source.queue
        spec = retried(stored, wanted.overrides, wanted.mask)
        self._require_valid(spec)
        lineage = Again(source, _remembered(wanted), wanted.reason, wanted.from_scratch)
        return await self._jobs.submit(who, spec, request_id=wanted.request_id, lineage=lineage)

    def _require_valid(self, spec: job_pb2.Job) -> None:
        try:
            self._check(pb.SubmitJobRequest(job=spec))
        except InvalidInput as error:
            violations = tuple(
                FieldViolation(_as_override(one.field), one.description, one.reason)
                for one in error.violations
            )
            message = f"with the overrides it is no valid job: {_named(violations)}"
            raise InvalidInput(message, reason=error.reason, violations=violations) from None


def _to_retry(tx: Transaction, job: JobRow) -> job_pb2.Job:
    """What a job asked for; of an array those indices that did not succeed, or all where all did."""
    stored = job_pb2.Job.FromString(job.spec)
    if job.array_count:
        done = {*tx.arrays.indices_in(job.job_id, Status.SUCCEEDED)}
        left = [index for index in indices_of(stored.array) if index not in done]
        if left:
            stored.array.indices = Indices.of(left).text
    return stored


def retried(stored: job_pb2.Job, overrides: job_pb2.Job | None, mask: Sequence[str]) -> job_pb2.Job:
    """What a retry of a job asks for.

    Args:
        stored: what the job asked for; not changed.
        overrides: what is to be otherwise; None: nothing.
        mask: fields that are taken from there as a whole; none: what it has values for replaces that,
            messages field by field, maps key by key, lists as a whole.

    Raises:
        InvalidInput: a field of the mask is none that can be otherwise, or a project is another one.
    """
    overrides = overrides or job_pb2.Job()
    if overrides.project not in ("", stored.project):
        message = f"the job is of project {stored.project}, and stays there"
        violation = FieldViolation("overrides.project", message, "OTHER_PROJECT")
        raise InvalidInput(message, reason="OTHER_PROJECT", violations=(violation,))
    if overrides.HasField("template"):
        message = "a retry is of the job that the template has made"
        violation = FieldViolation("overrides.template", message, "FIELD_NOT_CHANGEABLE")
        raise InvalidInput(message, reason="FIELD_NOT_CHANGEABLE", violations=(violation,))
    if mask:
        return merged(stored, overrides, mask, _CHANGEABLE)
    result = job_pb2.Job()
    result.CopyFrom(stored)
    override(result, overrides)
    return result


def _remembered(wanted: Retry) -> pb.UpdateJobStatusRequest:
    """The request, as another one with its id is compared with it."""
    request = pb.UpdateJobStatusRequest(
        job_id=wanted.job_id,
        action=pb.UpdateJobStatusRequest.RETRY,
        overrides=wanted.overrides,
        from_scratch=wanted.from_scratch,
    )
    request.update_mask.paths.extend(wanted.mask)
    return request


def _as_override(field: str) -> str:
    return "overrides" + field.removeprefix("job") if field.split(".")[0] == "job" else field


def _named(violations: Sequence[FieldViolation]) -> str:
    return ", ".join(sorted({one.field for one in violations})[:5])
