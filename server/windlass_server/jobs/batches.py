"""Submits many jobs in one call: each is decided by itself, and what is accepted is written together."""

from collections.abc import Callable, Sequence

from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, require
from windlass_server.errors import WindlassError
from windlass_server.jobs.service import JobsService, NewJob, wanted_of
from windlass_server.jobs.templated_jobs import Known, TemplatedJobs
from windlass_server.jobs.wanted import Seen, Wanted, look
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.together import write_together

# A request id and the place of a job in its batch: no caller's request id has a space.
_PLACE = "{} {}"


class JobBatches:
    """Submits jobs as `JobsService` does, many at once."""

    def __init__(self, database: Database, jobs: JobsService, templated: TemplatedJobs) -> None:
        self._database = database
        self._templated = templated
        self._jobs = jobs

    async def submit(
        self,
        who: Caller,
        specs: Sequence[job_pb2.Job],
        *,
        request_id: str = "",
        check: Callable[[job_pb2.Job], None],
    ) -> list[JobRow | Exception]:
        """Accept those jobs that can be; answers for each the job, or what `JobsService.submit` would raise.

        Args:
            who: the caller, of whom it is asked for each job whether it may submit to its project.
            specs: the jobs.
            request_id: makes the call idempotent.
            check: raises InvalidInput for a job that does not keep to the rules in the protos.
        """
        answers: dict[int, JobRow | Exception] = {}
        wanted: dict[int, Wanted] = {}
        templates: Known = {}
        for number, spec in enumerate(specs):
            try:
                check(spec)
                require(who, "jobs.submit", spec.project or who.default_project)
                of_item = _PLACE.format(request_id, number) if request_id else ""
                made, lineage = await self._templated.asked(who, spec, of_item, templates)
                wanted[number] = wanted_of(who, made, lineage, of_item)
            except WindlassError as error:
                answers[number] = error
        seen = await self._database.read(lambda tx: look(tx, who, list(wanted.values())))
        new: dict[int, NewJob] = {}
        for (number, one), known in zip(wanted.items(), seen, strict=True):
            found = await self._found(who, one, known)
            if isinstance(found, NewJob):
                new[number] = found
            else:
                answers[number] = found
        written = await write_together(self._database, list(new.values()), self._jobs.add_all)
        answers |= zip(new, written, strict=True)
        return [answers[number] for number in range(len(specs))]

    async def _found(
        self, who: Caller, wanted: Wanted, seen: Seen | WindlassError
    ) -> NewJob | JobRow | WindlassError:
        """A job that may be added, the one that there is already, or why it may not be added."""
        if isinstance(seen, WindlassError):
            return seen
        if seen.earlier is not None:
            return seen.earlier
        try:
            return await self._jobs.admit(who, wanted, seen)
        except WindlassError as error:
            return error
