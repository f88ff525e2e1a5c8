import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Forecast(_message.Message):
    __slots__ = ("verdict", "reason", "message", "placements", "jobs_ahead", "nodes", "constraints", "changes", "cost", "time", "start_time_p50", "start_time_p90", "start_unknown", "victims", "effective_priority", "priority_message", "withheld")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[Forecast.Verdict]
        STARTS_NOW: _ClassVar[Forecast.Verdict]
        WAITS: _ClassVar[Forecast.Verdict]
        NEVER: _ClassVar[Forecast.Verdict]
        NOT_WAITING: _ClassVar[Forecast.Verdict]
    VERDICT_UNSPECIFIED: Forecast.Verdict
    STARTS_NOW: Forecast.Verdict
    WAITS: Forecast.Verdict
    NEVER: Forecast.Verdict
    NOT_WAITING: Forecast.Verdict
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    JOBS_AHEAD_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_P50_FIELD_NUMBER: _ClassVar[int]
    START_TIME_P90_FIELD_NUMBER: _ClassVar[int]
    START_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    VICTIMS_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    verdict: Forecast.Verdict
    reason: str
    message: str
    placements: _containers.RepeatedCompositeFieldContainer[ForecastPlacement]
    jobs_ahead: int
    nodes: int
    constraints: _containers.RepeatedCompositeFieldContainer[ForecastConstraint]
    changes: _containers.RepeatedCompositeFieldContainer[ForecastChange]
    cost: ForecastCost
    time: _timestamp_pb2.Timestamp
    start_time_p50: _timestamp_pb2.Timestamp
    start_time_p90: _timestamp_pb2.Timestamp
    start_unknown: str
    victims: _containers.RepeatedCompositeFieldContainer[ForecastVictim]
    effective_priority: int
    priority_message: str
    withheld: _containers.RepeatedCompositeFieldContainer[ForecastWithheld]
    def __init__(self, verdict: _Optional[_Union[Forecast.Verdict, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., placements: _Optional[_Iterable[_Union[ForecastPlacement, _Mapping]]] = ..., jobs_ahead: _Optional[int] = ..., nodes: _Optional[int] = ..., constraints: _Optional[_Iterable[_Union[ForecastConstraint, _Mapping]]] = ..., changes: _Optional[_Iterable[_Union[ForecastChange, _Mapping]]] = ..., cost: _Optional[_Union[ForecastCost, _Mapping]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time_p50: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time_p90: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_unknown: _Optional[str] = ..., victims: _Optional[_Iterable[_Union[ForecastVictim, _Mapping]]] = ..., effective_priority: _Optional[int] = ..., priority_message: _Optional[str] = ..., withheld: _Optional[_Iterable[_Union[ForecastWithheld, _Mapping]]] = ...) -> None: ...

class ForecastPlacement(_message.Message):
    __slots__ = ("node_id", "node_name", "gpu_uuids")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_NAME_FIELD_NUMBER: _ClassVar[int]
    GPU_UUIDS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    node_name: str
    gpu_uuids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node_id: _Optional[str] = ..., node_name: _Optional[str] = ..., gpu_uuids: _Optional[_Iterable[str]] = ...) -> None: ...

class ForecastConstraint(_message.Message):
    __slots__ = ("constraint", "field", "nodes_when_empty", "nodes_now", "message")
    CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    NODES_WHEN_EMPTY_FIELD_NUMBER: _ClassVar[int]
    NODES_NOW_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    constraint: str
    field: str
    nodes_when_empty: int
    nodes_now: int
    message: str
    def __init__(self, constraint: _Optional[str] = ..., field: _Optional[str] = ..., nodes_when_empty: _Optional[int] = ..., nodes_now: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class ForecastChange(_message.Message):
    __slots__ = ("field", "asked", "enough")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    ENOUGH_FIELD_NUMBER: _ClassVar[int]
    field: str
    asked: str
    enough: str
    def __init__(self, field: _Optional[str] = ..., asked: _Optional[str] = ..., enough: _Optional[str] = ...) -> None: ...

class ForecastVictim(_message.Message):
    __slots__ = ("job_id", "node_id", "node_name")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_NAME_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    node_id: str
    node_name: str
    def __init__(self, job_id: _Optional[str] = ..., node_id: _Optional[str] = ..., node_name: _Optional[str] = ...) -> None: ...

class ForecastWithheld(_message.Message):
    __slots__ = ("rule", "victims", "until", "message")
    class Rule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RULE_UNSPECIFIED: _ClassVar[ForecastWithheld.Rule]
        HOURLY_BUDGET: _ClassVar[ForecastWithheld.Rule]
        MIN_RUN_TIME: _ClassVar[ForecastWithheld.Rule]
        BACK_OFF: _ClassVar[ForecastWithheld.Rule]
        MAX_PRIORITY: _ClassVar[ForecastWithheld.Rule]
        GRACE_PERIOD: _ClassVar[ForecastWithheld.Rule]
    RULE_UNSPECIFIED: ForecastWithheld.Rule
    HOURLY_BUDGET: ForecastWithheld.Rule
    MIN_RUN_TIME: ForecastWithheld.Rule
    BACK_OFF: ForecastWithheld.Rule
    MAX_PRIORITY: ForecastWithheld.Rule
    GRACE_PERIOD: ForecastWithheld.Rule
    RULE_FIELD_NUMBER: _ClassVar[int]
    VICTIMS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    rule: ForecastWithheld.Rule
    victims: _containers.RepeatedCompositeFieldContainer[ForecastVictim]
    until: _timestamp_pb2.Timestamp
    message: str
    def __init__(self, rule: _Optional[_Union[ForecastWithheld.Rule, str]] = ..., victims: _Optional[_Iterable[_Union[ForecastVictim, _Mapping]]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class ForecastCost(_message.Message):
    __slots__ = ("currency", "per_hour", "at_most")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    currency: str
    per_hour: str
    at_most: str
    def __init__(self, currency: _Optional[str] = ..., per_hour: _Optional[str] = ..., at_most: _Optional[str] = ...) -> None: ...
