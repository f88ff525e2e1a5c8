import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.jobs.v1 import job_array_pb2 as _job_array_pb2
from windlass.jobs.v1 import job_content_pb2 as _job_content_pb2
from windlass.jobs.v1 import job_forecast_pb2 as _job_forecast_pb2
from windlass.jobs.v1 import job_notification_pb2 as _job_notification_pb2
from windlass.jobs.v1 import job_retry_pb2 as _job_retry_pb2
from windlass.jobs.v1 import job_spread_pb2 as _job_spread_pb2
from windlass.jobs.v1 import job_template_pb2 as _job_template_pb2
from windlass.jobs.v1 import job_view_pb2 as _job_view_pb2
from windlass.types.v1 import topology_pb2 as _topology_pb2
from windlass.types.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Job(_message.Message):
    __slots__ = ("job_id", "project", "name", "labels", "queue", "priority", "command", "environment", "resources", "time_limit", "grace_period", "min_isolation", "pool", "start_after", "dependencies", "nodes", "min_nodes", "topology", "exclusive_node", "gpu_types", "constraints", "annotations", "retry", "array", "deadline", "preemptible", "debug_mode", "spread", "script", "source", "python", "notifications", "template", "reservation_id", "status", "status_reason", "status_message", "exit_code", "exit_signal", "user", "create_time", "start_time", "end_time", "attempt", "placement", "isolation", "etag", "placements", "checkpoint", "retry_of", "root_job_id", "array_status", "array_job_id", "array_index", "frozen", "next_attempt_time", "effective_priority", "priority_message", "conditions", "cost", "lineage", "ranks", "forecast")
    class View(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VIEW_UNSPECIFIED: _ClassVar[Job.View]
        BASIC: _ClassVar[Job.View]
        FULL: _ClassVar[Job.View]
    VIEW_UNSPECIFIED: Job.View
    BASIC: Job.View
    FULL: Job.View
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Job.Status]
        QUEUED: _ClassVar[Job.Status]
        SCHEDULED: _ClassVar[Job.Status]
        RUNNING: _ClassVar[Job.Status]
        CANCELLING: _ClassVar[Job.Status]
        SUCCEEDED: _ClassVar[Job.Status]
        FAILED: _ClassVar[Job.Status]
        CANCELLED: _ClassVar[Job.Status]
        TIMED_OUT: _ClassVar[Job.Status]
        OUT_OF_MEMORY: _ClassVar[Job.Status]
        SUSPENDED: _ClassVar[Job.Status]
        SUSPENDING: _ClassVar[Job.Status]
        DEADLINE_EXCEEDED: _ClassVar[Job.Status]
    STATUS_UNSPECIFIED: Job.Status
    QUEUED: Job.Status
    SCHEDULED: Job.Status
    RUNNING: Job.Status
    CANCELLING: Job.Status
    SUCCEEDED: Job.Status
    FAILED: Job.Status
    CANCELLED: Job.Status
    TIMED_OUT: Job.Status
    OUT_OF_MEMORY: Job.Status
    SUSPENDED: Job.Status
    SUSPENDING: Job.Status
    DEADLINE_EXCEEDED: Job.Status
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    MIN_ISOLATION_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    START_AFTER_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    MIN_NODES_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_NODE_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPES_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    PREEMPTIBLE_FIELD_NUMBER: _ClassVar[int]
    DEBUG_MODE_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    NOTIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_REASON_FIELD_NUMBER: _ClassVar[int]
    STATUS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    EXIT_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    RETRY_OF_FIELD_NUMBER: _ClassVar[int]
    ROOT_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ARRAY_STATUS_FIELD_NUMBER: _ClassVar[int]
    ARRAY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ARRAY_INDEX_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    project: str
    name: str
    labels: _containers.ScalarMap[str, str]
    queue: str
    priority: int
    command: _containers.RepeatedScalarFieldContainer[str]
    environment: Environment
    resources: _types_pb2.ResourceRequest
    time_limit: _duration_pb2.Duration
    grace_period: _duration_pb2.Duration
    min_isolation: _types_pb2.Isolation.Level
    pool: str
    start_after: _timestamp_pb2.Timestamp
    dependencies: _containers.RepeatedCompositeFieldContainer[Dependency]
    nodes: int
    min_nodes: int
    topology: _topology_pb2.Topology
    exclusive_node: bool
    gpu_types: _containers.RepeatedScalarFieldContainer[str]
    constraints: Constraints
    annotations: _containers.ScalarMap[str, str]
    retry: _job_retry_pb2.RetryPolicy
    array: _job_array_pb2.JobArray
    deadline: _timestamp_pb2.Timestamp
    preemptible: bool
    debug_mode: bool
    spread: _job_spread_pb2.Spread
    script: str
    source: _job_content_pb2.JobSource
    python: _job_content_pb2.PythonEnvironment
    notifications: _containers.RepeatedCompositeFieldContainer[_job_notification_pb2.JobNotification]
    template: _job_template_pb2.TemplateUse
    reservation_id: str
    status: Job.Status
    status_reason: str
    status_message: str
    exit_code: int
    exit_signal: int
    user: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    attempt: int
    placement: Placement
    isolation: _types_pb2.Isolation
    etag: str
    placements: _containers.RepeatedCompositeFieldContainer[Placement]
    checkpoint: Checkpoint
    retry_of: str
    root_job_id: str
    array_status: _job_array_pb2.ArrayStatus
    array_job_id: str
    array_index: int
    frozen: bool
    next_attempt_time: _timestamp_pb2.Timestamp
    effective_priority: int
    priority_message: str
    conditions: _containers.RepeatedCompositeFieldContainer[_job_view_pb2.JobCondition]
    cost: _job_view_pb2.JobCost
    lineage: _job_view_pb2.JobLineage
    ranks: _containers.RepeatedCompositeFieldContainer[_job_view_pb2.JobRank]
    forecast: _job_forecast_pb2.Forecast
    def __init__(self, job_id: _Optional[str] = ..., project: _Optional[str] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., queue: _Optional[str] = ..., priority: _Optional[int] = ..., command: _Optional[_Iterable[str]] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., resources: _Optional[_Union[_types_pb2.ResourceRequest, _Mapping]] = ..., time_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., grace_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., min_isolation: _Optional[_Union[_types_pb2.Isolation.Level, str]] = ..., pool: _Optional[str] = ..., start_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dependencies: _Optional[_Iterable[_Union[Dependency, _Mapping]]] = ..., nodes: _Optional[int] = ..., min_nodes: _Optional[int] = ..., topology: _Optional[_Union[_topology_pb2.Topology, _Mapping]] = ..., exclusive_node: _Optional[bool] = ..., gpu_types: _Optional[_Iterable[str]] = ..., constraints: _Optional[_Union[Constraints, _Mapping]] = ..., annotations: _Optional[_Mapping[str, str]] = ..., retry: _Optional[_Union[_job_retry_pb2.RetryPolicy, _Mapping]] = ..., array: _Optional[_Union[_job_array_pb2.JobArray, _Mapping]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., preemptible: _Optional[bool] = ..., debug_mode: _Optional[bool] = ..., spread: _Optional[_Union[_job_spread_pb2.Spread, _Mapping]] = ..., script: _Optional[str] = ..., source: _Optional[_Union[_job_content_pb2.JobSource, _Mapping]] = ..., python: _Optional[_Union[_job_content_pb2.PythonEnvironment, _Mapping]] = ..., notifications: _Optional[_Iterable[_Union[_job_notification_pb2.JobNotification, _Mapping]]] = ..., template: _Optional[_Union[_job_template_pb2.TemplateUse, _Mapping]] = ..., reservation_id: _Optional[str] = ..., status: _Optional[_Union[Job.Status, str]] = ..., status_reason: _Optional[str] = ..., status_message: _Optional[str] = ..., exit_code: _Optional[int] = ..., exit_signal: _Optional[int] = ..., user: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., placement: _Optional[_Union[Placement, _Mapping]] = ..., isolation: _Optional[_Union[_types_pb2.Isolation, _Mapping]] = ..., etag: _Optional[str] = ..., placements: _Optional[_Iterable[_Union[Placement, _Mapping]]] = ..., checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ..., retry_of: _Optional[str] = ..., root_job_id: _Optional[str] = ..., array_status: _Optional[_Union[_job_array_pb2.ArrayStatus, _Mapping]] = ..., array_job_id: _Optional[str] = ..., array_index: _Optional[int] = ..., frozen: _Optional[bool] = ..., next_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., effective_priority: _Optional[int] = ..., priority_message: _Optional[str] = ..., conditions: _Optional[_Iterable[_Union[_job_view_pb2.JobCondition, _Mapping]]] = ..., cost: _Optional[_Union[_job_view_pb2.JobCost, _Mapping]] = ..., lineage: _Optional[_Union[_job_view_pb2.JobLineage, _Mapping]] = ..., ranks: _Optional[_Iterable[_Union[_job_view_pb2.JobRank, _Mapping]]] = ..., forecast: _Optional[_Union[_job_forecast_pb2.Forecast, _Mapping]] = ...) -> None: ...

class Constraints(_message.Message):
    __slots__ = ("node_labels",)
    NODE_LABELS_FIELD_NUMBER: _ClassVar[int]
    node_labels: _containers.RepeatedCompositeFieldContainer[NodeLabelRule]
    def __init__(self, node_labels: _Optional[_Iterable[_Union[NodeLabelRule, _Mapping]]] = ...) -> None: ...

class NodeLabelRule(_message.Message):
    __slots__ = ("key", "operator", "values", "preferred")
    class Operator(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OPERATOR_UNSPECIFIED: _ClassVar[NodeLabelRule.Operator]
        IN: _ClassVar[NodeLabelRule.Operator]
        NOT_IN: _ClassVar[NodeLabelRule.Operator]
        EXISTS: _ClassVar[NodeLabelRule.Operator]
        ABSENT: _ClassVar[NodeLabelRule.Operator]
    OPERATOR_UNSPECIFIED: NodeLabelRule.Operator
    IN: NodeLabelRule.Operator
    NOT_IN: NodeLabelRule.Operator
    EXISTS: NodeLabelRule.Operator
    ABSENT: NodeLabelRule.Operator
    KEY_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_FIELD_NUMBER: _ClassVar[int]
    key: str
    operator: NodeLabelRule.Operator
    values: _containers.RepeatedScalarFieldContainer[str]
    preferred: bool
    def __init__(self, key: _Optional[str] = ..., operator: _Optional[_Union[NodeLabelRule.Operator, str]] = ..., values: _Optional[_Iterable[str]] = ..., preferred: _Optional[bool] = ...) -> None: ...

class Dependency(_message.Message):
    __slots__ = ("job_id", "type", "follow_retries")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[Dependency.Type]
        AFTER: _ClassVar[Dependency.Type]
        AFTER_OK: _ClassVar[Dependency.Type]
        AFTER_NOT_OK: _ClassVar[Dependency.Type]
        AFTER_ANY: _ClassVar[Dependency.Type]
        SINGLETON: _ClassVar[Dependency.Type]
    TYPE_UNSPECIFIED: Dependency.Type
    AFTER: Dependency.Type
    AFTER_OK: Dependency.Type
    AFTER_NOT_OK: Dependency.Type
    AFTER_ANY: Dependency.Type
    SINGLETON: Dependency.Type
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_RETRIES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    type: Dependency.Type
    follow_retries: bool
    def __init__(self, job_id: _Optional[str] = ..., type: _Optional[_Union[Dependency.Type, str]] = ..., follow_retries: _Optional[bool] = ...) -> None: ...

class Environment(_message.Message):
    __slots__ = ("variables", "working_directory", "secrets")
    class VariablesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: SecretReference
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[SecretReference, _Mapping]] = ...) -> None: ...
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    variables: _containers.ScalarMap[str, str]
    working_directory: str
    secrets: _containers.MessageMap[str, SecretReference]
    def __init__(self, variables: _Optional[_Mapping[str, str]] = ..., working_directory: _Optional[str] = ..., secrets: _Optional[_Mapping[str, SecretReference]] = ...) -> None: ...

