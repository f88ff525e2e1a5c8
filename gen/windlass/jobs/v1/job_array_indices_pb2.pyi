import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.jobs.v1 import job_pb2 as _job_pb2
from windlass.jobs.v1 import job_array_pb2 as _job_array_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListJobArrayIndicesRequest(_message.Message):
    __slots__ = ("job_id", "status", "index", "page_size", "page_token")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    status: _containers.RepeatedScalarFieldContainer[_job_pb2.Job.Status]
    index: int
    page_size: int
    page_token: str
    def __init__(self, job_id: _Optional[str] = ..., status: _Optional[_Iterable[_Union[_job_pb2.Job.Status, str]]] = ..., index: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobArrayIndicesResponse(_message.Message):
    __slots__ = ("indices", "next_page_token", "array_status")
    INDICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ARRAY_STATUS_FIELD_NUMBER: _ClassVar[int]
    indices: _containers.RepeatedCompositeFieldContainer[ArrayIndex]
    next_page_token: str
    array_status: _job_array_pb2.ArrayStatus
    def __init__(self, indices: _Optional[_Iterable[_Union[ArrayIndex, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., array_status: _Optional[_Union[_job_array_pb2.ArrayStatus, _Mapping]] = ...) -> None: ...

class ArrayIndex(_message.Message):
    __slots__ = ("index", "job_id", "status", "status_reason", "status_message", "exit_code", "exit_signal", "attempt", "node_id", "start_time", "end_time")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_REASON_FIELD_NUMBER: _ClassVar[int]
    STATUS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    EXIT_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    index: int
    job_id: str
    status: _job_pb2.Job.Status
    status_reason: str
    status_message: str
    exit_code: int
    exit_signal: int
    attempt: int
    node_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, index: _Optional[int] = ..., job_id: _Optional[str] = ..., status: _Optional[_Union[_job_pb2.Job.Status, str]] = ..., status_reason: _Optional[str] = ..., status_message: _Optional[str] = ..., exit_code: _Optional[int] = ..., exit_signal: _Optional[int] = ..., attempt: _Optional[int] = ..., node_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UpdateJobArrayRequest(_message.Message):
    __slots__ = ("job_id", "parallel")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    parallel: int
    def __init__(self, job_id: _Optional[str] = ..., parallel: _Optional[int] = ...) -> None: ...
