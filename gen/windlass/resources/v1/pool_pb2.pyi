import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.resources.v1 import node_pb2 as _node_pb2
from windlass.types.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pool(_message.Message):
    __slots__ = ("pool_id", "description", "selector", "priority", "overcommit", "allowed_projects", "restricted", "sharing", "capacity", "allocatable", "allocated", "available", "utilization", "fragmentation", "queue_depth", "job_counts", "node_counts", "gpu_counts", "create_time", "update_time", "etag")
    class JobCountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class NodeCountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class GpuCountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    OVERCOMMIT_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_PROJECTS_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_FIELD_NUMBER: _ClassVar[int]
    SHARING_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    ALLOCATABLE_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_FIELD_NUMBER: _ClassVar[int]
    FRAGMENTATION_FIELD_NUMBER: _ClassVar[int]
    QUEUE_DEPTH_FIELD_NUMBER: _ClassVar[int]
    JOB_COUNTS_FIELD_NUMBER: _ClassVar[int]
    NODE_COUNTS_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNTS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    pool_id: str
    description: str
    selector: PoolSelector
    priority: int
    overcommit: Overcommit
    allowed_projects: _containers.RepeatedScalarFieldContainer[str]
    restricted: bool
    sharing: GpuSharing
    capacity: _node_pb2.Capacity
    allocatable: _node_pb2.Capacity
    allocated: _node_pb2.Capacity
    available: _node_pb2.Capacity
    utilization: Utilization
    fragmentation: Fragmentation
    queue_depth: int
    job_counts: _containers.ScalarMap[str, int]
    node_counts: _containers.ScalarMap[str, int]
    gpu_counts: _containers.ScalarMap[str, int]
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, pool_id: _Optional[str] = ..., description: _Optional[str] = ..., selector: _Optional[_Union[PoolSelector, _Mapping]] = ..., priority: _Optional[int] = ..., overcommit: _Optional[_Union[Overcommit, _Mapping]] = ..., allowed_projects: _Optional[_Iterable[str]] = ..., restricted: _Optional[bool] = ..., sharing: _Optional[_Union[GpuSharing, _Mapping]] = ..., capacity: _Optional[_Union[_node_pb2.Capacity, _Mapping]] = ..., allocatable: _Optional[_Union[_node_pb2.Capacity, _Mapping]] = ..., allocated: _Optional[_Union[_node_pb2.Capacity, _Mapping]] = ..., available: _Optional[_Union[_node_pb2.Capacity, _Mapping]] = ..., utilization: _Optional[_Union[Utilization, _Mapping]] = ..., fragmentation: _Optional[_Union[Fragmentation, _Mapping]] = ..., queue_depth: _Optional[int] = ..., job_counts: _Optional[_Mapping[str, int]] = ..., node_counts: _Optional[_Mapping[str, int]] = ..., gpu_counts: _Optional[_Mapping[str, int]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class GpuSharing(_message.Message):
    __slots__ = ("enabled", "max_jobs_per_gpu")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    MAX_JOBS_PER_GPU_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    max_jobs_per_gpu: int
    def __init__(self, enabled: _Optional[bool] = ..., max_jobs_per_gpu: _Optional[int] = ...) -> None: ...

class PoolSelector(_message.Message):
    __slots__ = ("labels", "gpu_types", "zones", "clusters")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LABELS_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPES_FIELD_NUMBER: _ClassVar[int]
    ZONES_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.ScalarMap[str, str]
    gpu_types: _containers.RepeatedScalarFieldContainer[str]
    zones: _containers.RepeatedScalarFieldContainer[str]
    clusters: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, labels: _Optional[_Mapping[str, str]] = ..., gpu_types: _Optional[_Iterable[str]] = ..., zones: _Optional[_Iterable[str]] = ..., clusters: _Optional[_Iterable[str]] = ...) -> None: ...

class Overcommit(_message.Message):
    __slots__ = ("cpu_ratio", "memory_ratio")
    CPU_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEMORY_RATIO_FIELD_NUMBER: _ClassVar[int]
    cpu_ratio: float
    memory_ratio: float
    def __init__(self, cpu_ratio: _Optional[float] = ..., memory_ratio: _Optional[float] = ...) -> None: ...

class Fragmentation(_message.Message):
    __slots__ = ("idle_gpus", "index", "classes", "summary")
    class DemandClass(_message.Message):
        __slots__ = ("resources", "waiting_jobs", "popularity", "useless_gpus", "useless_share")
        RESOURCES_FIELD_NUMBER: _ClassVar[int]
        WAITING_JOBS_FIELD_NUMBER: _ClassVar[int]
        POPULARITY_FIELD_NUMBER: _ClassVar[int]
        USELESS_GPUS_FIELD_NUMBER: _ClassVar[int]
        USELESS_SHARE_FIELD_NUMBER: _ClassVar[int]
        resources: _types_pb2.ResourceRequest
        waiting_jobs: int
        popularity: float
        useless_gpus: float
        useless_share: float
        def __init__(self, resources: _Optional[_Union[_types_pb2.ResourceRequest, _Mapping]] = ..., waiting_jobs: _Optional[int] = ..., popularity: _Optional[float] = ..., useless_gpus: _Optional[float] = ..., useless_share: _Optional[float] = ...) -> None: ...
    IDLE_GPUS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    idle_gpus: int
    index: float
    classes: _containers.RepeatedCompositeFieldContainer[Fragmentation.DemandClass]
    summary: str
    def __init__(self, idle_gpus: _Optional[int] = ..., index: _Optional[float] = ..., classes: _Optional[_Iterable[_Union[Fragmentation.DemandClass, _Mapping]]] = ..., summary: _Optional[str] = ...) -> None: ...

class Utilization(_message.Message):
    __slots__ = ("cpu_allocated", "memory_allocated", "gpu_allocated", "cpu_used", "memory_used", "gpu_used")
    CPU_ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    GPU_ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    CPU_USED_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_FIELD_NUMBER: _ClassVar[int]
    GPU_USED_FIELD_NUMBER: _ClassVar[int]
    cpu_allocated: float
    memory_allocated: float
    gpu_allocated: float
    cpu_used: float
    memory_used: float
    gpu_used: float
    def __init__(self, cpu_allocated: _Optional[float] = ..., memory_allocated: _Optional[float] = ..., gpu_allocated: _Optional[float] = ..., cpu_used: _Optional[float] = ..., memory_used: _Optional[float] = ..., gpu_used: _Optional[float] = ...) -> None: ...
