from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricBatch(_message.Message):
    __slots__ = ("run_id", "epoch", "source", "position", "columns", "tally")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    TALLY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    source: int
    position: int
    columns: _containers.RepeatedCompositeFieldContainer[MetricColumn]
    tally: MetricTally
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., source: _Optional[int] = ..., position: _Optional[int] = ..., columns: _Optional[_Iterable[_Union[MetricColumn, _Mapping]]] = ..., tally: _Optional[_Union[MetricTally, _Mapping]] = ...) -> None: ...

class MetricColumn(_message.Message):
    __slots__ = ("name", "times", "steps", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    times: _containers.RepeatedScalarFieldContainer[int]
    steps: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., times: _Optional[_Iterable[int]] = ..., steps: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class MetricTally(_message.Message):
    __slots__ = ("values", "malformed_lines", "last_malformed", "dropped_values", "refused_values")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    MALFORMED_LINES_FIELD_NUMBER: _ClassVar[int]
    LAST_MALFORMED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_VALUES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_VALUES_FIELD_NUMBER: _ClassVar[int]
    values: int
    malformed_lines: int
    last_malformed: str
    dropped_values: int
    refused_values: int
    def __init__(self, values: _Optional[int] = ..., malformed_lines: _Optional[int] = ..., last_malformed: _Optional[str] = ..., dropped_values: _Optional[int] = ..., refused_values: _Optional[int] = ...) -> None: ...

class MetricAck(_message.Message):
    __slots__ = ("run_id", "source", "position")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    source: int
    position: int
    def __init__(self, run_id: _Optional[str] = ..., source: _Optional[int] = ..., position: _Optional[int] = ...) -> None: ...
