from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from windlass.types.v1 import gpu_pb2 as _gpu_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HealthReport(_message.Message):
    __slots__ = ("agent_start", "gpus", "disk_total_bytes", "disk_free_bytes")
    AGENT_START_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    DISK_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    agent_start: int
    gpus: _containers.RepeatedCompositeFieldContainer[GpuReport]
    disk_total_bytes: int
    disk_free_bytes: int
    def __init__(self, agent_start: _Optional[int] = ..., gpus: _Optional[_Iterable[_Union[GpuReport, _Mapping]]] = ..., disk_total_bytes: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ...) -> None: ...

class GpuReport(_message.Message):
    __slots__ = ("uuid", "lost", "reset_required", "too_hot", "ecc_errors", "remapped_rows", "pcie_link", "xids", "reset_done", "reset_error")
    UUID_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    RESET_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    TOO_HOT_FIELD_NUMBER: _ClassVar[int]
    ECC_ERRORS_FIELD_NUMBER: _ClassVar[int]
    REMAPPED_ROWS_FIELD_NUMBER: _ClassVar[int]
    PCIE_LINK_FIELD_NUMBER: _ClassVar[int]
    XIDS_FIELD_NUMBER: _ClassVar[int]
    RESET_DONE_FIELD_NUMBER: _ClassVar[int]
    RESET_ERROR_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    lost: bool
    reset_required: bool
    too_hot: bool
    ecc_errors: _gpu_pb2.EccErrors
    remapped_rows: _gpu_pb2.RemappedRows
    pcie_link: _gpu_pb2.PcieLink
    xids: _containers.RepeatedCompositeFieldContainer[Xid]
    reset_done: int
    reset_error: str
    def __init__(self, uuid: _Optional[str] = ..., lost: _Optional[bool] = ..., reset_required: _Optional[bool] = ..., too_hot: _Optional[bool] = ..., ecc_errors: _Optional[_Union[_gpu_pb2.EccErrors, _Mapping]] = ..., remapped_rows: _Optional[_Union[_gpu_pb2.RemappedRows, _Mapping]] = ..., pcie_link: _Optional[_Union[_gpu_pb2.PcieLink, _Mapping]] = ..., xids: _Optional[_Iterable[_Union[Xid, _Mapping]]] = ..., reset_done: _Optional[int] = ..., reset_error: _Optional[str] = ...) -> None: ...

class Xid(_message.Message):
    __slots__ = ("number", "time_nanos", "code")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_NANOS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    number: int
    time_nanos: int
    code: int
    def __init__(self, number: _Optional[int] = ..., time_nanos: _Optional[int] = ..., code: _Optional[int] = ...) -> None: ...

class ResetDirective(_message.Message):
    __slots__ = ("gpu_uuid", "generation")
    GPU_UUID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    gpu_uuid: str
    generation: int
    def __init__(self, gpu_uuid: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class NodeHealth(_message.Message):
    __slots__ = ("gpus", "report", "conditions", "cpu_millis", "memory_bytes", "overruled", "failed_jobs", "causes", "leaving")
    class Leaving(_message.Message):
        __slots__ = ("run_id", "why")
        RUN_ID_FIELD_NUMBER: _ClassVar[int]
        WHY_FIELD_NUMBER: _ClassVar[int]
        run_id: str
        why: str
        def __init__(self, run_id: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...
    class Condition(_message.Message):
        __slots__ = ("type", "status", "reason", "message", "changed_at")
        TYPE_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
        type: str
        status: int
        reason: str
        message: str
        changed_at: int
        def __init__(self, type: _Optional[str] = ..., status: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., changed_at: _Optional[int] = ...) -> None: ...
    GPUS_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    OVERRULED_FIELD_NUMBER: _ClassVar[int]
    FAILED_JOBS_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    gpus: _containers.RepeatedCompositeFieldContainer[GpuHealth]
    report: HealthReport
    conditions: _containers.RepeatedCompositeFieldContainer[NodeHealth.Condition]
    cpu_millis: int
    memory_bytes: int
    overruled: _containers.RepeatedScalarFieldContainer[str]
    failed_jobs: int
    causes: _containers.RepeatedScalarFieldContainer[str]
    leaving: _containers.RepeatedCompositeFieldContainer[NodeHealth.Leaving]
    def __init__(self, gpus: _Optional[_Iterable[_Union[GpuHealth, _Mapping]]] = ..., report: _Optional[_Union[HealthReport, _Mapping]] = ..., conditions: _Optional[_Iterable[_Union[NodeHealth.Condition, _Mapping]]] = ..., cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., overruled: _Optional[_Iterable[str]] = ..., failed_jobs: _Optional[int] = ..., causes: _Optional[_Iterable[str]] = ..., leaving: _Optional[_Iterable[_Union[NodeHealth.Leaving, _Mapping]]] = ...) -> None: ...

class GpuHealth(_message.Message):
    __slots__ = ("uuid", "health", "reason", "message", "changed_at", "faulted_at", "standing", "action", "agent_start", "last_xid", "uncorrected", "reset_wanted", "reset_done", "resets", "faults", "report")
    class Fault(_message.Message):
        __slots__ = ("kind", "at", "action", "run_id", "job_id", "project", "count")
        KIND_FIELD_NUMBER: _ClassVar[int]
        AT_FIELD_NUMBER: _ClassVar[int]
        ACTION_FIELD_NUMBER: _ClassVar[int]
        RUN_ID_FIELD_NUMBER: _ClassVar[int]
        JOB_ID_FIELD_NUMBER: _ClassVar[int]
        PROJECT_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        kind: str
        at: int
        action: int
        run_id: str
        job_id: str
        project: str
        count: int
        def __init__(self, kind: _Optional[str] = ..., at: _Optional[int] = ..., action: _Optional[int] = ..., run_id: _Optional[str] = ..., job_id: _Optional[str] = ..., project: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
    UUID_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    FAULTED_AT_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    AGENT_START_FIELD_NUMBER: _ClassVar[int]
    LAST_XID_FIELD_NUMBER: _ClassVar[int]
    UNCORRECTED_FIELD_NUMBER: _ClassVar[int]
    RESET_WANTED_FIELD_NUMBER: _ClassVar[int]
    RESET_DONE_FIELD_NUMBER: _ClassVar[int]
    RESETS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    health: int
    reason: str
    message: str
    changed_at: int
    faulted_at: int
    standing: _containers.RepeatedScalarFieldContainer[str]
    action: int
    agent_start: int
    last_xid: int
    uncorrected: int
    reset_wanted: int
    reset_done: int
    resets: _containers.RepeatedScalarFieldContainer[int]
    faults: _containers.RepeatedCompositeFieldContainer[GpuHealth.Fault]
    report: GpuReport
    def __init__(self, uuid: _Optional[str] = ..., health: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., changed_at: _Optional[int] = ..., faulted_at: _Optional[int] = ..., standing: _Optional[_Iterable[str]] = ..., action: _Optional[int] = ..., agent_start: _Optional[int] = ..., last_xid: _Optional[int] = ..., uncorrected: _Optional[int] = ..., reset_wanted: _Optional[int] = ..., reset_done: _Optional[int] = ..., resets: _Optional[_Iterable[int]] = ..., faults: _Optional[_Iterable[_Union[GpuHealth.Fault, _Mapping]]] = ..., report: _Optional[_Union[GpuReport, _Mapping]] = ...) -> None: ...
