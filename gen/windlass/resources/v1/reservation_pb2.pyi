import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reservation(_message.Message):
    __slots__ = ("reservation_id", "project", "users", "start_time", "end_time", "recurrence", "resources", "node_ids", "maintenance", "reason", "status", "parts", "next_start_time", "next_end_time", "user", "create_time", "cancel_time", "etag", "problem")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Reservation.Status]
        PENDING: _ClassVar[Reservation.Status]
        ACTIVE: _ClassVar[Reservation.Status]
        ENDED: _ClassVar[Reservation.Status]
        CANCELLED: _ClassVar[Reservation.Status]
    STATUS_UNSPECIFIED: Reservation.Status
    PENDING: Reservation.Status
    ACTIVE: Reservation.Status
    ENDED: Reservation.Status
    CANCELLED: Reservation.Status
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RECURRENCE_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_START_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_END_TIME_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CANCEL_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    project: str
    users: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    recurrence: Recurrence
    resources: ReservedResources
    node_ids: _containers.RepeatedScalarFieldContainer[str]
    maintenance: bool
    reason: str
    status: Reservation.Status
    parts: _containers.RepeatedCompositeFieldContainer[ReservedPart]
    next_start_time: _timestamp_pb2.Timestamp
    next_end_time: _timestamp_pb2.Timestamp
    user: str
    create_time: _timestamp_pb2.Timestamp
    cancel_time: _timestamp_pb2.Timestamp
    etag: str
    problem: str
    def __init__(self, reservation_id: _Optional[str] = ..., project: _Optional[str] = ..., users: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recurrence: _Optional[_Union[Recurrence, _Mapping]] = ..., resources: _Optional[_Union[ReservedResources, _Mapping]] = ..., node_ids: _Optional[_Iterable[str]] = ..., maintenance: _Optional[bool] = ..., reason: _Optional[str] = ..., status: _Optional[_Union[Reservation.Status, str]] = ..., parts: _Optional[_Iterable[_Union[ReservedPart, _Mapping]]] = ..., next_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancel_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class Recurrence(_message.Message):
    __slots__ = ("cron", "time_zone", "until")
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    cron: str
    time_zone: str
    until: _timestamp_pb2.Timestamp
    def __init__(self, cron: _Optional[str] = ..., time_zone: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReservedResources(_message.Message):
    __slots__ = ("gpu_count", "gpu_type", "cpu_millis", "memory_bytes", "node_count")
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    NODE_COUNT_FIELD_NUMBER: _ClassVar[int]
    gpu_count: int
    gpu_type: str
    cpu_millis: int
    memory_bytes: int
    node_count: int
    def __init__(self, gpu_count: _Optional[int] = ..., gpu_type: _Optional[str] = ..., cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., node_count: _Optional[int] = ...) -> None: ...

class ReservedPart(_message.Message):
    __slots__ = ("node_id", "cpu_millis", "memory_bytes", "gpu_count", "gpu_type")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    cpu_millis: int
    memory_bytes: int
    gpu_count: int
    gpu_type: str
    def __init__(self, node_id: _Optional[str] = ..., cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., gpu_count: _Optional[int] = ..., gpu_type: _Optional[str] = ...) -> None: ...
