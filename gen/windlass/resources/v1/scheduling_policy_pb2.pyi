import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SchedulingPolicy(_message.Message):
    __slots__ = ("policy_id", "description", "priority_classes", "aging", "fair_share", "backfill", "preemption", "packing", "user", "create_time", "update_time", "etag")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_CLASSES_FIELD_NUMBER: _ClassVar[int]
    AGING_FIELD_NUMBER: _ClassVar[int]
    FAIR_SHARE_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_FIELD_NUMBER: _ClassVar[int]
    PREEMPTION_FIELD_NUMBER: _ClassVar[int]
    PACKING_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    description: str
    priority_classes: PriorityClasses
    aging: Aging
    fair_share: FairShare
    backfill: Backfill
    preemption: Preemption
    packing: str
    user: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, policy_id: _Optional[str] = ..., description: _Optional[str] = ..., priority_classes: _Optional[_Union[PriorityClasses, _Mapping]] = ..., aging: _Optional[_Union[Aging, _Mapping]] = ..., fair_share: _Optional[_Union[FairShare, _Mapping]] = ..., backfill: _Optional[_Union[Backfill, _Mapping]] = ..., preemption: _Optional[_Union[Preemption, _Mapping]] = ..., packing: _Optional[str] = ..., user: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class PriorityClasses(_message.Message):
    __slots__ = ("classes",)
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedCompositeFieldContainer[PriorityClass]
    def __init__(self, classes: _Optional[_Iterable[_Union[PriorityClass, _Mapping]]] = ...) -> None: ...

class PriorityClass(_message.Message):
    __slots__ = ("name", "priority")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    priority: int
    def __init__(self, name: _Optional[str] = ..., priority: _Optional[int] = ...) -> None: ...

class Aging(_message.Message):
    __slots__ = ("boost", "over")
    BOOST_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    boost: int
    over: _duration_pb2.Duration
    def __init__(self, boost: _Optional[int] = ..., over: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class FairShare(_message.Message):
    __slots__ = ("disabled", "half_life", "weights")
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    disabled: bool
    half_life: _duration_pb2.Duration
    weights: _containers.RepeatedCompositeFieldContainer[ShareWeight]
    def __init__(self, disabled: _Optional[bool] = ..., half_life: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., weights: _Optional[_Iterable[_Union[ShareWeight, _Mapping]]] = ...) -> None: ...

class ShareWeight(_message.Message):
    __slots__ = ("project", "user", "weight")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    project: str
    user: str
    weight: float
    def __init__(self, project: _Optional[str] = ..., user: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class Backfill(_message.Message):
    __slots__ = ("depth",)
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    depth: int
    def __init__(self, depth: _Optional[int] = ...) -> None: ...

class Preemption(_message.Message):
    __slots__ = ("enabled", "min_priority_gap", "min_run_time", "back_off", "hourly_budget")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    MIN_PRIORITY_GAP_FIELD_NUMBER: _ClassVar[int]
    MIN_RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    BACK_OFF_FIELD_NUMBER: _ClassVar[int]
    HOURLY_BUDGET_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    min_priority_gap: int
    min_run_time: _duration_pb2.Duration
    back_off: _duration_pb2.Duration
    hourly_budget: int
    def __init__(self, enabled: _Optional[bool] = ..., min_priority_gap: _Optional[int] = ..., min_run_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., back_off: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., hourly_budget: _Optional[int] = ...) -> None: ...

class SchedulingPolicyEvent(_message.Message):
    __slots__ = ("sequence", "policy_id", "time", "actor", "reason", "message")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    policy_id: str
    time: _timestamp_pb2.Timestamp
    actor: str
    reason: str
    message: str
    def __init__(self, sequence: _Optional[int] = ..., policy_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Shares(_message.Message):
    __slots__ = ("enabled", "half_life", "shares", "omitted", "jain_index")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    OMITTED_FIELD_NUMBER: _ClassVar[int]
    JAIN_INDEX_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    half_life: _duration_pb2.Duration
    shares: _containers.RepeatedCompositeFieldContainer[Share]
    omitted: int
    jain_index: float
    def __init__(self, enabled: _Optional[bool] = ..., half_life: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., shares: _Optional[_Iterable[_Union[Share, _Mapping]]] = ..., omitted: _Optional[int] = ..., jain_index: _Optional[float] = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("project", "user", "weight", "lately_gpus", "held_gpus", "share", "entitled_share", "rank")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    LATELY_GPUS_FIELD_NUMBER: _ClassVar[int]
    HELD_GPUS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    ENTITLED_SHARE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    project: str
    user: str
    weight: float
    lately_gpus: float
    held_gpus: float
    share: float
    entitled_share: float
    rank: int
    def __init__(self, project: _Optional[str] = ..., user: _Optional[str] = ..., weight: _Optional[float] = ..., lately_gpus: _Optional[float] = ..., held_gpus: _Optional[float] = ..., share: _Optional[float] = ..., entitled_share: _Optional[float] = ..., rank: _Optional[int] = ...) -> None: ...
