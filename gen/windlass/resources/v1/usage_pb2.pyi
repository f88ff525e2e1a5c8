import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.resources.v1 import price_pb2 as _price_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Usage(_message.Message):
    __slots__ = ("group_by", "start_time", "end_time", "rows", "total", "currency", "unpriced")
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_FIELD_NUMBER: _ClassVar[int]
    group_by: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    rows: _containers.RepeatedCompositeFieldContainer[UsageRow]
    total: UsageRow
    currency: str
    unpriced: _containers.RepeatedCompositeFieldContainer[UnpricedResource]
    def __init__(self, group_by: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rows: _Optional[_Iterable[_Union[UsageRow, _Mapping]]] = ..., total: _Optional[_Union[UsageRow, _Mapping]] = ..., currency: _Optional[str] = ..., unpriced: _Optional[_Iterable[_Union[UnpricedResource, _Mapping]]] = ...) -> None: ...

class UnpricedResource(_message.Message):
    __slots__ = ("resource", "gpu_type")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    resource: _price_pb2.Price.Resource
    gpu_type: str
    def __init__(self, resource: _Optional[_Union[_price_pb2.Price.Resource, str]] = ..., gpu_type: _Optional[str] = ...) -> None: ...

class UsageRow(_message.Message):
    __slots__ = ("project", "user", "queue", "node_id", "pool_id", "gpu_type", "kind", "holder_id", "labels", "start_time", "end_time", "held", "wasted_by_failure", "wasted_by_preemption", "wasted_by_hold", "used")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HOLDER_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    WASTED_BY_FAILURE_FIELD_NUMBER: _ClassVar[int]
    WASTED_BY_PREEMPTION_FIELD_NUMBER: _ClassVar[int]
    WASTED_BY_HOLD_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    project: str
    user: str
    queue: str
    node_id: str
    pool_id: str
    gpu_type: str
    kind: str
    holder_id: str
    labels: _containers.ScalarMap[str, str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    held: ResourceAmounts
    wasted_by_failure: ResourceAmounts
    wasted_by_preemption: ResourceAmounts
    wasted_by_hold: ResourceAmounts
    used: MeasuredAmounts
    def __init__(self, project: _Optional[str] = ..., user: _Optional[str] = ..., queue: _Optional[str] = ..., node_id: _Optional[str] = ..., pool_id: _Optional[str] = ..., gpu_type: _Optional[str] = ..., kind: _Optional[str] = ..., holder_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., held: _Optional[_Union[ResourceAmounts, _Mapping]] = ..., wasted_by_failure: _Optional[_Union[ResourceAmounts, _Mapping]] = ..., wasted_by_preemption: _Optional[_Union[ResourceAmounts, _Mapping]] = ..., wasted_by_hold: _Optional[_Union[ResourceAmounts, _Mapping]] = ..., used: _Optional[_Union[MeasuredAmounts, _Mapping]] = ...) -> None: ...

class MeasuredAmounts(_message.Message):
    __slots__ = ("gpu_seconds", "measured_gpu_seconds", "energy_joules", "energy_measured_gpu_seconds", "cpu_core_seconds", "measured_cpu_core_seconds", "memory_gib_seconds", "measured_memory_gib_seconds")
    GPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_GPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENERGY_JOULES_FIELD_NUMBER: _ClassVar[int]
    ENERGY_MEASURED_GPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CPU_CORE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_CPU_CORE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_GIB_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_MEMORY_GIB_SECONDS_FIELD_NUMBER: _ClassVar[int]
    gpu_seconds: str
    measured_gpu_seconds: str
    energy_joules: str
    energy_measured_gpu_seconds: str
    cpu_core_seconds: str
    measured_cpu_core_seconds: str
    memory_gib_seconds: str
    measured_memory_gib_seconds: str
    def __init__(self, gpu_seconds: _Optional[str] = ..., measured_gpu_seconds: _Optional[str] = ..., energy_joules: _Optional[str] = ..., energy_measured_gpu_seconds: _Optional[str] = ..., cpu_core_seconds: _Optional[str] = ..., measured_cpu_core_seconds: _Optional[str] = ..., memory_gib_seconds: _Optional[str] = ..., measured_memory_gib_seconds: _Optional[str] = ...) -> None: ...

class ResourceAmounts(_message.Message):
    __slots__ = ("gpu_seconds", "cpu_core_seconds", "memory_gib_seconds", "cost")
    GPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CPU_CORE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_GIB_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    gpu_seconds: str
    cpu_core_seconds: str
    memory_gib_seconds: str
    cost: str
    def __init__(self, gpu_seconds: _Optional[str] = ..., cpu_core_seconds: _Optional[str] = ..., memory_gib_seconds: _Optional[str] = ..., cost: _Optional[str] = ...) -> None: ...
