from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobSource(_message.Message):
    __slots__ = ("source_id", "git")
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    GIT_FIELD_NUMBER: _ClassVar[int]
    source_id: str
    git: GitSource
    def __init__(self, source_id: _Optional[str] = ..., git: _Optional[_Union[GitSource, _Mapping]] = ...) -> None: ...

class GitSource(_message.Message):
    __slots__ = ("repository", "commit")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    repository: str
    commit: str
    def __init__(self, repository: _Optional[str] = ..., commit: _Optional[str] = ...) -> None: ...

class PythonEnvironment(_message.Message):
    __slots__ = ("requirements", "version")
    REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    requirements: _containers.RepeatedScalarFieldContainer[str]
    version: str
    def __init__(self, requirements: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ...) -> None: ...
