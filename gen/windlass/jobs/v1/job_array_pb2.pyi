from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class JobArray(_message.Message):
    __slots__ = ("count", "parallel", "indices")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    count: int
    parallel: int
    indices: str
    def __init__(self, count: _Optional[int] = ..., parallel: _Optional[int] = ..., indices: _Optional[str] = ...) -> None: ...

class ArrayStatus(_message.Message):
    __slots__ = ("total_count", "queued_count", "scheduled_count", "running_count", "cancelling_count", "succeeded_count", "failed_count", "cancelled_count", "timed_out_count", "out_of_memory_count", "suspended_count", "suspending_count", "deadline_exceeded_count", "parallel")
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    QUEUED_COUNT_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANCELLING_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_MEMORY_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUSPENDING_COUNT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_EXCEEDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    total_count: int
    queued_count: int
    scheduled_count: int
    running_count: int
    cancelling_count: int
    succeeded_count: int
    failed_count: int
    cancelled_count: int
    timed_out_count: int
    out_of_memory_count: int
    suspended_count: int
    suspending_count: int
    deadline_exceeded_count: int
    parallel: int
    def __init__(self, total_count: _Optional[int] = ..., queued_count: _Optional[int] = ..., scheduled_count: _Optional[int] = ..., running_count: _Optional[int] = ..., cancelling_count: _Optional[int] = ..., succeeded_count: _Optional[int] = ..., failed_count: _Optional[int] = ..., cancelled_count: _Optional[int] = ..., timed_out_count: _Optional[int] = ..., out_of_memory_count: _Optional[int] = ..., suspended_count: _Optional[int] = ..., suspending_count: _Optional[int] = ..., deadline_exceeded_count: _Optional[int] = ..., parallel: _Optional[int] = ...) -> None: ...
