from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MigCard(_message.Message):
    __slots__ = ("uuid", "gpu_type", "divided", "may_be_divided", "profiles", "generation", "problem")
    UUID_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    DIVIDED_FIELD_NUMBER: _ClassVar[int]
    MAY_BE_DIVIDED_FIELD_NUMBER: _ClassVar[int]
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    gpu_type: str
    divided: bool
    may_be_divided: bool
    profiles: _containers.RepeatedCompositeFieldContainer[MigProfile]
    generation: int
    problem: str
    def __init__(self, uuid: _Optional[str] = ..., gpu_type: _Optional[str] = ..., divided: _Optional[bool] = ..., may_be_divided: _Optional[bool] = ..., profiles: _Optional[_Iterable[_Union[MigProfile, _Mapping]]] = ..., generation: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class MigProfile(_message.Message):
    __slots__ = ("name", "compute_slices", "memory_slices", "memory_starts", "memory_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SLICES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_SLICES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_STARTS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    compute_slices: int
    memory_slices: int
    memory_starts: _containers.RepeatedScalarFieldContainer[int]
    memory_bytes: int
    def __init__(self, name: _Optional[str] = ..., compute_slices: _Optional[int] = ..., memory_slices: _Optional[int] = ..., memory_starts: _Optional[_Iterable[int]] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class LayoutDirective(_message.Message):
    __slots__ = ("card_uuid", "generation", "instances")
    CARD_UUID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    card_uuid: str
    generation: int
    instances: _containers.RepeatedCompositeFieldContainer[MigPlacement]
    def __init__(self, card_uuid: _Optional[str] = ..., generation: _Optional[int] = ..., instances: _Optional[_Iterable[_Union[MigPlacement, _Mapping]]] = ...) -> None: ...

class MigPlacement(_message.Message):
    __slots__ = ("profile", "memory_start")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_START_FIELD_NUMBER: _ClassVar[int]
    profile: str
    memory_start: int
    def __init__(self, profile: _Optional[str] = ..., memory_start: _Optional[int] = ...) -> None: ...
