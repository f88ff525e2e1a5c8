"""Templates of jobs, and the jobs that are made of them: authorise, load, decide, store."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.message import Message

from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.access.policy import Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.errors import AlreadyExists, FieldViolation, InvalidInput, WrongState
from windlass_server.jobs.template_rules import (
    Template,
    filled,
    job_of,
    values_of,
    violations,
)
from windlass_server.jobs.templated_jobs import found_in, invalid
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import row
from windlass_server.storage.tables import JobTemplateVersionRow
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import difference, merged, require_etag

CHANGEABLE = ("description", "parameters", "job")
"""What an update may change."""
# Variables may hold keys, and events are told to webhooks.
_UNTOLD = ("parameters", "job")
MAX_TEMPLATES = 1000
"""Of a project."""
MAX_VERSIONS = 10_000
"""Of a template."""

# What a page of templates takes at most, and at least one.
_PAGE_BYTES = 3 << 20
# How many are read at once.
_AT_ONCE = 12


class JobTemplatesService:
    """The templates of all projects.

    Args:
        page_tokens: makes list tokens.
        check: raises InvalidInput for a submission that breaks the rules of the contract.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        page_tokens: PageTokens,
        check: Callable[[Message], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._page_tokens = page_tokens
        self._check = check

    async def list(
        self, who: Caller, project: str, *, size: int, token: str
    ) -> tuple[Sequence[JobTemplateVersionRow], str]:
        """A page of a project's templates by name, each in its newest version, and the token of the next one.

        Raises:
            NotFound: there is no such project.
        """
        project = project or who.default_project
        require(who, "templates.list", project)
        size = page_size(size)
        query = f"job templates {project}"
        behind = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> tuple[Sequence[JobTemplateVersionRow], bool]:
            if not tx.access.has_project(project):
                raise absent("project", project)
            names = [name for name in tx.job_templates.names(project) if name > behind]
            found = _that_fit(_newest(tx, project, names[:size]))
            return found, len(names) > len(found)

        found, more = await self._database.read(load)
        return found, self._page_tokens.make(query, found[-1].name) if more else ""

    async def get(
        self, who: Caller, project: str, name: str, version: int = 0
    ) -> JobTemplateVersionRow:
        """A template in a version, 0: in its newest. Raises NotFound."""
        project = project or who.default_project
        require(who, "templates.get", project)
        return await self._database.read(lambda tx: found_in(tx, project, name, version))

    async def versions(
        self, who: Caller, project: str, name: str, *, size: int, token: str
    ) -> tuple[Sequence[JobTemplateVersionRow], str]:
        """A page of a template's versions, the newest first, and the token of the next one. Raises NotFound."""
        project = project or who.default_project
        require(who, "templates.get", project)
        size = page_size(size)
        query = f"job template versions {project}/{name}"
        before = int(self._page_tokens.read(query, token)) if token else MAX_VERSIONS + 1

        def load(tx: Transaction) -> tuple[Sequence[JobTemplateVersionRow], bool]:
            found_in(tx, project, name)
            found = _that_fit(_older(tx, project, name, before, size))
            return found, bool(found) and found[-1].version > 1

        found, more = await self._database.read(load)
        return found, self._page_tokens.make(query, str(found[-1].version)) if more else ""

    async def create(self, who: Caller, project: str, wanted: Template) -> JobTemplateVersionRow:
        """Make a template, or the next version of one that was removed.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidInput: it makes no job, with everything that is wrong with it.
            NotFound: there is no such project.
            WrongState: there are too many.
        """
        project = project or who.default_project
        require(who, "templates.create", project)
        spec = merged(Template(), wanted, CHANGEABLE, CHANGEABLE)
        self._require_sound(spec)

        def store(tx: Transaction) -> JobTemplateVersionRow:
            if not tx.access.has_project(project):
                raise absent("project", project)
            if tx.job_templates.count(project) >= MAX_TEMPLATES:
                message = (
                    f"project {project} has {MAX_TEMPLATES} templates, the most that it can have"
                )
                raise WrongState(message, reason="TOO_MANY_TEMPLATES", subject=project)
            tx.job_templates.add(project, wanted.name)
            head = tx.job_templates.lock(project, wanted.name)
            assert head is not None
            if head.version and not head.removed:
                message = f"there is a template {wanted.name!r} in project {project} already"
                raise AlreadyExists(message, reason="JOB_TEMPLATE_EXISTS", name=wanted.name)
            made = self._stored(tx, who, project, wanted.name, head.version + 1, spec)
            self._note(tx, who, "TEMPLATE_CREATED", made, Template(), spec)
            return made

        return await self._database.write(store)

    async def update(
        self, who: Caller, project: str, wanted: Template, mask: Sequence[str]
    ) -> JobTemplateVersionRow:
        """Make the next version of a template; as it was: none.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: the mask names what cannot be changed, or as for `create`.
            Conflict: it is not as `wanted.etag` says.
            WrongState: it has too many versions.
        """
        project = project or who.default_project
        require(who, "templates.update", project)

        def store(tx: Transaction) -> JobTemplateVersionRow:
            old = _locked(tx, project, wanted.name)
            require_etag("template", old.version, wanted.etag)
            before = Template.FromString(old.spec)
            spec = merged(before, wanted, mask, CHANGEABLE)
            if spec == before:
                return old
            self._require_sound(spec)
            now = self._stored(tx, who, project, wanted.name, old.version + 1, spec)
            self._note(tx, who, "TEMPLATE_UPDATED", now, before, spec)
            return now

        return await self._database.write(store)

    async def delete(
        self, who: Caller, project: str, name: str, etag: str
    ) -> JobTemplateVersionRow:
        """Remove a template; returns its newest version.

        Raises:
            NotFound: there is none of that name.
            Conflict: it is not as `etag` says.
        """
        project = project or who.default_project
        require(who, "templates.delete", project)

        def store(tx: Transaction) -> JobTemplateVersionRow:
            old = _locked(tx, project, name)
            require_etag("template", old.version, etag)
            tx.job_templates.remove(project, name)
            before = Template.FromString(old.spec)
            self._note(tx, who, "TEMPLATE_DELETED", old, before, Template())
            return old

        return await self._database.write(store)

    def _require_sound(self, spec: Template) -> None:
        """Refuse what no values make a job of. Raises InvalidInput."""
        found = violations(spec) or self._in_defaults(spec)
        if found:
            raise invalid("it is no template", found)

    def _in_defaults(self, spec: Template) -> Sequence[FieldViolation]:
        """What is wrong with the job of a template that needs no values."""
        if not all(one.HasField("default") for one in spec.parameters):
            return []
        values, _ = values_of(spec, {})
        job, _ = filled(job_of(spec), values)
        try:
            self._check(pb.SubmitJobRequest(job=job))
        except InvalidInput as error:
            return [
                FieldViolation(f"template.{one.field}", one.description, one.reason)
                for one in error.violations
            ]
        return []

    def _stored(
        self, tx: Transaction, who: Caller, project: str, name: str, version: int, spec: Template
    ) -> JobTemplateVersionRow:
        if version > MAX_VERSIONS:
            message = f"template {name} has {MAX_VERSIONS} versions, the most that it can have"
            raise WrongState(message, reason="TOO_MANY_VERSIONS", subject=name)
        values: dict[str, Any] = {
            "project": project,
            "name": name,
            "version": version,
            "spec": spec.SerializeToString(deterministic=True),
            "user": who.user,
            "created_at": self._clock.now(),
        }
        tx.job_templates.add_version(**values)
        return row(JobTemplateVersionRow, values)

    def _note(
        self,
        tx: Transaction,
        who: Caller,
        reason: str,
        at: JobTemplateVersionRow,
        before: Template,
        after: Template,
    ) -> None:
        tx.events.record(
            project=at.project,
            object_id=f"template/{at.project}/{at.name}",
            at=self._clock.now(),
            actor=who.user,
            status=0,
            reason=reason,
            message=f"version {at.version}: {difference(before, after, CHANGEABLE, _UNTOLD)}",
            run_id="",
        )


def _locked(tx: Transaction, project: str, name: str) -> JobTemplateVersionRow:
    tx.job_templates.lock(project, name)
    return found_in(tx, project, name)


def _newest(tx: Transaction, project: str, names: Sequence[str]) -> Iterator[JobTemplateVersionRow]:
    for first in range(0, len(names), _AT_ONCE):
        yield from tx.job_templates.newest(project, names[first : first + _AT_ONCE])


def _older(
    tx: Transaction, project: str, name: str, before: int, size: int
) -> Iterator[JobTemplateVersionRow]:
    for first in range(0, size, _AT_ONCE):
        some = tx.job_templates.older(project, name, before, min(_AT_ONCE, size - first))
        if not some:
            return
        yield from some
        before = some[-1].version


def _that_fit(rows: Iterable[JobTemplateVersionRow]) -> list[JobTemplateVersionRow]:
    """The first that make no more than a page, at least one."""
    fit: list[JobTemplateVersionRow] = []
    left = _PAGE_BYTES
    for one in rows:
        left -= len(one.spec)
        if left < 0 and fit:
            break
        fit.append(one)
    return fit
