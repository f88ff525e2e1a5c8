import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.agents.v1 import custom_metric_pb2 as _custom_metric_pb2
from windlass.agents.v1 import health_pb2 as _health_pb2
from windlass.agents.v1 import mig_pb2 as _mig_pb2
from windlass.agents.v1 import preparation_pb2 as _preparation_pb2
from windlass.agents.v1 import profile_pb2 as _profile_pb2
from windlass.types.v1 import gpu_pb2 as _gpu_pb2
from windlass.types.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Inventory(_message.Message):
    __slots__ = ("hostname", "boot_id", "agent_version", "cpu_millis", "memory_bytes", "gpus", "gpu_driver_version", "isolation", "labels", "cuda_version", "can_reset_gpus", "address", "takes_secrets", "can_freeze", "mig_cards")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    GPU_DRIVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CUDA_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAN_RESET_GPUS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TAKES_SECRETS_FIELD_NUMBER: _ClassVar[int]
    CAN_FREEZE_FIELD_NUMBER: _ClassVar[int]
    MIG_CARDS_FIELD_NUMBER: _ClassVar[int]
    hostname: str
    boot_id: str
    agent_version: str
    cpu_millis: int
    memory_bytes: int
    gpus: _containers.RepeatedCompositeFieldContainer[GpuDevice]
    gpu_driver_version: str
    isolation: _types_pb2.Isolation
    labels: _containers.ScalarMap[str, str]
    cuda_version: str
    can_reset_gpus: bool
    address: str
    takes_secrets: bool
    can_freeze: bool
    mig_cards: _containers.RepeatedCompositeFieldContainer[_mig_pb2.MigCard]
    def __init__(self, hostname: _Optional[str] = ..., boot_id: _Optional[str] = ..., agent_version: _Optional[str] = ..., cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., gpus: _Optional[_Iterable[_Union[GpuDevice, _Mapping]]] = ..., gpu_driver_version: _Optional[str] = ..., isolation: _Optional[_Union[_types_pb2.Isolation, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., cuda_version: _Optional[str] = ..., can_reset_gpus: _Optional[bool] = ..., address: _Optional[str] = ..., takes_secrets: _Optional[bool] = ..., can_freeze: _Optional[bool] = ..., mig_cards: _Optional[_Iterable[_Union[_mig_pb2.MigCard, _Mapping]]] = ...) -> None: ...

class GpuDevice(_message.Message):
    __slots__ = ("uuid", "index", "model", "gpu_type", "memory_total_bytes", "power_limit_watts", "pci_bus_id", "nvlink_peers", "mig_mode", "compute_capability", "slowdown_celsius", "mig_instance")
    UUID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    POWER_LIMIT_WATTS_FIELD_NUMBER: _ClassVar[int]
    PCI_BUS_ID_FIELD_NUMBER: _ClassVar[int]
    NVLINK_PEERS_FIELD_NUMBER: _ClassVar[int]
    MIG_MODE_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    SLOWDOWN_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    MIG_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    index: int
    model: str
    gpu_type: str
    memory_total_bytes: int
    power_limit_watts: float
    pci_bus_id: str
    nvlink_peers: _containers.RepeatedScalarFieldContainer[str]
    mig_mode: _gpu_pb2.Mig.Mode
    compute_capability: str
    slowdown_celsius: int
    mig_instance: _gpu_pb2.MigInstance
    def __init__(self, uuid: _Optional[str] = ..., index: _Optional[int] = ..., model: _Optional[str] = ..., gpu_type: _Optional[str] = ..., memory_total_bytes: _Optional[int] = ..., power_limit_watts: _Optional[float] = ..., pci_bus_id: _Optional[str] = ..., nvlink_peers: _Optional[_Iterable[str]] = ..., mig_mode: _Optional[_Union[_gpu_pb2.Mig.Mode, str]] = ..., compute_capability: _Optional[str] = ..., slowdown_celsius: _Optional[int] = ..., mig_instance: _Optional[_Union[_gpu_pb2.MigInstance, _Mapping]] = ...) -> None: ...

class AgentMessage(_message.Message):
    __slots__ = ("hello", "run_report", "heartbeat", "health", "inventory")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    RUN_REPORT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    run_report: RunReport
    heartbeat: Heartbeat
    health: _health_pb2.HealthReport
    inventory: Inventory
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., run_report: _Optional[_Union[RunReport, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., health: _Optional[_Union[_health_pb2.HealthReport, _Mapping]] = ..., inventory: _Optional[_Union[Inventory, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_version", "inventory", "runs", "runs_follow", "oldest_protocol_version", "health")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FOLLOW_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    inventory: Inventory
    runs: _containers.RepeatedCompositeFieldContainer[RunReport]
    runs_follow: bool
    oldest_protocol_version: int
    health: _health_pb2.HealthReport
    def __init__(self, protocol_version: _Optional[int] = ..., inventory: _Optional[_Union[Inventory, _Mapping]] = ..., runs: _Optional[_Iterable[_Union[RunReport, _Mapping]]] = ..., runs_follow: _Optional[bool] = ..., oldest_protocol_version: _Optional[int] = ..., health: _Optional[_Union[_health_pb2.HealthReport, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunReport(_message.Message):
    __slots__ = ("run_id", "epoch", "state", "applied_generation", "isolation", "start_time", "exit", "doing", "frozen")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[RunReport.State]
        PREPARING: _ClassVar[RunReport.State]
        RUNNING: _ClassVar[RunReport.State]
        EXITED: _ClassVar[RunReport.State]
    STATE_UNSPECIFIED: RunReport.State
    PREPARING: RunReport.State
    RUNNING: RunReport.State
    EXITED: RunReport.State
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    APPLIED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    state: RunReport.State
    applied_generation: int
    isolation: _types_pb2.Isolation
    start_time: _timestamp_pb2.Timestamp
    exit: RunExit
    doing: str
    frozen: bool
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., state: _Optional[_Union[RunReport.State, str]] = ..., applied_generation: _Optional[int] = ..., isolation: _Optional[_Union[_types_pb2.Isolation, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., exit: _Optional[_Union[RunExit, _Mapping]] = ..., doing: _Optional[str] = ..., frozen: _Optional[bool] = ...) -> None: ...

class RunExit(_message.Message):
    __slots__ = ("cause", "exit_code", "exit_signal", "end_time", "log_end", "message", "checkpoint_problem", "artifact_problem", "artifact_count", "artifact_bytes")
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CAUSE_UNSPECIFIED: _ClassVar[RunExit.Cause]
        COMPLETED: _ClassVar[RunExit.Cause]
        STOPPED: _ClassVar[RunExit.Cause]
        TIME_LIMIT: _ClassVar[RunExit.Cause]
        OUT_OF_MEMORY: _ClassVar[RunExit.Cause]
        LAUNCH_FAILED: _ClassVar[RunExit.Cause]
        BAD_COMMAND: _ClassVar[RunExit.Cause]
        LOST: _ClassVar[RunExit.Cause]
        NODE_SHUTDOWN: _ClassVar[RunExit.Cause]
        GPU_FAULT: _ClassVar[RunExit.Cause]
        CHECKPOINT_DAMAGED: _ClassVar[RunExit.Cause]
        SECRET_UNAVAILABLE: _ClassVar[RunExit.Cause]
        SOURCE_UNAVAILABLE: _ClassVar[RunExit.Cause]
        SOURCE_UNPACK_FAILED: _ClassVar[RunExit.Cause]
        SOURCE_FETCH_FAILED: _ClassVar[RunExit.Cause]
        ENVIRONMENT_BUILD_FAILED: _ClassVar[RunExit.Cause]
    CAUSE_UNSPECIFIED: RunExit.Cause
    COMPLETED: RunExit.Cause
    STOPPED: RunExit.Cause
    TIME_LIMIT: RunExit.Cause
    OUT_OF_MEMORY: RunExit.Cause
    LAUNCH_FAILED: RunExit.Cause
    BAD_COMMAND: RunExit.Cause
    LOST: RunExit.Cause
    NODE_SHUTDOWN: RunExit.Cause
    GPU_FAULT: RunExit.Cause
    CHECKPOINT_DAMAGED: RunExit.Cause
    SECRET_UNAVAILABLE: RunExit.Cause
    SOURCE_UNAVAILABLE: RunExit.Cause
    SOURCE_UNPACK_FAILED: RunExit.Cause
    SOURCE_FETCH_FAILED: RunExit.Cause
    ENVIRONMENT_BUILD_FAILED: RunExit.Cause
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    EXIT_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    LOG_END_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_COUNT_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_BYTES_FIELD_NUMBER: _ClassVar[int]
    cause: RunExit.Cause
    exit_code: int
    exit_signal: int
    end_time: _timestamp_pb2.Timestamp
    log_end: int
    message: str
    checkpoint_problem: str
    artifact_problem: str
    artifact_count: int
    artifact_bytes: int
    def __init__(self, cause: _Optional[_Union[RunExit.Cause, str]] = ..., exit_code: _Optional[int] = ..., exit_signal: _Optional[int] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., log_end: _Optional[int] = ..., message: _Optional[str] = ..., checkpoint_problem: _Optional[str] = ..., artifact_problem: _Optional[str] = ..., artifact_count: _Optional[int] = ..., artifact_bytes: _Optional[int] = ...) -> None: ...

class ServerMessage(_message.Message):
    __slots__ = ("welcome", "directive", "sync_end", "heartbeat_reply", "reset", "layout", "profile")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    DIRECTIVE_FIELD_NUMBER: _ClassVar[int]
    SYNC_END_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_REPLY_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    directive: RunDirective
    sync_end: SyncEnd
    heartbeat_reply: HeartbeatReply
    reset: _health_pb2.ResetDirective
    layout: _mig_pb2.LayoutDirective
    profile: _profile_pb2.ProfileDirective
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., directive: _Optional[_Union[RunDirective, _Mapping]] = ..., sync_end: _Optional[_Union[SyncEnd, _Mapping]] = ..., heartbeat_reply: _Optional[_Union[HeartbeatReply, _Mapping]] = ..., reset: _Optional[_Union[_health_pb2.ResetDirective, _Mapping]] = ..., layout: _Optional[_Union[_mig_pb2.LayoutDirective, _Mapping]] = ..., profile: _Optional[_Union[_profile_pb2.ProfileDirective, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("node_id", "heartbeat_interval", "protocol_version", "server_version")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    heartbeat_interval: _duration_pb2.Duration
    protocol_version: int
    server_version: str
    def __init__(self, node_id: _Optional[str] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., protocol_version: _Optional[int] = ..., server_version: _Optional[str] = ...) -> None: ...

class RunDirective(_message.Message):
    __slots__ = ("run_id", "epoch", "generation", "want", "spec", "grace_period", "frozen")
    class Want(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WANT_UNSPECIFIED: _ClassVar[RunDirective.Want]
        RUNNING: _ClassVar[RunDirective.Want]
        STOPPED: _ClassVar[RunDirective.Want]
        FORGOTTEN: _ClassVar[RunDirective.Want]
    WANT_UNSPECIFIED: RunDirective.Want
    RUNNING: RunDirective.Want
    STOPPED: RunDirective.Want
    FORGOTTEN: RunDirective.Want
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    WANT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    generation: int
    want: RunDirective.Want
    spec: RunSpec
    grace_period: _duration_pb2.Duration
    frozen: bool
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., generation: _Optional[int] = ..., want: _Optional[_Union[RunDirective.Want, str]] = ..., spec: _Optional[_Union[RunSpec, _Mapping]] = ..., grace_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., frozen: _Optional[bool] = ...) -> None: ...

class SyncEnd(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HeartbeatReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunSpec(_message.Message):
    __slots__ = ("job_id", "project", "name", "attempt", "command", "variables", "working_directory", "resources", "gpu_uuids", "time_limit", "grace_period", "min_isolation", "restore", "gang", "secrets", "preparation", "array", "debug_mode")
    class VariablesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    GPU_UUIDS_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    MIN_ISOLATION_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    GANG_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    PREPARATION_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    DEBUG_MODE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    project: str
    name: str
    attempt: int
    command: _containers.RepeatedScalarFieldContainer[str]
    variables: _containers.ScalarMap[str, str]
    working_directory: str
    resources: _types_pb2.ResourceRequest
    gpu_uuids: _containers.RepeatedScalarFieldContainer[str]
    time_limit: _duration_pb2.Duration
    grace_period: _duration_pb2.Duration
    min_isolation: _types_pb2.Isolation.Level
    restore: RestoreFrom
    gang: Gang
    secrets: _containers.RepeatedCompositeFieldContainer[GivenSecret]
    preparation: _preparation_pb2.Preparation
    array: ArrayElement
    debug_mode: bool
    def __init__(self, job_id: _Optional[str] = ..., project: _Optional[str] = ..., name: _Optional[str] = ..., attempt: _Optional[int] = ..., command: _Optional[_Iterable[str]] = ..., variables: _Optional[_Mapping[str, str]] = ..., working_directory: _Optional[str] = ..., resources: _Optional[_Union[_types_pb2.ResourceRequest, _Mapping]] = ..., gpu_uuids: _Optional[_Iterable[str]] = ..., time_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., grace_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., min_isolation: _Optional[_Union[_types_pb2.Isolation.Level, str]] = ..., restore: _Optional[_Union[RestoreFrom, _Mapping]] = ..., gang: _Optional[_Union[Gang, _Mapping]] = ..., secrets: _Optional[_Iterable[_Union[GivenSecret, _Mapping]]] = ..., preparation: _Optional[_Union[_preparation_pb2.Preparation, _Mapping]] = ..., array: _Optional[_Union[ArrayElement, _Mapping]] = ..., debug_mode: _Optional[bool] = ...) -> None: ...

class GivenSecret(_message.Message):
    __slots__ = ("variable", "value", "file")
    VARIABLE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    variable: str
    value: bytes
    file: bool
    def __init__(self, variable: _Optional[str] = ..., value: _Optional[bytes] = ..., file: _Optional[bool] = ...) -> None: ...

class ArrayElement(_message.Message):
    __slots__ = ("array_job_id", "index", "count")
    ARRAY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    array_job_id: str
    index: int
    count: int
    def __init__(self, array_job_id: _Optional[str] = ..., index: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class Gang(_message.Message):
    __slots__ = ("rank", "hosts", "master_port")
    RANK_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    MASTER_PORT_FIELD_NUMBER: _ClassVar[int]
    rank: int
    hosts: _containers.RepeatedScalarFieldContainer[str]
    master_port: int
    def __init__(self, rank: _Optional[int] = ..., hosts: _Optional[_Iterable[str]] = ..., master_port: _Optional[int] = ...) -> None: ...

class RestoreFrom(_message.Message):
    __slots__ = ("checkpoint_id", "size_bytes")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    size_bytes: int
    def __init__(self, checkpoint_id: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class TelemetryMessage(_message.Message):
    __slots__ = ("samples", "logs", "metrics")
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    samples: SampleBatch
    logs: LogBatch
    metrics: _custom_metric_pb2.MetricBatch
    def __init__(self, samples: _Optional[_Union[SampleBatch, _Mapping]] = ..., logs: _Optional[_Union[LogBatch, _Mapping]] = ..., metrics: _Optional[_Union[_custom_metric_pb2.MetricBatch, _Mapping]] = ...) -> None: ...

class TelemetryReply(_message.Message):
    __slots__ = ("credit", "log_ack", "metric_ack", "sample_ack")
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    LOG_ACK_FIELD_NUMBER: _ClassVar[int]
    METRIC_ACK_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_ACK_FIELD_NUMBER: _ClassVar[int]
    credit: SampleCredit
    log_ack: LogAck
    metric_ack: _custom_metric_pb2.MetricAck
    sample_ack: SampleAck
    def __init__(self, credit: _Optional[_Union[SampleCredit, _Mapping]] = ..., log_ack: _Optional[_Union[LogAck, _Mapping]] = ..., metric_ack: _Optional[_Union[_custom_metric_pb2.MetricAck, _Mapping]] = ..., sample_ack: _Optional[_Union[SampleAck, _Mapping]] = ...) -> None: ...

class SampleAck(_message.Message):
    __slots__ = ("received", "kept")
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    received: int
    kept: int
    def __init__(self, received: _Optional[int] = ..., kept: _Optional[int] = ...) -> None: ...

class SampleCredit(_message.Message):
    __slots__ = ("batches", "min_interval")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    MIN_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    batches: int
    min_interval: _duration_pb2.Duration
    def __init__(self, batches: _Optional[int] = ..., min_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SampleBatch(_message.Message):
    __slots__ = ("base_time_nanos", "time_deltas_nanos", "series", "gpu_processes", "runs")
    BASE_TIME_NANOS_FIELD_NUMBER: _ClassVar[int]
    TIME_DELTAS_NANOS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    GPU_PROCESSES_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    base_time_nanos: int
    time_deltas_nanos: _containers.RepeatedScalarFieldContainer[int]
    series: _containers.RepeatedCompositeFieldContainer[Series]
    gpu_processes: _containers.RepeatedCompositeFieldContainer[GpuProcessSample]
    runs: _containers.RepeatedCompositeFieldContainer[RunStamp]
    def __init__(self, base_time_nanos: _Optional[int] = ..., time_deltas_nanos: _Optional[_Iterable[int]] = ..., series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., gpu_processes: _Optional[_Iterable[_Union[GpuProcessSample, _Mapping]]] = ..., runs: _Optional[_Iterable[_Union[RunStamp, _Mapping]]] = ...) -> None: ...

class RunStamp(_message.Message):
    __slots__ = ("run_id", "epoch", "job_id", "project", "rank", "gpu_uuids")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    GPU_UUIDS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    job_id: str
    project: str
    rank: int
    gpu_uuids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., job_id: _Optional[str] = ..., project: _Optional[str] = ..., rank: _Optional[int] = ..., gpu_uuids: _Optional[_Iterable[str]] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("field", "subject", "values")
    class Field(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FIELD_UNSPECIFIED: _ClassVar[Series.Field]
        CPU_USED_MILLIS: _ClassVar[Series.Field]
        MEMORY_USED_BYTES: _ClassVar[Series.Field]
        MEMORY_TOTAL_BYTES: _ClassVar[Series.Field]
        LOAD_1M: _ClassVar[Series.Field]
        IO_READ_BYTES_PER_SECOND: _ClassVar[Series.Field]
        IO_WRITE_BYTES_PER_SECOND: _ClassVar[Series.Field]
        NETWORK_RECEIVE_BYTES_PER_SECOND: _ClassVar[Series.Field]
        NETWORK_SEND_BYTES_PER_SECOND: _ClassVar[Series.Field]
        GPU_TEMPERATURE_CELSIUS: _ClassVar[Series.Field]
        GPU_POWER_WATTS: _ClassVar[Series.Field]
        GPU_POWER_LIMIT_WATTS: _ClassVar[Series.Field]
        GPU_UTILIZATION_PERCENT: _ClassVar[Series.Field]
        GPU_MEMORY_USED_BYTES: _ClassVar[Series.Field]
        GPU_MEMORY_TOTAL_BYTES: _ClassVar[Series.Field]
        GPU_SM_CLOCK_MHZ: _ClassVar[Series.Field]
        GPU_MEMORY_CLOCK_MHZ: _ClassVar[Series.Field]
        GPU_HEALTHY: _ClassVar[Series.Field]
        GPU_MEMORY_TEMPERATURE_CELSIUS: _ClassVar[Series.Field]
        GPU_ENERGY_JOULES: _ClassVar[Series.Field]
        GPU_THROTTLE_REASONS: _ClassVar[Series.Field]
    FIELD_UNSPECIFIED: Series.Field
    CPU_USED_MILLIS: Series.Field
    MEMORY_USED_BYTES: Series.Field
    MEMORY_TOTAL_BYTES: Series.Field
    LOAD_1M: Series.Field
    IO_READ_BYTES_PER_SECOND: Series.Field
    IO_WRITE_BYTES_PER_SECOND: Series.Field
    NETWORK_RECEIVE_BYTES_PER_SECOND: Series.Field
    NETWORK_SEND_BYTES_PER_SECOND: Series.Field
    GPU_TEMPERATURE_CELSIUS: Series.Field
    GPU_POWER_WATTS: Series.Field
    GPU_POWER_LIMIT_WATTS: Series.Field
    GPU_UTILIZATION_PERCENT: Series.Field
    GPU_MEMORY_USED_BYTES: Series.Field
    GPU_MEMORY_TOTAL_BYTES: Series.Field
    GPU_SM_CLOCK_MHZ: Series.Field
    GPU_MEMORY_CLOCK_MHZ: Series.Field
    GPU_HEALTHY: Series.Field
    GPU_MEMORY_TEMPERATURE_CELSIUS: Series.Field
    GPU_ENERGY_JOULES: Series.Field
    GPU_THROTTLE_REASONS: Series.Field
    FIELD_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    field: Series.Field
    subject: str
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, field: _Optional[_Union[Series.Field, str]] = ..., subject: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class GpuProcessSample(_message.Message):
    __slots__ = ("gpu_uuid", "pid", "memory_used_bytes", "run_id", "name")
    GPU_UUID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    gpu_uuid: str
    pid: int
    memory_used_bytes: int
    run_id: str
    name: str
    def __init__(self, gpu_uuid: _Optional[str] = ..., pid: _Optional[int] = ..., memory_used_bytes: _Optional[int] = ..., run_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class LogBatch(_message.Message):
    __slots__ = ("run_id", "epoch", "position", "frames", "lost")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    position: int
    frames: bytes
    lost: str
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., position: _Optional[int] = ..., frames: _Optional[bytes] = ..., lost: _Optional[str] = ...) -> None: ...

class LogAck(_message.Message):
    __slots__ = ("run_id", "position")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    position: int
    def __init__(self, run_id: _Optional[str] = ..., position: _Optional[int] = ...) -> None: ...