class SecretReference(_message.Message):
    __slots__ = ("name", "version", "file")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    file: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., file: _Optional[bool] = ...) -> None: ...

class Placement(_message.Message):
    __slots__ = ("run_id", "node_id", "gpu_uuids", "rank", "host", "master_port", "cluster", "remote_job_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    GPU_UUIDS_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    MASTER_PORT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    REMOTE_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    node_id: str
    gpu_uuids: _containers.RepeatedScalarFieldContainer[str]
    rank: int
    host: str
    master_port: int
    cluster: str
    remote_job_id: str
    def __init__(self, run_id: _Optional[str] = ..., node_id: _Optional[str] = ..., gpu_uuids: _Optional[_Iterable[str]] = ..., rank: _Optional[int] = ..., host: _Optional[str] = ..., master_port: _Optional[int] = ..., cluster: _Optional[str] = ..., remote_job_id: _Optional[str] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("checkpoint_id", "run_id", "attempt", "size_bytes", "entry_count", "create_time", "state")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Checkpoint.State]
        SAVING: _ClassVar[Checkpoint.State]
        SAVED: _ClassVar[Checkpoint.State]
    STATE_UNSPECIFIED: Checkpoint.State
    SAVING: Checkpoint.State
    SAVED: Checkpoint.State
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ENTRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    run_id: str
    attempt: int
    size_bytes: int
    entry_count: int
    create_time: _timestamp_pb2.Timestamp
    state: Checkpoint.State
    def __init__(self, checkpoint_id: _Optional[str] = ..., run_id: _Optional[str] = ..., attempt: _Optional[int] = ..., size_bytes: _Optional[int] = ..., entry_count: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[Checkpoint.State, str]] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("sequence", "job_id", "time", "actor", "status", "reason", "message", "run_id")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    job_id: str
    time: _timestamp_pb2.Timestamp
    actor: str
    status: Job.Status
    reason: str
    message: str
    run_id: str
    def __init__(self, sequence: _Optional[int] = ..., job_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., status: _Optional[_Union[Job.Status, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class JobLogMessage(_message.Message):
    __slots__ = ("cursor", "chunk", "heartbeat", "end", "error")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    chunk: LogChunk
    heartbeat: LogHeartbeat
    end: LogEnd
    error: LogError
    def __init__(self, cursor: _Optional[str] = ..., chunk: _Optional[_Union[LogChunk, _Mapping]] = ..., heartbeat: _Optional[_Union[LogHeartbeat, _Mapping]] = ..., end: _Optional[_Union[LogEnd, _Mapping]] = ..., error: _Optional[_Union[LogError, _Mapping]] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("stream", "time", "run_id", "text", "data", "rank")
    class Stream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STREAM_UNSPECIFIED: _ClassVar[LogChunk.Stream]
        STDOUT: _ClassVar[LogChunk.Stream]
        STDERR: _ClassVar[LogChunk.Stream]
    STREAM_UNSPECIFIED: LogChunk.Stream
    STDOUT: LogChunk.Stream
    STDERR: LogChunk.Stream
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    stream: LogChunk.Stream
    time: _timestamp_pb2.Timestamp
    run_id: str
    text: str
    data: bytes
    rank: int
    def __init__(self, stream: _Optional[_Union[LogChunk.Stream, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., run_id: _Optional[str] = ..., text: _Optional[str] = ..., data: _Optional[bytes] = ..., rank: _Optional[int] = ...) -> None: ...

class LogHeartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LogEnd(_message.Message):
    __slots__ = ("status", "exit_code", "incomplete")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    status: Job.Status
    exit_code: int
    incomplete: _containers.RepeatedCompositeFieldContainer[IncompleteLog]
    def __init__(self, status: _Optional[_Union[Job.Status, str]] = ..., exit_code: _Optional[int] = ..., incomplete: _Optional[_Iterable[_Union[IncompleteLog, _Mapping]]] = ...) -> None: ...

class IncompleteLog(_message.Message):
    __slots__ = ("run_id", "reason", "message")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    reason: str
    message: str
    def __init__(self, run_id: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class LogError(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
