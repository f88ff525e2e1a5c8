from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Mig(_message.Message):
    __slots__ = ()
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[Mig.Mode]
        DISABLED: _ClassVar[Mig.Mode]
        ENABLED: _ClassVar[Mig.Mode]
    MODE_UNSPECIFIED: Mig.Mode
    DISABLED: Mig.Mode
    ENABLED: Mig.Mode
    def __init__(self) -> None: ...

class MigInstance(_message.Message):
    __slots__ = ("parent_uuid", "profile", "compute_slices", "memory_slices", "memory_start")
    PARENT_UUID_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SLICES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_SLICES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_START_FIELD_NUMBER: _ClassVar[int]
    parent_uuid: str
    profile: str
    compute_slices: int
    memory_slices: int
    memory_start: int
    def __init__(self, parent_uuid: _Optional[str] = ..., profile: _Optional[str] = ..., compute_slices: _Optional[int] = ..., memory_slices: _Optional[int] = ..., memory_start: _Optional[int] = ...) -> None: ...

class Throttle(_message.Message):
    __slots__ = ()
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[Throttle.Reason]
        GPU_IDLE: _ClassVar[Throttle.Reason]
        APPLICATION_CLOCKS: _ClassVar[Throttle.Reason]
        POWER_CAP: _ClassVar[Throttle.Reason]
        HW_SLOWDOWN: _ClassVar[Throttle.Reason]
        SYNC_BOOST: _ClassVar[Throttle.Reason]
        SW_THERMAL_SLOWDOWN: _ClassVar[Throttle.Reason]
        HW_THERMAL_SLOWDOWN: _ClassVar[Throttle.Reason]
        HW_POWER_BRAKE: _ClassVar[Throttle.Reason]
        DISPLAY_CLOCKS: _ClassVar[Throttle.Reason]
    REASON_UNSPECIFIED: Throttle.Reason
    GPU_IDLE: Throttle.Reason
    APPLICATION_CLOCKS: Throttle.Reason
    POWER_CAP: Throttle.Reason
    HW_SLOWDOWN: Throttle.Reason
    SYNC_BOOST: Throttle.Reason
    SW_THERMAL_SLOWDOWN: Throttle.Reason
    HW_THERMAL_SLOWDOWN: Throttle.Reason
    HW_POWER_BRAKE: Throttle.Reason
    DISPLAY_CLOCKS: Throttle.Reason
    def __init__(self) -> None: ...

class EccErrors(_message.Message):
    __slots__ = ("corrected_volatile", "corrected_aggregate", "uncorrected_volatile", "uncorrected_aggregate")
    CORRECTED_VOLATILE_FIELD_NUMBER: _ClassVar[int]
    CORRECTED_AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    UNCORRECTED_VOLATILE_FIELD_NUMBER: _ClassVar[int]
    UNCORRECTED_AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    corrected_volatile: int
    corrected_aggregate: int
    uncorrected_volatile: int
    uncorrected_aggregate: int
    def __init__(self, corrected_volatile: _Optional[int] = ..., corrected_aggregate: _Optional[int] = ..., uncorrected_volatile: _Optional[int] = ..., uncorrected_aggregate: _Optional[int] = ...) -> None: ...

class RemappedRows(_message.Message):
    __slots__ = ("correctable", "uncorrectable", "pending", "failure")
    CORRECTABLE_FIELD_NUMBER: _ClassVar[int]
    UNCORRECTABLE_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    correctable: int
    uncorrectable: int
    pending: bool
    failure: bool
    def __init__(self, correctable: _Optional[int] = ..., uncorrectable: _Optional[int] = ..., pending: _Optional[bool] = ..., failure: _Optional[bool] = ...) -> None: ...

class PcieLink(_message.Message):
    __slots__ = ("generation", "width", "max_generation", "max_width", "replays")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    MAX_GENERATION_FIELD_NUMBER: _ClassVar[int]
    MAX_WIDTH_FIELD_NUMBER: _ClassVar[int]
    REPLAYS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    width: int
    max_generation: int
    max_width: int
    replays: int
    def __init__(self, generation: _Optional[int] = ..., width: _Optional[int] = ..., max_generation: _Optional[int] = ..., max_width: _Optional[int] = ..., replays: _Optional[int] = ...) -> None: ...
