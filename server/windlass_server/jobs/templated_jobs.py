"""Jobs that are made of templates."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from google.protobuf.message import Message

from windlass.jobs.v1 import job_pb2, job_template_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.access.policy import Caller
from windlass_server.errors import FieldViolation, InvalidInput, NotFound
from windlass_server.idempotency import Asked
from windlass_server.jobs.lineage import First, FromTemplate, Lineage
from windlass_server.jobs.overriding import override
from windlass_server.jobs.template_rules import Template, filled, job_of, struct_value, values_of
from windlass_server.jobs.wanted import earlier_jobs
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobTemplateVersionRow
from windlass_server.storage.transaction import Transaction

# Of the templates that are read for a batch, as many are kept: each may be large.
_KEPT = 8


@dataclass(frozen=True, slots=True)
class Parsed:
    """A version of a template, ready to be used many times.

    Attributes:
        version: which one.
        template: its parameters.
        tree: its job, as JSON has it.
    """

    version: int
    template: Template
    tree: Mapping[str, Any]


Known = dict[tuple[str, str, int], Parsed | NotFound]
"""Templates that were read, or are not there, by project, name and the version that was asked for."""


class TemplatedJobs:
    """Makes jobs of what callers say that name a template.

    Args:
        check: raises InvalidInput for a submission that breaks the rules of the contract.
    """

    def __init__(self, database: Database, check: Callable[[Message], None]) -> None:
        self._database = database
        self._check = check

    async def asked(
        self,
        who: Caller,
        asked: job_pb2.Job,
        request_id: str = "",
        known: Known | None = None,
    ) -> tuple[job_pb2.Job, Lineage]:
        """The job that is asked for, and where it comes from; one without a template is as it is.

        What is said beside the template replaces what it says: messages field by field, maps key by key, lists as a whole.

        Args:
            who: the caller, who has been authorised for the job's project.
            asked: the job as it is said.
            request_id: of the call; where an earlier one had it, the job stays as it is said, whatever has become of
                the template: the answer is the earlier one's, or that its request was another.
            known: the templates that were read for jobs beside this one; this one's is added.

        Raises:
            NotFound: there is no such template in the project, or no such version.
            InvalidInput: its parameters have other values, or with these it is no valid job.
        """
        if not asked.HasField("template"):
            return asked, First()
        use, project = asked.template, asked.project or who.default_project
        as_said = FromTemplate(asked, use.name, use.version)
        if request_id and await self._is_answered(as_said.asked(who.user, request_id, asked)):
            return asked, as_said
        found = await self._read(project, use, {} if known is None else known)
        values, wrong = values_of(found.template, dict(use.parameters.fields))
        if wrong:
            raise invalid(f"template {use.name} takes no such values", wrong)
        job, wrong = filled(found.tree, values)
        if wrong:
            raise invalid(f"template {use.name} makes no job of these values", wrong)
        _lay_over(job, asked)
        self._require_valid(job, use.name)
        job.template.name, job.template.version = use.name, found.version
        for name, value in values.items():
            job.template.parameters.fields[name].CopyFrom(struct_value(value))
        return job, FromTemplate(asked, use.name, found.version)

    async def _is_answered(self, request: Asked) -> bool:
        (earlier,) = await self._database.read(lambda tx: earlier_jobs(tx, [request]))
        return earlier is not None

    async def _read(self, project: str, use: job_template_pb2.TemplateUse, known: Known) -> Parsed:
        """The template that is used. Raises NotFound."""
        key = (project, use.name, use.version)
        if key in known:
            # Many jobs of one template leave room for others, too.
            await asyncio.sleep(0)
        else:
            if len(known) >= _KEPT:
                known.clear()
            try:
                row = await self._database.read(lambda tx: found_in(tx, *key))
            except NotFound as error:
                known[key] = error
            else:
                template = Template.FromString(row.spec)
                known[key] = Parsed(row.version, template, job_of(template))
        found = known[key]
        if isinstance(found, NotFound):
            raise found
        return found

    def _require_valid(self, job: job_pb2.Job, name: str) -> None:
        try:
            self._check(pb.SubmitJobRequest(job=job))
        except InvalidInput as error:
            raise InvalidInput(
                f"template {name} makes no valid job of these values: {error.message}",
                reason=error.reason,
                violations=error.violations,
            ) from None


def _lay_over(job: job_pb2.Job, asked: job_pb2.Job) -> None:
    own = job_pb2.Job()
    own.CopyFrom(asked)
    own.ClearField("template")
    # A job runs one of them.
    if own.script:
        job.ClearField("command")
    elif own.command:
        job.ClearField("script")
    override(job, own)


def invalid(what: str, found: Sequence[FieldViolation]) -> InvalidInput:
    """The error that says all of it."""
    first = found[0]
    message = f"{what}: {first.field} {first.description}"
    return InvalidInput(message, reason=first.reason, violations=tuple(found))


def found_in(tx: Transaction, project: str, name: str, version: int = 0) -> JobTemplateVersionRow:
    """A template in a version, 0: in its newest. Raises NotFound, with the names that are near."""
    found = tx.job_templates.get(project, name, version)
    if found is not None:
        return found
    names = tx.job_templates.names(project)
    of = f"version {version} of template" if name in names else "template"
    message = f"there is no {of} {name!r} in project {project!r}"
    near = [] if name in names else get_close_matches(name, names, 3)
    if near:
        message += f"; did you mean {' or '.join(near)}?"
    reason = "JOB_TEMPLATE_NOT_FOUND"
    raise NotFound(message, reason=reason, kind="job template", id=name, near=",".join(near))
