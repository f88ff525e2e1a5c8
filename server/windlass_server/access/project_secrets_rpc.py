"""Secrets in the access API: messages to calls and back."""

from windlass.access.v1 import secret_pb2
from windlass_server.access.project_secrets import SecretsService, SecretView
from windlass_server.rpc.call import Call
from windlass_server.storage.tables import SecretVersionRow
from windlass_server.timestamps import to_proto


class SecretsRpc:
    """The methods of secrets."""

    def __init__(self, secrets: SecretsService) -> None:
        self._secrets = secrets

    async def PutSecret(
        self, request: secret_pb2.PutSecretRequest, call: Call
    ) -> secret_pb2.Secret:
        value = request.value.encode() or request.data
        view = await self._secrets.put(
            call.caller, _project(request, call), request.name, value, etag=request.etag
        )
        return secret_message(view)

    async def GetSecret(
        self, request: secret_pb2.GetSecretRequest, call: Call
    ) -> secret_pb2.Secret:
        found = await self._secrets.get(call.caller, _project(request, call), request.name)
        return secret_message(found)

    async def ListSecrets(
        self, request: secret_pb2.ListSecretsRequest, call: Call
    ) -> secret_pb2.ListSecretsResponse:
        found, token = await self._secrets.list(
            call.caller, _project(request, call), size=request.page_size, token=request.page_token
        )
        return secret_pb2.ListSecretsResponse(
            secrets=map(secret_message, found), next_page_token=token
        )

    async def DeleteSecret(
        self, request: secret_pb2.DeleteSecretRequest, call: Call
    ) -> secret_pb2.Secret:
        view = await self._secrets.delete(
            call.caller, _project(request, call), request.name, etag=request.etag
        )
        return secret_message(view)


def _project(
    request: secret_pb2.PutSecretRequest
    | secret_pb2.GetSecretRequest
    | secret_pb2.ListSecretsRequest
    | secret_pb2.DeleteSecretRequest,
    call: Call,
) -> str:
    return request.project or call.caller.default_project


def secret_message(view: SecretView) -> secret_pb2.Secret:
    """What is told of a secret: everything but what it is worth."""
    row = view.row
    return secret_pb2.Secret(
        secret_id=row.secret_id,
        project=row.project,
        name=row.name,
        version=row.version,
        size_bytes=row.size_bytes,
        user=row.user,
        create_time=to_proto(row.created_at),
        update_time=to_proto(row.updated_at),
        etag=str(row.version),
        versions=map(_version_message, view.versions),
    )


def _version_message(row: SecretVersionRow) -> secret_pb2.SecretVersion:
    return secret_pb2.SecretVersion(
        version=row.version,
        size_bytes=row.size_bytes,
        user=row.user,
        create_time=to_proto(row.created_at),
    )
