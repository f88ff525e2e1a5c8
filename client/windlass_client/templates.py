"""Templates of jobs."""

import uuid
from collections.abc import Mapping, Sequence

from google.protobuf.struct_pb2 import Struct

from windlass.jobs.v1 import (
    job_pb2,
    job_template_pb2,
    job_templates_service_pb2,
    job_templates_service_pb2_grpc,
    jobs_service_pb2,
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
from windlass_client.jobs import SUBMIT

JobTemplate = job_template_pb2.JobTemplate
TemplateParameter = job_template_pb2.TemplateParameter

_Stub = job_templates_service_pb2_grpc.JobTemplatesServiceStub
LIST = unary(_Stub, lambda stub: stub.ListJobTemplates, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetJobTemplate, idempotent=True)
VERSIONS = unary(_Stub, lambda stub: stub.ListJobTemplateVersions, idempotent=True)
# Sent once: a repeat would be told that it exists, was changed, or is gone.
CREATE = unary(_Stub, lambda stub: stub.CreateJobTemplate, idempotent=False)
UPDATE = unary(_Stub, lambda stub: stub.UpdateJobTemplate, idempotent=False)
DELETE = unary(_Stub, lambda stub: stub.DeleteJobTemplate, idempotent=False)


class TemplateCalls(Group):
    """Requests about templates, which are of the client's project unless another one is said."""

    @listing
    def list(
        self, *, project: str | None = None, page_size: int = 0
    ) -> Pages[
        job_templates_service_pb2.ListJobTemplatesRequest,
        job_templates_service_pb2.ListJobTemplatesResponse,
        JobTemplate,
    ]:
        """Iterate over the templates of a project by name, each in its newest version."""
        request = job_templates_service_pb2.ListJobTemplatesRequest(
            project=self._project(project), page_size=page_size
        )
        return Pages(LIST, request, lambda page: page.templates)

    @operation
    def get(
        self, name: str, *, version: int = 0, project: str | None = None
    ) -> Call[job_templates_service_pb2.GetJobTemplateRequest, JobTemplate]:
        """Read a template in a version; in its newest by default. Raises NotFound."""
        request = job_templates_service_pb2.GetJobTemplateRequest(
            project=self._project(project), name=name, version=version
        )
        return Call(GET, request)

    @listing
    def versions(
        self, name: str, *, project: str | None = None, page_size: int = 0
    ) -> Pages[
        job_templates_service_pb2.ListJobTemplateVersionsRequest,
        job_templates_service_pb2.ListJobTemplateVersionsResponse,
        JobTemplate,
    ]:
        """Iterate over the versions of a template, the newest first. Raises NotFound."""
        request = job_templates_service_pb2.ListJobTemplateVersionsRequest(
            project=self._project(project), name=name, page_size=page_size
        )
        return Pages(VERSIONS, request, lambda page: page.versions)

    @operation
    def create(
        self, template: JobTemplate, *, project: str | None = None
    ) -> Call[job_templates_service_pb2.CreateJobTemplateRequest, JobTemplate]:
        """Make a template.

        Args:
            template: its name, its parameters and its job as JSON has it.
            project: the project that gets it.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidArgument: it makes no job, with everything that is wrong with it.
        """
        request = job_templates_service_pb2.CreateJobTemplateRequest(
            project=self._project(project), template=template
        )
        return Call(CREATE, request)

    @operation
    def update(
        self, template: JobTemplate, fields: Sequence[str] = (), *, project: str | None = None
    ) -> Call[job_templates_service_pb2.UpdateJobTemplateRequest, JobTemplate]:
        """Make the next version of a template; as it was: none.

        Args:
            template: its name, what shall be different, and its etag if nobody else may have been first.
            fields: of `description`, `parameters` and `job` those to change; those that have a value by default.
            project: its project.

        Raises:
            NotFound: there is none of that name.
            InvalidArgument: as for `create`.
            Aborted: it is not as the etag says.
        """
        request = job_templates_service_pb2.UpdateJobTemplateRequest(
            project=self._project(project), template=template
        )
        request.update_mask.paths.extend(fields)
        return Call(UPDATE, request)

    @operation
    def delete(
        self, name: str, *, project: str | None = None, etag: str = ""
    ) -> Call[job_templates_service_pb2.DeleteJobTemplateRequest, JobTemplate]:
        """Remove a template; answers its newest version. Raises NotFound, and Aborted by the etag."""
        request = job_templates_service_pb2.DeleteJobTemplateRequest(
            project=self._project(project), name=name, etag=etag
        )
        return Call(DELETE, request)

    @operation
    def run(
        self,
        name: str,
        parameters: Mapping[str, str | float | bool] | None = None,
        *,
        version: int = 0,
        overrides: job_pb2.Job | None = None,
        project: str | None = None,
        validate_only: bool = False,
        request_id: str | None = None,
    ) -> Call[jobs_service_pb2.SubmitJobRequest, job_pb2.Job]:
        """Submit a job of a template.

        Args:
            name: the template.
            parameters: values; numbers and truth values may be texts.
            version: of the template; the newest by default.
            overrides: what of the job is to be otherwise than the template says.
            project: that of the template and of the job.
            validate_only: check everything and write nothing; answers the job as it would be.
            request_id: makes the call idempotent; a fresh one by default.

        Raises:
            NotFound: there is no such template, or no such version.
            InvalidArgument: with everything that is wrong with the values, or with the job that they make.
        """
        job = job_pb2.Job()
        if overrides is not None:
            job.CopyFrom(overrides)
        job.project = self._project(project)
        job.template.name, job.template.version = name, version
        values = Struct()
        values.update(dict(parameters or {}))
        job.template.parameters.CopyFrom(values)
        request = jobs_service_pb2.SubmitJobRequest(
            job=job, request_id=request_id or uuid.uuid4().hex, validate_only=validate_only
        )
        return Call(SUBMIT, request)

    def _project(self, project: str | None) -> str:
        return self.project if project is None else project


class Templates(TemplateCalls, SyncGroup):
    """Templates, blocking."""


class AsyncTemplates(TemplateCalls, AsyncGroup):
    """Templates for asyncio."""
