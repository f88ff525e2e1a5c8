from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobNotification(_message.Message):
    __slots__ = ("webhook_id", "on")
    class Moment(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MOMENT_UNSPECIFIED: _ClassVar[JobNotification.Moment]
        STARTED: _ClassVar[JobNotification.Moment]
        SUCCEEDED: _ClassVar[JobNotification.Moment]
        FAILED: _ClassVar[JobNotification.Moment]
        CANCELLED: _ClassVar[JobNotification.Moment]
        SUSPENDED: _ClassVar[JobNotification.Moment]
    MOMENT_UNSPECIFIED: JobNotification.Moment
    STARTED: JobNotification.Moment
    SUCCEEDED: JobNotification.Moment
    FAILED: JobNotification.Moment
    CANCELLED: JobNotification.Moment
    SUSPENDED: JobNotification.Moment
    WEBHOOK_ID_FIELD_NUMBER: _ClassVar[int]
    ON_FIELD_NUMBER: _ClassVar[int]
    webhook_id: str
    on: _containers.RepeatedScalarFieldContainer[JobNotification.Moment]
    def __init__(self, webhook_id: _Optional[str] = ..., on: _Optional[_Iterable[_Union[JobNotification.Moment, str]]] = ...) -> None: ...
