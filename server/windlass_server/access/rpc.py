"""The access API's servicer: from the contract to the service and back."""

from typing import cast

from windlass.access.v1 import access_pb2, access_service_pb2
from windlass_server.access.authenticator import bearer
from windlass_server.access.events import EventsService
from windlass_server.access.events_rpc import EventsRpc
from windlass_server.access.policy import ORGANISATION, Caller
from windlass_server.access.project_secrets import SecretsService
from windlass_server.access.project_secrets_rpc import SecretsRpc
from windlass_server.access.quotas import QuotasService
from windlass_server.access.quotas_rpc import QuotasRpc
from windlass_server.access.service import AccessService
from windlass_server.access.webhook_deliveries import WebhookDeliveriesService
from windlass_server.access.webhooks import WebhooksService
from windlass_server.access.webhooks_rpc import WebhooksRpc
from windlass_server.clock import Clock
from windlass_server.rpc.call import Call
from windlass_server.storage.tables import ApiKeyRow, ProjectRow
from windlass_server.timestamps import duration_from_proto, to_proto


class AccessRpc(QuotasRpc, EventsRpc, SecretsRpc, WebhooksRpc):
    """Serves `windlass.access.v1.AccessService`."""

    def __init__(
        self,
        access: AccessService,
        quotas: QuotasService,
        events: EventsService,
        secrets: SecretsService,
        webhooks: WebhooksService,
        deliveries: WebhookDeliveriesService,
        clock: Clock,
    ) -> None:
        QuotasRpc.__init__(self, quotas)
        EventsRpc.__init__(self, events)
        SecretsRpc.__init__(self, secrets)
        WebhooksRpc.__init__(self, webhooks, deliveries, clock)
        self._access = access

    async def CreateToken(
        self, request: access_service_pb2.CreateTokenRequest, call: Call
    ) -> access_service_pb2.AccessToken:
        api_key = request.api_key or bearer(call.metadata.get("authorization", ()))
        lifetime = duration_from_proto(request.lifetime) if request.HasField("lifetime") else None
        issued = await self._access.create_token(api_key, lifetime)
        return access_service_pb2.AccessToken(
            access_token=issued.text,
            token_type="Bearer",  # noqa: S106 - a type (RFC 6750)
            expire_time=to_proto(issued.expires_at),
        )

    async def GetCaller(
        self,
        request: access_service_pb2.GetCallerRequest,
        call: Call,
    ) -> access_service_pb2.CallerInfo:
        return caller_to_proto(call.caller)

    async def CreateProject(
        self, request: access_service_pb2.CreateProjectRequest, call: Call
    ) -> access_pb2.Project:
        wanted = request.project
        made = await self._access.create_project(call.caller, wanted.project, wanted.display_name)
        return project_to_proto(made)

    async def ListProjects(
        self, request: access_service_pb2.ListProjectsRequest, call: Call
    ) -> access_service_pb2.ListProjectsResponse:
        projects, token = await self._access.list_projects(
            call.caller, size=request.page_size, page_token=request.page_token
        )
        return access_service_pb2.ListProjectsResponse(
            projects=[project_to_proto(one) for one in projects], next_page_token=token
        )

    async def CreateApiKey(
        self, request: access_service_pb2.CreateApiKeyRequest, call: Call
    ) -> access_service_pb2.CreateApiKeyResponse:
        key, secret = await self._access.create_api_key(
            call.caller,
            user=request.user,
            project=request.project,
            role=request.role,
            display_name=request.display_name,
            lifetime=duration_from_proto(request.lifetime)
            if request.HasField("lifetime")
            else None,
        )
        return access_service_pb2.CreateApiKeyResponse(api_key=key_to_proto(key), secret=secret)

    async def ListApiKeys(
        self, request: access_service_pb2.ListApiKeysRequest, call: Call
    ) -> access_service_pb2.ListApiKeysResponse:
        keys, token = await self._access.list_api_keys(
            call.caller, size=request.page_size, page_token=request.page_token
        )
        return access_service_pb2.ListApiKeysResponse(
            api_keys=[key_to_proto(one) for one in keys], next_page_token=token
        )

    async def RevokeApiKey(
        self, request: access_service_pb2.RevokeApiKeyRequest, call: Call
    ) -> access_pb2.ApiKey:
        return key_to_proto(await self._access.revoke_api_key(call.caller, request.key_id))


def caller_to_proto(caller: Caller) -> access_service_pb2.CallerInfo:
    """What a caller is told about itself; its roles by project, the organisation's first."""
    roles = dict(caller.roles)
    if caller.organisation_role is not None:
        roles[ORGANISATION] = caller.organisation_role
    return access_service_pb2.CallerInfo(
        user=caller.user,
        default_project=caller.default_project,
        roles=[
            access_service_pb2.RoleBinding(project=project, role=cast("access_pb2.Role", role))
            for project, role in sorted(roles.items())
        ],
    )


def project_to_proto(row: ProjectRow) -> access_pb2.Project:
    """A project as the contract shows it."""
    return access_pb2.Project(
        project=row.project, display_name=row.display_name, create_time=to_proto(row.created_at)
    )


def key_to_proto(row: ApiKeyRow) -> access_pb2.ApiKey:
    """An API key as the contract shows it: without its secret."""
    key = access_pb2.ApiKey(
        key_id=row.key_id,
        user=row.user,
        project=row.project,
        role=cast("access_pb2.Role", row.role),
        display_name=row.display_name,
        create_time=to_proto(row.created_at),
    )
    if row.expires_at is not None:
        key.expire_time.CopyFrom(to_proto(row.expires_at))
    if row.revoked_at is not None:
        key.revoke_time.CopyFrom(to_proto(row.revoked_at))
    return key
