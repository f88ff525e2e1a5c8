"""Decides by the method's authz option whether the caller may call, and lets storage run."""

from google.protobuf.message import Message

from windlass.options.v1.options_pb2 import Authz
from windlass_server.access.policy import ORGANISATION, Caller, PrincipalKind, may_anywhere, require
from windlass_server.errors import Denied
from windlass_server.rpc.call import Call
from windlass_server.storage import guard

_KINDS = {
    Authz.PRINCIPAL_KIND_UNSPECIFIED: PrincipalKind.USER,
    Authz.NODE: PrincipalKind.NODE,
}


class Authorisation:
    """Raises Denied when the caller may not call the method.

    For `OBJECT` methods this asks only whether the caller holds the permission anywhere; the
    service asks again for the object's own project, and answers NOT_FOUND for a foreign one.
    """

    async def __call__(self, call: Call, request: Message | None) -> None:
        authz = call.method.authz
        if authz.public:
            guard.decide("anonymous")
            return
        caller = call.caller
        if caller.kind is not _KINDS[authz.principal]:
            message = f"{call.method.path} is not for a {caller.kind.value}"
            raise Denied(message, reason="WRONG_PRINCIPAL_KIND")
        if authz.scope == Authz.PROJECT:
            assert request is not None
            require(caller, authz.permission, _project(caller, request, authz.project_field))
        elif authz.scope == Authz.ORGANISATION:
            require(caller, authz.permission, ORGANISATION)
        elif authz.scope == Authz.OBJECT and not may_anywhere(caller, authz.permission):
            message = f"you lack the permission {authz.permission} in every project"
            raise Denied(message, reason="PERMISSION_DENIED", permission=authz.permission)
        guard.decide(caller.user)


def _project(caller: Caller, request: Message, field_path: str) -> str:
    """The project that a request names, or the caller's default one."""
    value: object = request
    for name in field_path.split("."):
        value = getattr(value, name)
    assert isinstance(value, str)
    return value or caller.default_project
