import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.resources.v1 import node_pb2 as _node_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Drain(_message.Message):
    __slots__ = ("drain_id", "status", "mode", "deadline", "reason", "max_unavailable", "afterwards", "user", "create_time", "end_time", "nodes", "node_count", "waiting_count", "draining_count", "done_count")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Drain.Status]
        RUNNING: _ClassVar[Drain.Status]
        COMPLETED: _ClassVar[Drain.Status]
        CANCELLED: _ClassVar[Drain.Status]
    STATUS_UNSPECIFIED: Drain.Status
    RUNNING: Drain.Status
    COMPLETED: Drain.Status
    CANCELLED: Drain.Status
    class Afterwards(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        AFTERWARDS_UNSPECIFIED: _ClassVar[Drain.Afterwards]
        STAY_DRAINED: _ClassVar[Drain.Afterwards]
        AWAIT_UNCORDON: _ClassVar[Drain.Afterwards]
        UNCORDON: _ClassVar[Drain.Afterwards]
    AFTERWARDS_UNSPECIFIED: Drain.Afterwards
    STAY_DRAINED: Drain.Afterwards
    AWAIT_UNCORDON: Drain.Afterwards
    UNCORDON: Drain.Afterwards
    DRAIN_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MAX_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    AFTERWARDS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    NODE_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    DRAINING_COUNT_FIELD_NUMBER: _ClassVar[int]
    DONE_COUNT_FIELD_NUMBER: _ClassVar[int]
    drain_id: str
    status: Drain.Status
    mode: _node_pb2.Maintenance.DrainMode
    deadline: _duration_pb2.Duration
    reason: str
    max_unavailable: int
    afterwards: Drain.Afterwards
    user: str
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    nodes: _containers.RepeatedCompositeFieldContainer[DrainedNode]
    node_count: int
    waiting_count: int
    draining_count: int
    done_count: int
    def __init__(self, drain_id: _Optional[str] = ..., status: _Optional[_Union[Drain.Status, str]] = ..., mode: _Optional[_Union[_node_pb2.Maintenance.DrainMode, str]] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., max_unavailable: _Optional[int] = ..., afterwards: _Optional[_Union[Drain.Afterwards, str]] = ..., user: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[DrainedNode, _Mapping]]] = ..., node_count: _Optional[int] = ..., waiting_count: _Optional[int] = ..., draining_count: _Optional[int] = ..., done_count: _Optional[int] = ...) -> None: ...

class DrainedNode(_message.Message):
    __slots__ = ("node_id", "name", "state", "start_time", "end_time", "runs_left")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[DrainedNode.State]
        WAITING: _ClassVar[DrainedNode.State]
        DRAINING: _ClassVar[DrainedNode.State]
        DRAINED: _ClassVar[DrainedNode.State]
        OPENED: _ClassVar[DrainedNode.State]
        SKIPPED: _ClassVar[DrainedNode.State]
    STATE_UNSPECIFIED: DrainedNode.State
    WAITING: DrainedNode.State
    DRAINING: DrainedNode.State
    DRAINED: DrainedNode.State
    OPENED: DrainedNode.State
    SKIPPED: DrainedNode.State
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RUNS_LEFT_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    name: str
    state: DrainedNode.State
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    runs_left: int
    def __init__(self, node_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[DrainedNode.State, str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., runs_left: _Optional[int] = ...) -> None: ...
