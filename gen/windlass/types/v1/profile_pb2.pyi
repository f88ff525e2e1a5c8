from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ProfileFormat(_message.Message):
    __slots__ = ()
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ProfileFormat.Kind]
        FLAMEGRAPH: _ClassVar[ProfileFormat.Kind]
        SPEEDSCOPE: _ClassVar[ProfileFormat.Kind]
        RAW: _ClassVar[ProfileFormat.Kind]
    KIND_UNSPECIFIED: ProfileFormat.Kind
    FLAMEGRAPH: ProfileFormat.Kind
    SPEEDSCOPE: ProfileFormat.Kind
    RAW: ProfileFormat.Kind
    def __init__(self) -> None: ...
