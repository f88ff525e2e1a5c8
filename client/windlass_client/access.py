"""Tokens, API keys, projects."""

from datetime import timedelta
from typing import cast

from windlass.access.v1 import access_pb2, access_service_pb2, access_service_pb2_grpc
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
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_duration

Role = access_pb2.Role

_Stub = access_service_pb2_grpc.AccessServiceStub
# A token that nobody received harms nobody, and a key can be revoked twice; a key or a project that
# nobody received would stay, so their creation is sent once.
CREATE_TOKEN = unary(_Stub, lambda stub: stub.CreateToken, idempotent=True)
GET_CALLER = unary(_Stub, lambda stub: stub.GetCaller, idempotent=True)
CREATE_PROJECT = unary(_Stub, lambda stub: stub.CreateProject, idempotent=False)
LIST_PROJECTS = unary(_Stub, lambda stub: stub.ListProjects, idempotent=True)
CREATE_API_KEY = unary(_Stub, lambda stub: stub.CreateApiKey, idempotent=False)
LIST_API_KEYS = unary(_Stub, lambda stub: stub.ListApiKeys, idempotent=True)
REVOKE_API_KEY = unary(_Stub, lambda stub: stub.RevokeApiKey, idempotent=True)


def parse_role(name: str) -> access_pb2.Role:
    """The role of a name in any case. Raises InvalidArgument."""
    known = [value.name for value in Role.DESCRIPTOR.values if value.number]
    if name.upper() not in known:
        raise InvalidArgument(
            f"{name!r} is not a role; there are {', '.join(known)}", reason="BAD_ROLE"
        )
    return cast("access_pb2.Role", Role.Value(name.upper()))


class AccessCalls(Group):
    """Requests of the access API."""

    @operation
    def create_token(
        self, *, api_key: str = "", lifetime: timedelta | float | str | None = None
    ) -> Call[access_service_pb2.CreateTokenRequest, access_service_pb2.AccessToken]:
        """Trade an API key for a short-lived signed token.

        Args:
            api_key: the key; the client's own token by default.
            lifetime: seconds, a timedelta or such as "5m"; 15 minutes by default and at most.

        Raises:
            Unauthenticated: the key is not good.
        """
        request = access_service_pb2.CreateTokenRequest(api_key=api_key)
        if lifetime is not None:
            request.lifetime.FromTimedelta(parse_duration(lifetime))
        return Call(CREATE_TOKEN, request)

    @operation
    def caller(
        self,
    ) -> Call[access_service_pb2.GetCallerRequest, access_service_pb2.CallerInfo]:
        """Who the caller is and what it may do."""
        return Call(GET_CALLER, access_service_pb2.GetCallerRequest())

    @operation
    def create_project(
        self, project: str, *, display_name: str = ""
    ) -> Call[access_service_pb2.CreateProjectRequest, access_pb2.Project]:
        """Make a project. Raises AlreadyExists when the name is taken."""
        new = access_service_pb2.NewProject(project=project, display_name=display_name)
        return Call(CREATE_PROJECT, access_service_pb2.CreateProjectRequest(project=new))

    @listing
    def projects(
        self, *, page_size: int = 0
    ) -> Pages[
        access_service_pb2.ListProjectsRequest,
        access_service_pb2.ListProjectsResponse,
        access_pb2.Project,
    ]:
        """Iterate over the projects that the caller may see, by name."""
        request = access_service_pb2.ListProjectsRequest(page_size=page_size)
        return Pages(LIST_PROJECTS, request, lambda page: page.projects)

    @operation
    def create_api_key(
        self,
        user: str,
        *,
        role: access_pb2.Role,
        project: str | None = None,
        display_name: str = "",
        lifetime: timedelta | float | str | None = None,
    ) -> Call[access_service_pb2.CreateApiKeyRequest, access_service_pb2.CreateApiKeyResponse]:
        """Make an API key; its secret is in the answer and nowhere else.

        Raises:
            PermissionDenied: the role would be more than the caller has.
        """
        request = access_service_pb2.CreateApiKeyRequest(
            user=user,
            project=self.project if project is None else project,
            role=role,
            display_name=display_name,
        )
        if lifetime is not None:
            request.lifetime.FromTimedelta(parse_duration(lifetime))
        return Call(CREATE_API_KEY, request)

    @listing
    def api_keys(
        self, *, page_size: int = 0
    ) -> Pages[
        access_service_pb2.ListApiKeysRequest,
        access_service_pb2.ListApiKeysResponse,
        access_pb2.ApiKey,
    ]:
        """Iterate over the API keys of the organisation, newest first, without their secrets."""
        request = access_service_pb2.ListApiKeysRequest(page_size=page_size)
        return Pages(LIST_API_KEYS, request, lambda page: page.api_keys)

    @operation
    def revoke_api_key(
        self, key_id: str
    ) -> Call[access_service_pb2.RevokeApiKeyRequest, access_pb2.ApiKey]:
        """Make an API key useless, at once and for ever. Raises NotFound."""
        return Call(REVOKE_API_KEY, access_service_pb2.RevokeApiKeyRequest(key_id=key_id))


class Access(AccessCalls, SyncGroup):
    """The access API, blocking."""


class AsyncAccess(AccessCalls, AsyncGroup):
    """The access API for asyncio."""
