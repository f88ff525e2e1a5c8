import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.types.v1 import gpu_pb2 as _gpu_pb2
from windlass.types.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Node(_message.Message):
    __slots__ = ("node_id", "name", "status", "status_reason", "status_message", "labels", "capacity", "available", "gpus", "host", "isolation", "agent_version", "boot_id", "create_time", "last_seen_time", "runs", "gpu_driver_version", "maintenance", "conditions", "gpu_driver", "cluster", "zone", "pool_id", "allocatable", "cards")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Node.Status]
        READY: _ClassVar[Node.Status]
        UNREACHABLE: _ClassVar[Node.Status]
        CORDONED: _ClassVar[Node.Status]
        DRAINING: _ClassVar[Node.Status]
        DRAINED: _ClassVar[Node.Status]
    STATUS_UNSPECIFIED: Node.Status
    READY: Node.Status
    UNREACHABLE: Node.Status
    CORDONED: Node.Status
    DRAINING: Node.Status
    DRAINED: Node.Status
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_REASON_FIELD_NUMBER: _ClassVar[int]
    STATUS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    GPU_DRIVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    GPU_DRIVER_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOCATABLE_FIELD_NUMBER: _ClassVar[int]
    CARDS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    name: str
    status: Node.Status
    status_reason: str
    status_message: str
    labels: _containers.ScalarMap[str, str]
    capacity: Capacity
    available: Capacity
    gpus: _containers.RepeatedCompositeFieldContainer[Gpu]
    host: HostMetrics
    isolation: _types_pb2.Isolation
    agent_version: str
    boot_id: str
    create_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    runs: _containers.RepeatedCompositeFieldContainer[NodeRun]
    gpu_driver_version: str
    maintenance: Maintenance
    conditions: _containers.RepeatedCompositeFieldContainer[NodeCondition]
    gpu_driver: GpuDriver
    cluster: str
    zone: str
    pool_id: str
    allocatable: Capacity
    cards: _containers.RepeatedCompositeFieldContainer[GpuCard]
    def __init__(self, node_id: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[_Union[Node.Status, str]] = ..., status_reason: _Optional[str] = ..., status_message: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., capacity: _Optional[_Union[Capacity, _Mapping]] = ..., available: _Optional[_Union[Capacity, _Mapping]] = ..., gpus: _Optional[_Iterable[_Union[Gpu, _Mapping]]] = ..., host: _Optional[_Union[HostMetrics, _Mapping]] = ..., isolation: _Optional[_Union[_types_pb2.Isolation, _Mapping]] = ..., agent_version: _Optional[str] = ..., boot_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., runs: _Optional[_Iterable[_Union[NodeRun, _Mapping]]] = ..., gpu_driver_version: _Optional[str] = ..., maintenance: _Optional[_Union[Maintenance, _Mapping]] = ..., conditions: _Optional[_Iterable[_Union[NodeCondition, _Mapping]]] = ..., gpu_driver: _Optional[_Union[GpuDriver, _Mapping]] = ..., cluster: _Optional[str] = ..., zone: _Optional[str] = ..., pool_id: _Optional[str] = ..., allocatable: _Optional[_Union[Capacity, _Mapping]] = ..., cards: _Optional[_Iterable[_Union[GpuCard, _Mapping]]] = ...) -> None: ...

