import datetime

from google.api import http_pb2 as _http_pb2
from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
AUTHZ_FIELD_NUMBER: _ClassVar[int]
authz: _descriptor.FieldDescriptor
LIMITS_FIELD_NUMBER: _ClassVar[int]
limits: _descriptor.FieldDescriptor
PLANNED_FIELD_NUMBER: _ClassVar[int]
planned: _descriptor.FieldDescriptor

class Authz(_message.Message):
    __slots__ = ("public", "permission", "scope", "project_field", "principal")
    class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SCOPE_UNSPECIFIED: _ClassVar[Authz.Scope]
        PROJECT: _ClassVar[Authz.Scope]
        OBJECT: _ClassVar[Authz.Scope]
        ORGANISATION: _ClassVar[Authz.Scope]
        SELF: _ClassVar[Authz.Scope]
    SCOPE_UNSPECIFIED: Authz.Scope
    PROJECT: Authz.Scope
    OBJECT: Authz.Scope
    ORGANISATION: Authz.Scope
    SELF: Authz.Scope
    class PrincipalKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PRINCIPAL_KIND_UNSPECIFIED: _ClassVar[Authz.PrincipalKind]
        NODE: _ClassVar[Authz.PrincipalKind]
    PRINCIPAL_KIND_UNSPECIFIED: Authz.PrincipalKind
    NODE: Authz.PrincipalKind
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    public: bool
    permission: str
    scope: Authz.Scope
    project_field: str
    principal: Authz.PrincipalKind
    def __init__(self, public: _Optional[bool] = ..., permission: _Optional[str] = ..., scope: _Optional[_Union[Authz.Scope, str]] = ..., project_field: _Optional[str] = ..., principal: _Optional[_Union[Authz.PrincipalKind, str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_request_bytes", "max_duration", "max_stream_bytes")
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_DURATION_FIELD_NUMBER: _ClassVar[int]
    MAX_STREAM_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_request_bytes: int
    max_duration: _duration_pb2.Duration
    max_stream_bytes: int
    def __init__(self, max_request_bytes: _Optional[int] = ..., max_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_stream_bytes: _Optional[int] = ...) -> None: ...

class PlannedRoute(_message.Message):
    __slots__ = ("rpc", "http")
    RPC_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    rpc: str
    http: _http_pb2.HttpRule
    def __init__(self, rpc: _Optional[str] = ..., http: _Optional[_Union[_http_pb2.HttpRule, _Mapping]] = ...) -> None: ...
