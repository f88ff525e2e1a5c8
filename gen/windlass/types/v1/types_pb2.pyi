from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResourceRequest(_message.Message):
    __slots__ = ("cpu_millis", "memory_bytes", "gpu_count", "gpu_type", "mig_profile", "gpu_memory_bytes", "gpu_millis")
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    MIG_PROFILE_FIELD_NUMBER: _ClassVar[int]
    GPU_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    cpu_millis: int
    memory_bytes: int
    gpu_count: int
    gpu_type: str
    mig_profile: str
    gpu_memory_bytes: int
    gpu_millis: int
    def __init__(self, cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., gpu_count: _Optional[int] = ..., gpu_type: _Optional[str] = ..., mig_profile: _Optional[str] = ..., gpu_memory_bytes: _Optional[int] = ..., gpu_millis: _Optional[int] = ...) -> None: ...

class Isolation(_message.Message):
    __slots__ = ("level", "cgroup_limits", "cgroup_version", "degraded_reason")
    class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LEVEL_UNSPECIFIED: _ClassVar[Isolation.Level]
        RLIMITS: _ClassVar[Isolation.Level]
        NAMESPACES: _ClassVar[Isolation.Level]
        SANDBOX: _ClassVar[Isolation.Level]
    LEVEL_UNSPECIFIED: Isolation.Level
    RLIMITS: Isolation.Level
    NAMESPACES: Isolation.Level
    SANDBOX: Isolation.Level
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    CGROUP_LIMITS_FIELD_NUMBER: _ClassVar[int]
    CGROUP_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASON_FIELD_NUMBER: _ClassVar[int]
    level: Isolation.Level
    cgroup_limits: _containers.RepeatedScalarFieldContainer[str]
    cgroup_version: str
    degraded_reason: str
    def __init__(self, level: _Optional[_Union[Isolation.Level, str]] = ..., cgroup_limits: _Optional[_Iterable[str]] = ..., cgroup_version: _Optional[str] = ..., degraded_reason: _Optional[str] = ...) -> None: ...
