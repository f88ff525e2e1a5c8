import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Artifact(_message.Message):
    __slots__ = ("artifact_id", "job_id", "project", "name", "version", "type", "metadata", "content_type", "size_bytes", "sha256", "user", "state", "run_id", "rank", "attempt", "create_time", "finish_time")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[Artifact.Type]
        MODEL: _ClassVar[Artifact.Type]
        DATASET: _ClassVar[Artifact.Type]
        CHECKPOINT: _ClassVar[Artifact.Type]
        PLOT: _ClassVar[Artifact.Type]
        LOG: _ClassVar[Artifact.Type]
        OTHER: _ClassVar[Artifact.Type]
    TYPE_UNSPECIFIED: Artifact.Type
    MODEL: Artifact.Type
    DATASET: Artifact.Type
    CHECKPOINT: Artifact.Type
    PLOT: Artifact.Type
    LOG: Artifact.Type
    OTHER: Artifact.Type
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Artifact.State]
        UPLOADING: _ClassVar[Artifact.State]
        READY: _ClassVar[Artifact.State]
    STATE_UNSPECIFIED: Artifact.State
    UPLOADING: Artifact.State
    READY: Artifact.State
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    artifact_id: str
    job_id: str
    project: str
    name: str
    version: int
    type: Artifact.Type
    metadata: _containers.ScalarMap[str, str]
    content_type: str
    size_bytes: int
    sha256: str
    user: str
    state: Artifact.State
    run_id: str
    rank: int
    attempt: int
    create_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    def __init__(self, artifact_id: _Optional[str] = ..., job_id: _Optional[str] = ..., project: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., type: _Optional[_Union[Artifact.Type, str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., content_type: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., user: _Optional[str] = ..., state: _Optional[_Union[Artifact.State, str]] = ..., run_id: _Optional[str] = ..., rank: _Optional[int] = ..., attempt: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UploadJobArtifactRequest(_message.Message):
    __slots__ = ("job_id", "name", "type", "sha256", "metadata", "filename", "content")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    name: str
    type: Artifact.Type
    sha256: str
    metadata: _containers.RepeatedScalarFieldContainer[str]
    filename: str
    content: _httpbody_pb2.HttpBody
    def __init__(self, job_id: _Optional[str] = ..., name: _Optional[str] = ..., type: _Optional[_Union[Artifact.Type, str]] = ..., sha256: _Optional[str] = ..., metadata: _Optional[_Iterable[str]] = ..., filename: _Optional[str] = ..., content: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class BeginJobArtifactRequest(_message.Message):
    __slots__ = ("job_id", "name", "type", "sha256", "metadata", "content_type", "size_bytes")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    name: str
    type: Artifact.Type
    sha256: str
    metadata: _containers.RepeatedScalarFieldContainer[str]
    content_type: str
    size_bytes: int
    def __init__(self, job_id: _Optional[str] = ..., name: _Optional[str] = ..., type: _Optional[_Union[Artifact.Type, str]] = ..., sha256: _Optional[str] = ..., metadata: _Optional[_Iterable[str]] = ..., content_type: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class WriteJobArtifactRequest(_message.Message):
    __slots__ = ("job_id", "artifact_id", "offset", "content")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    artifact_id: str
    offset: int
    content: _httpbody_pb2.HttpBody
    def __init__(self, job_id: _Optional[str] = ..., artifact_id: _Optional[str] = ..., offset: _Optional[int] = ..., content: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class FinishJobArtifactRequest(_message.Message):
    __slots__ = ("job_id", "artifact_id", "sha256")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    artifact_id: str
    sha256: str
    def __init__(self, job_id: _Optional[str] = ..., artifact_id: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class ListJobArtifactsRequest(_message.Message):
    __slots__ = ("job_id", "name", "type", "show_unfinished", "run_id", "page_size", "page_token")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SHOW_UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    name: str
    type: Artifact.Type
    show_unfinished: bool
    run_id: str
    page_size: int
    page_token: str
    def __init__(self, job_id: _Optional[str] = ..., name: _Optional[str] = ..., type: _Optional[_Union[Artifact.Type, str]] = ..., show_unfinished: _Optional[bool] = ..., run_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobArtifactsResponse(_message.Message):
    __slots__ = ("artifacts", "next_page_token")
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[Artifact]
    next_page_token: str
    def __init__(self, artifacts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetJobArtifactRequest(_message.Message):
    __slots__ = ("job_id", "artifact_id")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    artifact_id: str
    def __init__(self, job_id: _Optional[str] = ..., artifact_id: _Optional[str] = ...) -> None: ...

class DownloadJobArtifactRequest(_message.Message):
    __slots__ = ("job_id", "artifact_id", "offset")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    artifact_id: str
    offset: int
    def __init__(self, job_id: _Optional[str] = ..., artifact_id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DeleteJobArtifactRequest(_message.Message):
    __slots__ = ("job_id", "artifact_id")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    artifact_id: str
    def __init__(self, job_id: _Optional[str] = ..., artifact_id: _Optional[str] = ...) -> None: ...
