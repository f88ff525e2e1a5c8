from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Topology(_message.Message):
    __slots__ = ("required", "preferred", "near_allocation_id")
    class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LEVEL_UNSPECIFIED: _ClassVar[Topology.Level]
        NVLINK: _ClassVar[Topology.Level]
        NODE: _ClassVar[Topology.Level]
        RACK: _ClassVar[Topology.Level]
        BLOCK: _ClassVar[Topology.Level]
    LEVEL_UNSPECIFIED: Topology.Level
    NVLINK: Topology.Level
    NODE: Topology.Level
    RACK: Topology.Level
    BLOCK: Topology.Level
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_FIELD_NUMBER: _ClassVar[int]
    NEAR_ALLOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    required: Topology.Level
    preferred: Topology.Level
    near_allocation_id: str
    def __init__(self, required: _Optional[_Union[Topology.Level, str]] = ..., preferred: _Optional[_Union[Topology.Level, str]] = ..., near_allocation_id: _Optional[str] = ...) -> None: ...
