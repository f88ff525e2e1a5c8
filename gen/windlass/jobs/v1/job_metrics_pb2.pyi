import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.types.v1 import metrics_pb2 as _metrics_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetJobMetricsRequest(_message.Message):
    __slots__ = ("job_id", "field", "start_time", "end_time", "resolution", "metrics", "aggregate", "x_axis")
    class Aggregate(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        AGGREGATE_UNSPECIFIED: _ClassVar[GetJobMetricsRequest.Aggregate]
        MEAN: _ClassVar[GetJobMetricsRequest.Aggregate]
        MIN: _ClassVar[GetJobMetricsRequest.Aggregate]
        MAX: _ClassVar[GetJobMetricsRequest.Aggregate]
        SUM: _ClassVar[GetJobMetricsRequest.Aggregate]
    AGGREGATE_UNSPECIFIED: GetJobMetricsRequest.Aggregate
    MEAN: GetJobMetricsRequest.Aggregate
    MIN: GetJobMetricsRequest.Aggregate
    MAX: GetJobMetricsRequest.Aggregate
    SUM: GetJobMetricsRequest.Aggregate
    class XAxis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        X_AXIS_UNSPECIFIED: _ClassVar[GetJobMetricsRequest.XAxis]
        TIME: _ClassVar[GetJobMetricsRequest.XAxis]
        STEP: _ClassVar[GetJobMetricsRequest.XAxis]
    X_AXIS_UNSPECIFIED: GetJobMetricsRequest.XAxis
    TIME: GetJobMetricsRequest.XAxis
    STEP: GetJobMetricsRequest.XAxis
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    X_AXIS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    field: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    resolution: _duration_pb2.Duration
    metrics: _containers.RepeatedScalarFieldContainer[str]
    aggregate: GetJobMetricsRequest.Aggregate
    x_axis: GetJobMetricsRequest.XAxis
    def __init__(self, job_id: _Optional[str] = ..., field: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolution: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., metrics: _Optional[_Iterable[str]] = ..., aggregate: _Optional[_Union[GetJobMetricsRequest.Aggregate, str]] = ..., x_axis: _Optional[_Union[GetJobMetricsRequest.XAxis, str]] = ...) -> None: ...

class GetJobMetricsResponse(_message.Message):
    __slots__ = ("start_time", "end_time", "resolution", "series", "omitted_runs", "custom_names", "notes")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    OMITTED_RUNS_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_NAMES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    resolution: _duration_pb2.Duration
    series: _containers.RepeatedCompositeFieldContainer[_metrics_pb2.MetricSeries]
    omitted_runs: int
    custom_names: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolution: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., series: _Optional[_Iterable[_Union[_metrics_pb2.MetricSeries, _Mapping]]] = ..., omitted_runs: _Optional[int] = ..., custom_names: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...
