"""Passwords, tokens and keys of a project, which jobs are given and nobody can read."""

from windlass.access.v1 import access_service_pb2_grpc, secret_pb2
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

Secret = secret_pb2.Secret

_Stub = access_service_pb2_grpc.AccessServiceStub
LIST = unary(_Stub, lambda stub: stub.ListSecrets, idempotent=True)
GET = unary(_Stub, lambda stub: stub.GetSecret, idempotent=True)
# Sent once: a repeat would make one more version, and be told that what it deletes is gone.
PUT = unary(_Stub, lambda stub: stub.PutSecret, idempotent=False)
DELETE = unary(_Stub, lambda stub: stub.DeleteSecret, idempotent=False)


class SecretCalls(Group):
    """Requests about secrets; none of them answers a value."""

    @operation
    def put(
        self, name: str, value: str | bytes, *, project: str | None = None, etag: str = ""
    ) -> Call[secret_pb2.PutSecretRequest, Secret]:
        """Set a secret, which is made when it is not there: its next version.

        Args:
            name: letters, digits and '._-'.
            value: at most 64 KiB.
            project: the client's by default.
            etag: set it only if it is as it was read.

        Raises:
            PermissionDenied: you may not write secrets of the project.
            FailedPrecondition: the project has too many.
            Aborted: it is not as the etag says.
        """
        data = value.encode() if isinstance(value, str) else value
        request = secret_pb2.PutSecretRequest(
            project=self._in(project), name=name, data=data, etag=etag
        )
        return Call(PUT, request)

    @operation
    def get(
        self, name: str, *, project: str | None = None
    ) -> Call[secret_pb2.GetSecretRequest, Secret]:
        """Read what is known of a secret: its versions, not their values. Raises NotFound."""
        return Call(GET, secret_pb2.GetSecretRequest(project=self._in(project), name=name))

    @listing
    def list(
        self, *, project: str | None = None, page_size: int = 0
    ) -> Pages[secret_pb2.ListSecretsRequest, secret_pb2.ListSecretsResponse, Secret]:
        """Iterate over the secrets of a project by name, without their versions.

        Args:
            project: the client's by default.
            page_size: how many are fetched at once.
        """
        request = secret_pb2.ListSecretsRequest(project=self._in(project), page_size=page_size)
        return Pages(LIST, request, lambda page: page.secrets)

    @operation
    def delete(
        self, name: str, *, project: str | None = None, etag: str = ""
    ) -> Call[secret_pb2.DeleteSecretRequest, Secret]:
        """Remove a secret; answers what was known of it. Raises NotFound, and Aborted by the etag."""
        request = secret_pb2.DeleteSecretRequest(project=self._in(project), name=name, etag=etag)
        return Call(DELETE, request)

    def _in(self, project: str | None) -> str:
        return self.project if project is None else project


class Secrets(SecretCalls, SyncGroup):
    """Secrets, blocking."""


class AsyncSecrets(SecretCalls, AsyncGroup):
    """Secrets for asyncio."""
