import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.types.v1 import metrics_pb2 as _metrics_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetNodeMetricsRequest(_message.Message):
    __slots__ = ("node_id", "field", "subject", "start_time", "end_time", "resolution")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    field: _containers.RepeatedScalarFieldContainer[str]
    subject: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    resolution: _duration_pb2.Duration
    def __init__(self, node_id: _Optional[str] = ..., field: _Optional[_Iterable[str]] = ..., subject: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolution: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetNodeMetricsResponse(_message.Message):
    __slots__ = ("start_time", "end_time", "resolution", "series")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    resolution: _duration_pb2.Duration
    series: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.MetricSeries]
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolution: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., series: _Optional[_Iterable[_Union[_metrics_pb2.MetricSeries, _Mapping]]] = ...) -> None: ...

class StreamTelemetryRequest(_message.Message):
    __slots__ = ("node_id", "field", "min_interval")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MIN_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    node_id: _containers.RepeatedScalarFieldContainer[str]
    field: _containers.RepeatedScalarFieldContainer[str]
    min_interval: _duration_pb2.Duration
    def __init__(self, node_id: _Optional[_Iterable[str]] = ..., field: _Optional[_Iterable[str]] = ..., min_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TelemetryMessage(_message.Message):
    __slots__ = ("values", "heartbeat")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    values: LiveValues
    heartbeat: TelemetryHeartbeat
    def __init__(self, values: _Optional[_Union[LiveValues, _Mapping]] = ..., heartbeat: _Optional[_Union[TelemetryHeartbeat, _Mapping]] = ...) -> None: ...

class TelemetryHeartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LiveValues(_message.Message):
    __slots__ = ("nodes", "more")
    NODES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeValues]
    more: bool
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeValues, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class NodeValues(_message.Message):
    __slots__ = ("node_id", "subjects")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    subjects: _containers.RepeatedCompositeFieldContainer[SubjectValues]
    def __init__(self, node_id: _Optional[str] = ..., subjects: _Optional[_Iterable[_Union[SubjectValues, _Mapping]]] = ...) -> None: ...

class SubjectValues(_message.Message):
    __slots__ = ("subject", "sample_time", "run_id", "job_id", "rank", "values")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_TIME_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    subject: str
    sample_time: _timestamp_pb2.Timestamp
    run_id: str
    job_id: str
    rank: int
    values: _containers.ScalarMap[str, float]
    def __init__(self, subject: _Optional[str] = ..., sample_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., run_id: _Optional[str] = ..., job_id: _Optional[str] = ..., rank: _Optional[int] = ..., values: _Optional[_Mapping[str, float]] = ...) -> None: ...
