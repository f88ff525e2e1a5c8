"""The templates API on the wire: translate, call, translate back."""

from windlass.jobs.v1 import job_template_pb2
from windlass.jobs.v1 import job_templates_service_pb2 as pb
from windlass_server.jobs.job_templates import JobTemplatesService
from windlass_server.rpc.call import Call
from windlass_server.storage.tables import JobTemplateVersionRow
from windlass_server.timestamps import to_proto


class JobTemplatesRpc:
    """Serves `windlass.jobs.v1.JobTemplatesService`."""

    def __init__(self, templates: JobTemplatesService) -> None:
        self._templates = templates

    async def CreateJobTemplate(
        self, request: pb.CreateJobTemplateRequest, call: Call
    ) -> job_template_pb2.JobTemplate:
        made = await self._templates.create(call.caller, request.project, request.template)
        return template_message(made)

    async def ListJobTemplates(
        self, request: pb.ListJobTemplatesRequest, call: Call
    ) -> pb.ListJobTemplatesResponse:
        found, token = await self._templates.list(
            call.caller, request.project, size=request.page_size, token=request.page_token
        )
        return pb.ListJobTemplatesResponse(
            templates=map(template_message, found), next_page_token=token
        )

    async def GetJobTemplate(
        self, request: pb.GetJobTemplateRequest, call: Call
    ) -> job_template_pb2.JobTemplate:
        found = await self._templates.get(
            call.caller, request.project, request.name, request.version
        )
        return template_message(found)

    async def ListJobTemplateVersions(
        self, request: pb.ListJobTemplateVersionsRequest, call: Call
    ) -> pb.ListJobTemplateVersionsResponse:
        found, token = await self._templates.versions(
            call.caller,
            request.project,
            request.name,
            size=request.page_size,
            token=request.page_token,
        )
        return pb.ListJobTemplateVersionsResponse(
            versions=map(template_message, found), next_page_token=token
        )

    async def UpdateJobTemplate(
        self, request: pb.UpdateJobTemplateRequest, call: Call
    ) -> job_template_pb2.JobTemplate:
        mask = request.update_mask.paths
        stored = await self._templates.update(call.caller, request.project, request.template, mask)
        return template_message(stored)

    async def DeleteJobTemplate(
        self, request: pb.DeleteJobTemplateRequest, call: Call
    ) -> job_template_pb2.JobTemplate:
        gone = await self._templates.delete(
            call.caller, request.project, request.name, request.etag
        )
        return template_message(gone)


def template_message(row: JobTemplateVersionRow) -> job_template_pb2.JobTemplate:
    """A version of a template as the API shows it."""
    message = job_template_pb2.JobTemplate.FromString(row.spec)
    message.project, message.name, message.version = row.project, row.name, row.version
    message.user, message.etag = row.user, str(row.version)
    message.create_time.CopyFrom(to_proto(row.created_at))
    return message
