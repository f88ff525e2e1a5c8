import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.types.v1 import topology_pb2 as _topology_pb2
from windlass.types.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Allocation(_message.Message):
    __slots__ = ("allocation_id", "project", "user", "status", "status_reason", "status_message", "node_id", "resources", "gpu_uuids", "exclusive_node", "fencing_token", "ttl", "create_time", "expire_time", "end_time", "topology_level")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Allocation.Status]
        ACTIVE: _ClassVar[Allocation.Status]
        RELEASED: _ClassVar[Allocation.Status]
        EXPIRED: _ClassVar[Allocation.Status]
        REVOKED: _ClassVar[Allocation.Status]
    STATUS_UNSPECIFIED: Allocation.Status
    ACTIVE: Allocation.Status
    RELEASED: Allocation.Status
    EXPIRED: Allocation.Status
    REVOKED: Allocation.Status
    ALLOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_REASON_FIELD_NUMBER: _ClassVar[int]
    STATUS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    GPU_UUIDS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_NODE_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    allocation_id: str
    project: str
    user: str
    status: Allocation.Status
    status_reason: str
    status_message: str
    node_id: str
    resources: _types_pb2.ResourceRequest
    gpu_uuids: _containers.RepeatedScalarFieldContainer[str]
    exclusive_node: bool
    fencing_token: int
    ttl: _duration_pb2.Duration
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    topology_level: _topology_pb2.Topology.Level
    def __init__(self, allocation_id: _Optional[str] = ..., project: _Optional[str] = ..., user: _Optional[str] = ..., status: _Optional[_Union[Allocation.Status, str]] = ..., status_reason: _Optional[str] = ..., status_message: _Optional[str] = ..., node_id: _Optional[str] = ..., resources: _Optional[_Union[_types_pb2.ResourceRequest, _Mapping]] = ..., gpu_uuids: _Optional[_Iterable[str]] = ..., exclusive_node: _Optional[bool] = ..., fencing_token: _Optional[int] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., topology_level: _Optional[_Union[_topology_pb2.Topology.Level, str]] = ...) -> None: ...

class AllocationConstraints(_message.Message):
    __slots__ = ("exclusive_node", "zones", "pool", "racks", "blocks", "topology")
    EXCLUSIVE_NODE_FIELD_NUMBER: _ClassVar[int]
    ZONES_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    RACKS_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    exclusive_node: bool
    zones: _containers.RepeatedScalarFieldContainer[str]
    pool: str
    racks: _containers.RepeatedScalarFieldContainer[str]
    blocks: _containers.RepeatedScalarFieldContainer[str]
    topology: _topology_pb2.Topology
    def __init__(self, exclusive_node: _Optional[bool] = ..., zones: _Optional[_Iterable[str]] = ..., pool: _Optional[str] = ..., racks: _Optional[_Iterable[str]] = ..., blocks: _Optional[_Iterable[str]] = ..., topology: _Optional[_Union[_topology_pb2.Topology, _Mapping]] = ...) -> None: ...
