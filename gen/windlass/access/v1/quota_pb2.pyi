import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Quota(_message.Message):
    __slots__ = ("quota_id", "project", "user", "gpu_type", "cohort", "guaranteed", "borrowing_limit", "limit", "max_priority", "use", "borrowed", "borrowable", "exceeded", "status_message", "create_time", "update_time", "etag")
    QUOTA_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    COHORT_FIELD_NUMBER: _ClassVar[int]
    GUARANTEED_FIELD_NUMBER: _ClassVar[int]
    BORROWING_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MAX_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    BORROWED_FIELD_NUMBER: _ClassVar[int]
    BORROWABLE_FIELD_NUMBER: _ClassVar[int]
    EXCEEDED_FIELD_NUMBER: _ClassVar[int]
    STATUS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    quota_id: str
    project: str
    user: str
    gpu_type: str
    cohort: str
    guaranteed: QuotaAmounts
    borrowing_limit: QuotaAmounts
    limit: QuotaLimits
    max_priority: int
    use: QuotaUse
    borrowed: QuotaAmounts
    borrowable: QuotaAmounts
    exceeded: bool
    status_message: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, quota_id: _Optional[str] = ..., project: _Optional[str] = ..., user: _Optional[str] = ..., gpu_type: _Optional[str] = ..., cohort: _Optional[str] = ..., guaranteed: _Optional[_Union[QuotaAmounts, _Mapping]] = ..., borrowing_limit: _Optional[_Union[QuotaAmounts, _Mapping]] = ..., limit: _Optional[_Union[QuotaLimits, _Mapping]] = ..., max_priority: _Optional[int] = ..., use: _Optional[_Union[QuotaUse, _Mapping]] = ..., borrowed: _Optional[_Union[QuotaAmounts, _Mapping]] = ..., borrowable: _Optional[_Union[QuotaAmounts, _Mapping]] = ..., exceeded: _Optional[bool] = ..., status_message: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class QuotaAmounts(_message.Message):
    __slots__ = ("gpu_millis", "cpu_millis", "memory_bytes")
    GPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    gpu_millis: int
    cpu_millis: int
    memory_bytes: int
    def __init__(self, gpu_millis: _Optional[int] = ..., cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class QuotaLimits(_message.Message):
    __slots__ = ("gpu_millis", "cpu_millis", "memory_bytes", "running_jobs", "queued_jobs", "artifact_bytes")
    GPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOBS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_JOBS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_BYTES_FIELD_NUMBER: _ClassVar[int]
    gpu_millis: int
    cpu_millis: int
    memory_bytes: int
    running_jobs: int
    queued_jobs: int
    artifact_bytes: int
    def __init__(self, gpu_millis: _Optional[int] = ..., cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., running_jobs: _Optional[int] = ..., queued_jobs: _Optional[int] = ..., artifact_bytes: _Optional[int] = ...) -> None: ...

class QuotaUse(_message.Message):
    __slots__ = ("gpu_millis", "cpu_millis", "memory_bytes", "running_jobs", "queued_jobs", "artifact_bytes")
    GPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOBS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_JOBS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_BYTES_FIELD_NUMBER: _ClassVar[int]
    gpu_millis: int
    cpu_millis: int
    memory_bytes: int
    running_jobs: int
    queued_jobs: int
    artifact_bytes: int
    def __init__(self, gpu_millis: _Optional[int] = ..., cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., running_jobs: _Optional[int] = ..., queued_jobs: _Optional[int] = ..., artifact_bytes: _Optional[int] = ...) -> None: ...

class QuotaEvent(_message.Message):
    __slots__ = ("sequence", "quota_id", "time", "actor", "reason", "message")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    QUOTA_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    quota_id: str
    time: _timestamp_pb2.Timestamp
    actor: str
    reason: str
    message: str
    def __init__(self, sequence: _Optional[int] = ..., quota_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
