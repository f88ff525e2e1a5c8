import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobCondition(_message.Message):
    __slots__ = ("type", "status", "reason", "message", "time")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[JobCondition.Type]
        SCHEDULED: _ClassVar[JobCondition.Type]
        STARTED: _ClassVar[JobCondition.Type]
        PREEMPTING: _ClassVar[JobCondition.Type]
        DEGRADED: _ClassVar[JobCondition.Type]
        LOGS_COMPLETE: _ClassVar[JobCondition.Type]
        ARTIFACTS_COLLECTED: _ClassVar[JobCondition.Type]
    TYPE_UNSPECIFIED: JobCondition.Type
    SCHEDULED: JobCondition.Type
    STARTED: JobCondition.Type
    PREEMPTING: JobCondition.Type
    DEGRADED: JobCondition.Type
    LOGS_COMPLETE: JobCondition.Type
    ARTIFACTS_COLLECTED: JobCondition.Type
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[JobCondition.Status]
        TRUE: _ClassVar[JobCondition.Status]
        FALSE: _ClassVar[JobCondition.Status]
    STATUS_UNSPECIFIED: JobCondition.Status
    TRUE: JobCondition.Status
    FALSE: JobCondition.Status
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    type: JobCondition.Type
    status: JobCondition.Status
    reason: str
    message: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, type: _Optional[_Union[JobCondition.Type, str]] = ..., status: _Optional[_Union[JobCondition.Status, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class JobRank(_message.Message):
    __slots__ = ("rank", "run_id", "node_id", "state", "start_time", "end_time", "end_cause")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[JobRank.State]
        PLACED: _ClassVar[JobRank.State]
        RUNNING: _ClassVar[JobRank.State]
        STOPPING: _ClassVar[JobRank.State]
        ENDED: _ClassVar[JobRank.State]
    STATE_UNSPECIFIED: JobRank.State
    PLACED: JobRank.State
    RUNNING: JobRank.State
    STOPPING: JobRank.State
    ENDED: JobRank.State
    RANK_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    END_CAUSE_FIELD_NUMBER: _ClassVar[int]
    rank: int
    run_id: str
    node_id: str
    state: JobRank.State
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    end_cause: str
    def __init__(self, rank: _Optional[int] = ..., run_id: _Optional[str] = ..., node_id: _Optional[str] = ..., state: _Optional[_Union[JobRank.State, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_cause: _Optional[str] = ...) -> None: ...

class JobLineage(_message.Message):
    __slots__ = ("dependents", "retries")
    DEPENDENTS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    dependents: _containers.RepeatedScalarFieldContainer[str]
    retries: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, dependents: _Optional[_Iterable[str]] = ..., retries: _Optional[_Iterable[str]] = ...) -> None: ...

class JobCost(_message.Message):
    __slots__ = ("cost", "currency", "incomplete", "gpu_seconds", "cpu_core_seconds", "memory_gib_seconds", "time")
    COST_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    GPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CPU_CORE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_GIB_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    cost: str
    currency: str
    incomplete: bool
    gpu_seconds: str
    cpu_core_seconds: str
    memory_gib_seconds: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, cost: _Optional[str] = ..., currency: _Optional[str] = ..., incomplete: _Optional[bool] = ..., gpu_seconds: _Optional[str] = ..., cpu_core_seconds: _Optional[str] = ..., memory_gib_seconds: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
