import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.access.v1 import access_pb2 as _access_pb2
from windlass.jobs.v1 import job_retry_pb2 as _job_retry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Queue(_message.Message):
    __slots__ = ("queue_id", "description", "state", "limits", "defaults", "allowed_projects", "allowed_users", "min_role", "restricted", "queued_jobs", "running_jobs", "create_time", "update_time", "etag")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Queue.State]
        OPEN: _ClassVar[Queue.State]
        PAUSED: _ClassVar[Queue.State]
        CLOSED: _ClassVar[Queue.State]
    STATE_UNSPECIFIED: Queue.State
    OPEN: Queue.State
    PAUSED: Queue.State
    CLOSED: Queue.State
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_PROJECTS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_USERS_FIELD_NUMBER: _ClassVar[int]
    MIN_ROLE_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    QUEUED_JOBS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOBS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    queue_id: str
    description: str
    state: Queue.State
    limits: QueueLimits
    defaults: QueueDefaults
    allowed_projects: _containers.RepeatedScalarFieldContainer[str]
    allowed_users: _containers.RepeatedScalarFieldContainer[str]
    min_role: _access_pb2.Role
    restricted: bool
    queued_jobs: int
    running_jobs: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, queue_id: _Optional[str] = ..., description: _Optional[str] = ..., state: _Optional[_Union[Queue.State, str]] = ..., limits: _Optional[_Union[QueueLimits, _Mapping]] = ..., defaults: _Optional[_Union[QueueDefaults, _Mapping]] = ..., allowed_projects: _Optional[_Iterable[str]] = ..., allowed_users: _Optional[_Iterable[str]] = ..., min_role: _Optional[_Union[_access_pb2.Role, str]] = ..., restricted: _Optional[bool] = ..., queued_jobs: _Optional[int] = ..., running_jobs: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class QueueLimits(_message.Message):
    __slots__ = ("queued_jobs", "running_jobs", "queued_jobs_per_user", "running_jobs_per_user", "time_limit", "nodes_per_job", "gpu_millis_per_job")
    QUEUED_JOBS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOBS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_JOBS_PER_USER_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOBS_PER_USER_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    NODES_PER_JOB_FIELD_NUMBER: _ClassVar[int]
    GPU_MILLIS_PER_JOB_FIELD_NUMBER: _ClassVar[int]
    queued_jobs: int
    running_jobs: int
    queued_jobs_per_user: int
    running_jobs_per_user: int
    time_limit: _duration_pb2.Duration
    nodes_per_job: int
    gpu_millis_per_job: int
    def __init__(self, queued_jobs: _Optional[int] = ..., running_jobs: _Optional[int] = ..., queued_jobs_per_user: _Optional[int] = ..., running_jobs_per_user: _Optional[int] = ..., time_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., nodes_per_job: _Optional[int] = ..., gpu_millis_per_job: _Optional[int] = ...) -> None: ...

class QueueDefaults(_message.Message):
    __slots__ = ("priority", "time_limit", "pool", "preemptible", "retry")
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    PREEMPTIBLE_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    priority: int
    time_limit: _duration_pb2.Duration
    pool: str
    preemptible: bool
    retry: _job_retry_pb2.RetryPolicy
    def __init__(self, priority: _Optional[int] = ..., time_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., pool: _Optional[str] = ..., preemptible: _Optional[bool] = ..., retry: _Optional[_Union[_job_retry_pb2.RetryPolicy, _Mapping]] = ...) -> None: ...

class QueueEvent(_message.Message):
    __slots__ = ("sequence", "queue_id", "time", "actor", "reason", "message")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    queue_id: str
    time: _timestamp_pb2.Timestamp
    actor: str
    reason: str
    message: str
    def __init__(self, sequence: _Optional[int] = ..., queue_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
