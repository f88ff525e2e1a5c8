import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from windlass.types.v1 import profile_pb2 as _profile_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProfileDirective(_message.Message):
    __slots__ = ("profile_id", "run_id", "epoch", "duration", "format")
    PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    profile_id: str
    run_id: str
    epoch: int
    duration: _duration_pb2.Duration
    format: _profile_pb2.ProfileFormat.Kind
    def __init__(self, profile_id: _Optional[str] = ..., run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., format: _Optional[_Union[_profile_pb2.ProfileFormat.Kind, str]] = ...) -> None: ...

class UploadProfileRequest(_message.Message):
    __slots__ = ("profile_id", "data", "failure", "message")
    class Failure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FAILURE_UNSPECIFIED: _ClassVar[UploadProfileRequest.Failure]
        NOT_RUNNING: _ClassVar[UploadProfileRequest.Failure]
        NOT_PYTHON: _ClassVar[UploadProfileRequest.Failure]
        PROFILER_MISSING: _ClassVar[UploadProfileRequest.Failure]
        PROFILER_FORBIDDEN: _ClassVar[UploadProfileRequest.Failure]
        BUSY: _ClassVar[UploadProfileRequest.Failure]
        TOO_LARGE: _ClassVar[UploadProfileRequest.Failure]
        PROFILER_FAILED: _ClassVar[UploadProfileRequest.Failure]
    FAILURE_UNSPECIFIED: UploadProfileRequest.Failure
    NOT_RUNNING: UploadProfileRequest.Failure
    NOT_PYTHON: UploadProfileRequest.Failure
    PROFILER_MISSING: UploadProfileRequest.Failure
    PROFILER_FORBIDDEN: UploadProfileRequest.Failure
    BUSY: UploadProfileRequest.Failure
    TOO_LARGE: UploadProfileRequest.Failure
    PROFILER_FAILED: UploadProfileRequest.Failure
    PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    profile_id: str
    data: bytes
    failure: UploadProfileRequest.Failure
    message: str
    def __init__(self, profile_id: _Optional[str] = ..., data: _Optional[bytes] = ..., failure: _Optional[_Union[UploadProfileRequest.Failure, str]] = ..., message: _Optional[str] = ...) -> None: ...

class UploadProfileResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
