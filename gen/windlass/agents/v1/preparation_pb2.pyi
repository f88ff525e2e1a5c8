from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Preparation(_message.Message):
    __slots__ = ("command", "script", "archive", "git", "python")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    GIT_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    command: _containers.RepeatedScalarFieldContainer[str]
    script: str
    archive: ArchiveToUnpack
    git: CommitToFetch
    python: PackagesToInstall
    def __init__(self, command: _Optional[_Iterable[str]] = ..., script: _Optional[str] = ..., archive: _Optional[_Union[ArchiveToUnpack, _Mapping]] = ..., git: _Optional[_Union[CommitToFetch, _Mapping]] = ..., python: _Optional[_Union[PackagesToInstall, _Mapping]] = ...) -> None: ...

class ArchiveToUnpack(_message.Message):
    __slots__ = ("source_id",)
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    source_id: str
    def __init__(self, source_id: _Optional[str] = ...) -> None: ...

class CommitToFetch(_message.Message):
    __slots__ = ("repository", "commit")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    repository: str
    commit: str
    def __init__(self, repository: _Optional[str] = ..., commit: _Optional[str] = ...) -> None: ...

class PackagesToInstall(_message.Message):
    __slots__ = ("requirements", "version")
    REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    requirements: _containers.RepeatedScalarFieldContainer[str]
    version: str
    def __init__(self, requirements: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ...) -> None: ...

class DownloadSourceRequest(_message.Message):
    __slots__ = ("run_id", "epoch", "offset")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    offset: int
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadSourceResponse(_message.Message):
    __slots__ = ("data", "sha256", "size_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    sha256: bytes
    size_bytes: int
    def __init__(self, data: _Optional[bytes] = ..., sha256: _Optional[bytes] = ..., size_bytes: _Optional[int] = ...) -> None: ...
