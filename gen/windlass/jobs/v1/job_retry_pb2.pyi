import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RetryPolicy(_message.Message):
    __slots__ = ("max_attempts", "backoff", "on_exit_codes", "on_signals", "on_causes")
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CAUSE_UNSPECIFIED: _ClassVar[RetryPolicy.Cause]
        NONZERO_EXIT: _ClassVar[RetryPolicy.Cause]
        KILLED: _ClassVar[RetryPolicy.Cause]
        OUT_OF_MEMORY: _ClassVar[RetryPolicy.Cause]
        TIME_LIMIT: _ClassVar[RetryPolicy.Cause]
        BAD_COMMAND: _ClassVar[RetryPolicy.Cause]
        SOURCE_FETCH_FAILED: _ClassVar[RetryPolicy.Cause]
        ENVIRONMENT_BUILD_FAILED: _ClassVar[RetryPolicy.Cause]
    CAUSE_UNSPECIFIED: RetryPolicy.Cause
    NONZERO_EXIT: RetryPolicy.Cause
    KILLED: RetryPolicy.Cause
    OUT_OF_MEMORY: RetryPolicy.Cause
    TIME_LIMIT: RetryPolicy.Cause
    BAD_COMMAND: RetryPolicy.Cause
    SOURCE_FETCH_FAILED: RetryPolicy.Cause
    ENVIRONMENT_BUILD_FAILED: RetryPolicy.Cause
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    ON_EXIT_CODES_FIELD_NUMBER: _ClassVar[int]
    ON_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    ON_CAUSES_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    backoff: RetryBackoff
    on_exit_codes: _containers.RepeatedScalarFieldContainer[int]
    on_signals: _containers.RepeatedScalarFieldContainer[int]
    on_causes: _containers.RepeatedScalarFieldContainer[RetryPolicy.Cause]
    def __init__(self, max_attempts: _Optional[int] = ..., backoff: _Optional[_Union[RetryBackoff, _Mapping]] = ..., on_exit_codes: _Optional[_Iterable[int]] = ..., on_signals: _Optional[_Iterable[int]] = ..., on_causes: _Optional[_Iterable[_Union[RetryPolicy.Cause, str]]] = ...) -> None: ...

class RetryBackoff(_message.Message):
    __slots__ = ("initial", "max", "multiplier", "jitter")
    INITIAL_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    MULTIPLIER_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    initial: _duration_pb2.Duration
    max: _duration_pb2.Duration
    multiplier: float
    jitter: float
    def __init__(self, initial: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., multiplier: _Optional[float] = ..., jitter: _Optional[float] = ...) -> None: ...
