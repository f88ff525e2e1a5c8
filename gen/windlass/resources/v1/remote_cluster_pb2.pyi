import datetime

from buf.validate import validate_pb2 as _validate_pb2
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

class RemoteSettings(_message.Message):
    __slots__ = ("endpoint", "api_key", "ca_certificates", "server_name", "project", "spill_over_after", "affinity", "weight", "max_jobs", "projects", "paused")
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    SERVER_NAME_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SPILL_OVER_AFTER_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_JOBS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    endpoint: str
    api_key: str
    ca_certificates: str
    server_name: str
    project: str
    spill_over_after: _duration_pb2.Duration
    affinity: JobSelector
    weight: int
    max_jobs: int
    projects: _containers.RepeatedScalarFieldContainer[str]
    paused: bool
    def __init__(self, endpoint: _Optional[str] = ..., api_key: _Optional[str] = ..., ca_certificates: _Optional[str] = ..., server_name: _Optional[str] = ..., project: _Optional[str] = ..., spill_over_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., affinity: _Optional[_Union[JobSelector, _Mapping]] = ..., weight: _Optional[int] = ..., max_jobs: _Optional[int] = ..., projects: _Optional[_Iterable[str]] = ..., paused: _Optional[bool] = ...) -> None: ...

class JobSelector(_message.Message):
    __slots__ = ("labels", "gpu_types")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LABELS_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPES_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.ScalarMap[str, str]
    gpu_types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, labels: _Optional[_Mapping[str, str]] = ..., gpu_types: _Optional[_Iterable[str]] = ...) -> None: ...

class RemoteStatus(_message.Message):
    __slots__ = ("state", "message", "state_time", "last_contact_time", "version", "job_count", "available")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[RemoteStatus.State]
        CONNECTED: _ClassVar[RemoteStatus.State]
        UNREACHABLE: _ClassVar[RemoteStatus.State]
        REFUSED: _ClassVar[RemoteStatus.State]
    STATE_UNSPECIFIED: RemoteStatus.State
    CONNECTED: RemoteStatus.State
    UNREACHABLE: RemoteStatus.State
    REFUSED: RemoteStatus.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_CONTACT_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    JOB_COUNT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    state: RemoteStatus.State
    message: str
    state_time: _timestamp_pb2.Timestamp
    last_contact_time: _timestamp_pb2.Timestamp
    version: str
    job_count: int
    available: _node_pb2.Capacity
    def __init__(self, state: _Optional[_Union[RemoteStatus.State, str]] = ..., message: _Optional[str] = ..., state_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_contact_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[str] = ..., job_count: _Optional[int] = ..., available: _Optional[_Union[_node_pb2.Capacity, _Mapping]] = ...) -> None: ...
