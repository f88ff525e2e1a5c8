import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SimulatedJob(_message.Message):
    __slots__ = ("submit_time", "run_time", "time_limit", "cpu_millis", "memory_bytes", "gpu_count", "gpu_type", "nodes", "project", "user", "queue", "priority", "gpu_types")
    SUBMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPES_FIELD_NUMBER: _ClassVar[int]
    submit_time: _duration_pb2.Duration
    run_time: _duration_pb2.Duration
    time_limit: _duration_pb2.Duration
    cpu_millis: int
    memory_bytes: int
    gpu_count: int
    gpu_type: str
    nodes: int
    project: str
    user: str
    queue: str
    priority: int
    gpu_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, submit_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., run_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., gpu_count: _Optional[int] = ..., gpu_type: _Optional[str] = ..., nodes: _Optional[int] = ..., project: _Optional[str] = ..., user: _Optional[str] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ..., gpu_types: _Optional[_Iterable[str]] = ...) -> None: ...

class SimulatedNodes(_message.Message):
    __slots__ = ("count", "cpu_millis", "memory_bytes", "gpu_count", "gpu_type")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    count: int
    cpu_millis: int
    memory_bytes: int
    gpu_count: int
    gpu_type: str
    def __init__(self, count: _Optional[int] = ..., cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., gpu_count: _Optional[int] = ..., gpu_type: _Optional[str] = ...) -> None: ...

class SimulationResult(_message.Message):
    __slots__ = ("policy", "finished", "timed_out", "unplaced", "wait_seconds", "completion_seconds", "bounded_slowdown", "first_in_line_seconds", "allocation_percent", "fragmentation_percent", "makespan_seconds", "jain_projects", "jain_users", "start_seconds")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    UNPLACED_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_SLOWDOWN_FIELD_NUMBER: _ClassVar[int]
    FIRST_IN_LINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ALLOCATION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    FRAGMENTATION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MAKESPAN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    JAIN_PROJECTS_FIELD_NUMBER: _ClassVar[int]
    JAIN_USERS_FIELD_NUMBER: _ClassVar[int]
    START_SECONDS_FIELD_NUMBER: _ClassVar[int]
    policy: str
    finished: int
    timed_out: int
    unplaced: _containers.RepeatedCompositeFieldContainer[UnplacedJob]
    wait_seconds: SimulatedSpread
    completion_seconds: SimulatedSpread
    bounded_slowdown: SimulatedSpread
    first_in_line_seconds: SimulatedSpread
    allocation_percent: float
    fragmentation_percent: float
    makespan_seconds: float
    jain_projects: float
    jain_users: float
    start_seconds: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, policy: _Optional[str] = ..., finished: _Optional[int] = ..., timed_out: _Optional[int] = ..., unplaced: _Optional[_Iterable[_Union[UnplacedJob, _Mapping]]] = ..., wait_seconds: _Optional[_Union[SimulatedSpread, _Mapping]] = ..., completion_seconds: _Optional[_Union[SimulatedSpread, _Mapping]] = ..., bounded_slowdown: _Optional[_Union[SimulatedSpread, _Mapping]] = ..., first_in_line_seconds: _Optional[_Union[SimulatedSpread, _Mapping]] = ..., allocation_percent: _Optional[float] = ..., fragmentation_percent: _Optional[float] = ..., makespan_seconds: _Optional[float] = ..., jain_projects: _Optional[float] = ..., jain_users: _Optional[float] = ..., start_seconds: _Optional[_Iterable[float]] = ...) -> None: ...

class UnplacedJob(_message.Message):
    __slots__ = ("index", "reason", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: str
    message: str
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class SimulatedSpread(_message.Message):
    __slots__ = ("mean", "p50", "p90", "p99", "max")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    P50_FIELD_NUMBER: _ClassVar[int]
    P90_FIELD_NUMBER: _ClassVar[int]
    P99_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    mean: float
    p50: float
    p90: float
    p99: float
    max: float
    def __init__(self, mean: _Optional[float] = ..., p50: _Optional[float] = ..., p90: _Optional[float] = ..., p99: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...
