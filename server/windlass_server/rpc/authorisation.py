"""Decides by the method's authz option whether the caller may call, and lets storage run."""

from collections.abc import Callable

from google.protobuf.message import Message

from windlass.options.v1.options_pb2 import Authz
from windlass_server.access.policy import ORGANISATION, Caller, PrincipalKind, may_anywhere, require
from windlass_server.errors import Denied
from windlass_server.rpc.call import Call, Method
from windlass_server.storage import guard

_KINDS = {
    Authz.PRINCIPAL_KIND_UNSPECIFIED: PrincipalKind.USER,
    Authz.NODE: PrincipalKind.NODE,
}

# Raises Denied when a caller may not make a call with this request.
_Check = Callable[[Caller, Message | None], None]


class Authorisation:
    """Raises Denied when the caller may not call the method.

    For `OBJECT` methods this asks only whether the caller holds the permission anywhere; the
    service asks again for the object's own project, and answers NOT_FOUND for a foreign one.
    """

    def __init__(self) -> None:
        # What an option says is the same for every call, and takes long to read.
        self._checks: dict[str, _Check] = {}

    def __call__(self, call: Call, request: Message | None) -> None:
        method = call.method
        if method.authz.public:
            guard.decide("anonymous")
            return
        check = self._checks.get(method.path)
        if check is None:
            check = self._checks[method.path] = _check_of(method)
        caller = call.caller
        check(caller, request)
        guard.decide(caller.user)


def _check_of(method: Method) -> _Check:
    """What the method's option asks for."""
    kind, path = _KINDS[method.authz.principal], method.path
    allowed = _check_of_scope(method.authz)

    def check(caller: Caller, request: Message | None) -> None:
        if caller.kind is not kind:
            message = f"{path} is not for a {caller.kind.value}"
            raise Denied(message, reason="WRONG_PRINCIPAL_KIND")
        allowed(caller, request)

    return check


def _check_of_scope(authz: Authz) -> _Check:
    permission, fields = authz.permission, tuple(authz.project_field.split("."))

    def in_project(caller: Caller, request: Message | None) -> None:
        assert request is not None
        require(caller, permission, _project(caller, request, fields))

    def in_organisation(caller: Caller, _request: Message | None) -> None:
        require(caller, permission, ORGANISATION)

    def anywhere(caller: Caller, _request: Message | None) -> None:
        if not may_anywhere(caller, permission):
            message = f"you lack the permission {permission} in every project"
            raise Denied(message, reason="PERMISSION_DENIED", permission=permission)

    def of_itself(_caller: Caller, _request: Message | None) -> None:
        """Anyone may ask about itself."""

    return {
        Authz.PROJECT: in_project,
        Authz.ORGANISATION: in_organisation,
        Authz.OBJECT: anywhere,
        Authz.SELF: of_itself,
    }[authz.scope]


def _project(caller: Caller, request: Message, fields: tuple[str, ...]) -> str:
    """The project that a request names, or the caller's default one."""
    value: object = request
    for name in fields:
        value = getattr(value, name)
    assert isinstance(value, str)
    return value or caller.default_project
