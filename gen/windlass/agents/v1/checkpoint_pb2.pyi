from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CheckpointManifest(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[CheckpointEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[CheckpointEntry, _Mapping]]] = ...) -> None: ...

class CheckpointEntry(_message.Message):
    __slots__ = ("path", "file", "folder", "link")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    file: CheckpointFile
    folder: CheckpointFolder
    link: bytes
    def __init__(self, path: _Optional[bytes] = ..., file: _Optional[_Union[CheckpointFile, _Mapping]] = ..., folder: _Optional[_Union[CheckpointFolder, _Mapping]] = ..., link: _Optional[bytes] = ...) -> None: ...

class CheckpointFile(_message.Message):
    __slots__ = ("sha256", "size_bytes", "executable", "change_time_nanos")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_NANOS_FIELD_NUMBER: _ClassVar[int]
    sha256: bytes
    size_bytes: int
    executable: bool
    change_time_nanos: int
    def __init__(self, sha256: _Optional[bytes] = ..., size_bytes: _Optional[int] = ..., executable: _Optional[bool] = ..., change_time_nanos: _Optional[int] = ...) -> None: ...

class CheckpointFolder(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