class Maintenance(_message.Message):
    __slots__ = ("state", "reason", "actor", "start_time", "mode", "deadline_time", "runs_at_start", "runs_left", "estimated_end_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Maintenance.State]
        OPEN: _ClassVar[Maintenance.State]
        CORDONED: _ClassVar[Maintenance.State]
        DRAINING: _ClassVar[Maintenance.State]
        DRAINED: _ClassVar[Maintenance.State]
    STATE_UNSPECIFIED: Maintenance.State
    OPEN: Maintenance.State
    CORDONED: Maintenance.State
    DRAINING: Maintenance.State
    DRAINED: Maintenance.State
    class DrainMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DRAIN_MODE_UNSPECIFIED: _ClassVar[Maintenance.DrainMode]
        WAIT: _ClassVar[Maintenance.DrainMode]
        CHECKPOINT_REQUEUE: _ClassVar[Maintenance.DrainMode]
        FORCE: _ClassVar[Maintenance.DrainMode]
    DRAIN_MODE_UNSPECIFIED: Maintenance.DrainMode
    WAIT: Maintenance.DrainMode
    CHECKPOINT_REQUEUE: Maintenance.DrainMode
    FORCE: Maintenance.DrainMode
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_FIELD_NUMBER: _ClassVar[int]
    RUNS_AT_START_FIELD_NUMBER: _ClassVar[int]
    RUNS_LEFT_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_END_TIME_FIELD_NUMBER: _ClassVar[int]
    state: Maintenance.State
    reason: str
    actor: str
    start_time: _timestamp_pb2.Timestamp
    mode: Maintenance.DrainMode
    deadline_time: _timestamp_pb2.Timestamp
    runs_at_start: int
    runs_left: int
    estimated_end_time: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[_Union[Maintenance.State, str]] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mode: _Optional[_Union[Maintenance.DrainMode, str]] = ..., deadline_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., runs_at_start: _Optional[int] = ..., runs_left: _Optional[int] = ..., estimated_end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class NodeEvent(_message.Message):
    __slots__ = ("sequence", "node_id", "time", "actor", "status", "reason", "message")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    node_id: str
    time: _timestamp_pb2.Timestamp
    actor: str
    status: Node.Status
    reason: str
    message: str
    def __init__(self, sequence: _Optional[int] = ..., node_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., status: _Optional[_Union[Node.Status, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Capacity(_message.Message):
    __slots__ = ("cpu_millis", "memory_bytes", "gpu_count")
    CPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    cpu_millis: int
    memory_bytes: int
    gpu_count: int
    def __init__(self, cpu_millis: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., gpu_count: _Optional[int] = ...) -> None: ...

class GpuCard(_message.Message):
    __slots__ = ("uuid", "gpu_type", "divided", "may_be_divided", "profiles", "instances", "layout_state", "layout", "layout_message", "layout_time")
    class LayoutState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LAYOUT_STATE_UNSPECIFIED: _ClassVar[GpuCard.LayoutState]
        CHANGING: _ClassVar[GpuCard.LayoutState]
        DONE: _ClassVar[GpuCard.LayoutState]
        FAILED: _ClassVar[GpuCard.LayoutState]
    LAYOUT_STATE_UNSPECIFIED: GpuCard.LayoutState
    CHANGING: GpuCard.LayoutState
    DONE: GpuCard.LayoutState
    FAILED: GpuCard.LayoutState
    class Profile(_message.Message):
        __slots__ = ("name", "compute_slices", "memory_slices", "memory_bytes", "max_instances")
        NAME_FIELD_NUMBER: _ClassVar[int]
        COMPUTE_SLICES_FIELD_NUMBER: _ClassVar[int]
        MEMORY_SLICES_FIELD_NUMBER: _ClassVar[int]
        MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
        MAX_INSTANCES_FIELD_NUMBER: _ClassVar[int]
        name: str
        compute_slices: int
        memory_slices: int
        memory_bytes: int
        max_instances: int
        def __init__(self, name: _Optional[str] = ..., compute_slices: _Optional[int] = ..., memory_slices: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., max_instances: _Optional[int] = ...) -> None: ...
    class Instance(_message.Message):
        __slots__ = ("profile", "memory_start", "uuid")
        PROFILE_FIELD_NUMBER: _ClassVar[int]
        MEMORY_START_FIELD_NUMBER: _ClassVar[int]
        UUID_FIELD_NUMBER: _ClassVar[int]
        profile: str
        memory_start: int
        uuid: str
        def __init__(self, profile: _Optional[str] = ..., memory_start: _Optional[int] = ..., uuid: _Optional[str] = ...) -> None: ...
    UUID_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    DIVIDED_FIELD_NUMBER: _ClassVar[int]
    MAY_BE_DIVIDED_FIELD_NUMBER: _ClassVar[int]
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_STATE_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_TIME_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    gpu_type: str
    divided: bool
    may_be_divided: bool
    profiles: _containers.RepeatedCompositeFieldContainer[GpuCard.Profile]
    instances: _containers.RepeatedCompositeFieldContainer[GpuCard.Instance]
    layout_state: GpuCard.LayoutState
    layout: _containers.RepeatedCompositeFieldContainer[GpuCard.Instance]
    layout_message: str
    layout_time: _timestamp_pb2.Timestamp
    def __init__(self, uuid: _Optional[str] = ..., gpu_type: _Optional[str] = ..., divided: _Optional[bool] = ..., may_be_divided: _Optional[bool] = ..., profiles: _Optional[_Iterable[_Union[GpuCard.Profile, _Mapping]]] = ..., instances: _Optional[_Iterable[_Union[GpuCard.Instance, _Mapping]]] = ..., layout_state: _Optional[_Union[GpuCard.LayoutState, str]] = ..., layout: _Optional[_Iterable[_Union[GpuCard.Instance, _Mapping]]] = ..., layout_message: _Optional[str] = ..., layout_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class NodeRun(_message.Message):
    __slots__ = ("run_id", "job_id", "gpu_uuids")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    GPU_UUIDS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    job_id: str
    gpu_uuids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run_id: _Optional[str] = ..., job_id: _Optional[str] = ..., gpu_uuids: _Optional[_Iterable[str]] = ...) -> None: ...

class Gpu(_message.Message):
    __slots__ = ("uuid", "index", "model", "gpu_type", "temperature_celsius", "power_watts", "power_limit_watts", "utilization_percent", "memory_total_bytes", "memory_used_bytes", "memory_free_bytes", "sm_clock_mhz", "memory_clock_mhz", "health", "health_message", "processes", "run_id", "sample_time", "allocation_id", "pci_bus_id", "nvlink_peers", "mig_mode", "compute_capability", "slowdown_celsius", "memory_temperature_celsius", "energy_joules", "throttle_reasons", "health_reason", "health_time", "ecc_errors", "remapped_rows", "pcie_link", "faults", "mig_instance", "shares")
    class Health(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        HEALTH_UNSPECIFIED: _ClassVar[Gpu.Health]
        HEALTHY: _ClassVar[Gpu.Health]
        UNHEALTHY: _ClassVar[Gpu.Health]
        SUSPECT: _ClassVar[Gpu.Health]
        RECOVERING: _ClassVar[Gpu.Health]
    HEALTH_UNSPECIFIED: Gpu.Health
    HEALTHY: Gpu.Health
    UNHEALTHY: Gpu.Health
    SUSPECT: Gpu.Health
    RECOVERING: Gpu.Health
    UUID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    POWER_WATTS_FIELD_NUMBER: _ClassVar[int]
    POWER_LIMIT_WATTS_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SM_CLOCK_MHZ_FIELD_NUMBER: _ClassVar[int]
    MEMORY_CLOCK_MHZ_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    HEALTH_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_TIME_FIELD_NUMBER: _ClassVar[int]
    ALLOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    PCI_BUS_ID_FIELD_NUMBER: _ClassVar[int]
    NVLINK_PEERS_FIELD_NUMBER: _ClassVar[int]
    MIG_MODE_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    SLOWDOWN_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TEMPERATURE_CELSIUS_FIELD_NUMBER: _ClassVar[int]
    ENERGY_JOULES_FIELD_NUMBER: _ClassVar[int]
    THROTTLE_REASONS_FIELD_NUMBER: _ClassVar[int]
    HEALTH_REASON_FIELD_NUMBER: _ClassVar[int]
    HEALTH_TIME_FIELD_NUMBER: _ClassVar[int]
    ECC_ERRORS_FIELD_NUMBER: _ClassVar[int]
    REMAPPED_ROWS_FIELD_NUMBER: _ClassVar[int]
    PCIE_LINK_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    MIG_INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    uuid: str
    index: int
    model: str
    gpu_type: str
    temperature_celsius: float
    power_watts: float
    power_limit_watts: float
    utilization_percent: float
    memory_total_bytes: int
    memory_used_bytes: int
    memory_free_bytes: int
    sm_clock_mhz: float
    memory_clock_mhz: float
    health: Gpu.Health
    health_message: str
    processes: _containers.RepeatedCompositeFieldContainer[GpuProcess]
    run_id: str
    sample_time: _timestamp_pb2.Timestamp
    allocation_id: str
    pci_bus_id: str
    nvlink_peers: _containers.RepeatedScalarFieldContainer[str]
    mig_mode: _gpu_pb2.Mig.Mode
    compute_capability: str
    slowdown_celsius: int
    memory_temperature_celsius: float
    energy_joules: float
    throttle_reasons: _containers.RepeatedScalarFieldContainer[_gpu_pb2.Throttle.Reason]
    health_reason: str
    health_time: _timestamp_pb2.Timestamp
    ecc_errors: _gpu_pb2.EccErrors
    remapped_rows: _gpu_pb2.RemappedRows
    pcie_link: _gpu_pb2.PcieLink
    faults: _containers.RepeatedCompositeFieldContainer[GpuFault]
    mig_instance: _gpu_pb2.MigInstance
    shares: _containers.RepeatedCompositeFieldContainer[GpuShare]
    def __init__(self, uuid: _Optional[str] = ..., index: _Optional[int] = ..., model: _Optional[str] = ..., gpu_type: _Optional[str] = ..., temperature_celsius: _Optional[float] = ..., power_watts: _Optional[float] = ..., power_limit_watts: _Optional[float] = ..., utilization_percent: _Optional[float] = ..., memory_total_bytes: _Optional[int] = ..., memory_used_bytes: _Optional[int] = ..., memory_free_bytes: _Optional[int] = ..., sm_clock_mhz: _Optional[float] = ..., memory_clock_mhz: _Optional[float] = ..., health: _Optional[_Union[Gpu.Health, str]] = ..., health_message: _Optional[str] = ..., processes: _Optional[_Iterable[_Union[GpuProcess, _Mapping]]] = ..., run_id: _Optional[str] = ..., sample_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., allocation_id: _Optional[str] = ..., pci_bus_id: _Optional[str] = ..., nvlink_peers: _Optional[_Iterable[str]] = ..., mig_mode: _Optional[_Union[_gpu_pb2.Mig.Mode, str]] = ..., compute_capability: _Optional[str] = ..., slowdown_celsius: _Optional[int] = ..., memory_temperature_celsius: _Optional[float] = ..., energy_joules: _Optional[float] = ..., throttle_reasons: _Optional[_Iterable[_Union[_gpu_pb2.Throttle.Reason, str]]] = ..., health_reason: _Optional[str] = ..., health_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ecc_errors: _Optional[_Union[_gpu_pb2.EccErrors, _Mapping]] = ..., remapped_rows: _Optional[_Union[_gpu_pb2.RemappedRows, _Mapping]] = ..., pcie_link: _Optional[_Union[_gpu_pb2.PcieLink, _Mapping]] = ..., faults: _Optional[_Iterable[_Union[GpuFault, _Mapping]]] = ..., mig_instance: _Optional[_Union[_gpu_pb2.MigInstance, _Mapping]] = ..., shares: _Optional[_Iterable[_Union[GpuShare, _Mapping]]] = ...) -> None: ...

class GpuShare(_message.Message):
    __slots__ = ("run_id", "allocation_id", "gpu_millis")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    GPU_MILLIS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    allocation_id: str
    gpu_millis: int
    def __init__(self, run_id: _Optional[str] = ..., allocation_id: _Optional[str] = ..., gpu_millis: _Optional[int] = ...) -> None: ...

class GpuFault(_message.Message):
    __slots__ = ("kind", "xid", "message", "time", "action", "run_id", "job_id", "count")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[GpuFault.Action]
        IGNORE: _ClassVar[GpuFault.Action]
        RESTART_TASK: _ClassVar[GpuFault.Action]
        SUSPECT: _ClassVar[GpuFault.Action]
        RESET_GPU: _ClassVar[GpuFault.Action]
        DRAIN: _ClassVar[GpuFault.Action]
    ACTION_UNSPECIFIED: GpuFault.Action
    IGNORE: GpuFault.Action
    RESTART_TASK: GpuFault.Action
    SUSPECT: GpuFault.Action
    RESET_GPU: GpuFault.Action
    DRAIN: GpuFault.Action
    KIND_FIELD_NUMBER: _ClassVar[int]
    XID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    xid: int
    message: str
    time: _timestamp_pb2.Timestamp
    action: GpuFault.Action
    run_id: str
    job_id: str
    count: int
    def __init__(self, kind: _Optional[str] = ..., xid: _Optional[int] = ..., message: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., action: _Optional[_Union[GpuFault.Action, str]] = ..., run_id: _Optional[str] = ..., job_id: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class NodeCondition(_message.Message):
    __slots__ = ("type", "status", "reason", "message", "last_transition_time")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[NodeCondition.Status]
        TRUE: _ClassVar[NodeCondition.Status]
        FALSE: _ClassVar[NodeCondition.Status]
        UNKNOWN: _ClassVar[NodeCondition.Status]
    STATUS_UNSPECIFIED: NodeCondition.Status
    TRUE: NodeCondition.Status
    FALSE: NodeCondition.Status
    UNKNOWN: NodeCondition.Status
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_TRANSITION_TIME_FIELD_NUMBER: _ClassVar[int]
    type: str
    status: NodeCondition.Status
    reason: str
    message: str
    last_transition_time: _timestamp_pb2.Timestamp
    def __init__(self, type: _Optional[str] = ..., status: _Optional[_Union[NodeCondition.Status, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., last_transition_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GpuDriver(_message.Message):
    __slots__ = ("version", "cuda_version", "mig_capable", "can_reset_gpus")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CUDA_VERSION_FIELD_NUMBER: _ClassVar[int]
    MIG_CAPABLE_FIELD_NUMBER: _ClassVar[int]
    CAN_RESET_GPUS_FIELD_NUMBER: _ClassVar[int]
    version: str
    cuda_version: str
    mig_capable: bool
    can_reset_gpus: bool
    def __init__(self, version: _Optional[str] = ..., cuda_version: _Optional[str] = ..., mig_capable: _Optional[bool] = ..., can_reset_gpus: _Optional[bool] = ...) -> None: ...

class GpuProcess(_message.Message):
    __slots__ = ("pid", "memory_used_bytes", "run_id", "name")
    PID_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    pid: int
    memory_used_bytes: int
    run_id: str
    name: str
    def __init__(self, pid: _Optional[int] = ..., memory_used_bytes: _Optional[int] = ..., run_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class HostMetrics(_message.Message):
    __slots__ = ("cpu_used_millis", "memory_used_bytes", "memory_total_bytes", "load_1m", "sample_time")
    CPU_USED_MILLIS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_1M_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_TIME_FIELD_NUMBER: _ClassVar[int]
    cpu_used_millis: float
    memory_used_bytes: int
    memory_total_bytes: int
    load_1m: float
    sample_time: _timestamp_pb2.Timestamp
    def __init__(self, cpu_used_millis: _Optional[float] = ..., memory_used_bytes: _Optional[int] = ..., memory_total_bytes: _Optional[int] = ..., load_1m: _Optional[float] = ..., sample_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
