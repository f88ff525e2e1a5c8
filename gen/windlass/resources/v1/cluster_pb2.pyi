import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.resources.v1 import node_pb2 as _node_pb2
from windlass.resources.v1 import remote_cluster_pb2 as _remote_cluster_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Cluster(_message.Message):
    __slots__ = ("cluster_id", "description", "kind", "create_time", "update_time", "node_count", "connected_node_count", "capacity", "allocated", "remote", "remote_status", "etag")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Cluster.Kind]
        LOCAL: _ClassVar[Cluster.Kind]
        REMOTE: _ClassVar[Cluster.Kind]
    KIND_UNSPECIFIED: Cluster.Kind
    LOCAL: Cluster.Kind
    REMOTE: Cluster.Kind
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NODE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_NODE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    REMOTE_STATUS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    description: str
    kind: Cluster.Kind
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    node_count: int
    connected_node_count: int
    capacity: _node_pb2.Capacity
    allocated: _node_pb2.Capacity
    remote: _remote_cluster_pb2.RemoteSettings
    remote_status: _remote_cluster_pb2.RemoteStatus
    etag: str
    def __init__(self, cluster_id: _Optional[str] = ..., description: _Optional[str] = ..., kind: _Optional[_Union[Cluster.Kind, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., node_count: _Optional[int] = ..., connected_node_count: _Optional[int] = ..., capacity: _Optional[_Union[_node_pb2.Capacity, _Mapping]] = ..., allocated: _Optional[_Union[_node_pb2.Capacity, _Mapping]] = ..., remote: _Optional[_Union[_remote_cluster_pb2.RemoteSettings, _Mapping]] = ..., remote_status: _Optional[_Union[_remote_cluster_pb2.RemoteStatus, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...
