import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from windlass.jobs.v1 import artifact_pb2 as _artifact_pb2
from windlass.jobs.v1 import job_pb2 as _job_pb2
from windlass.jobs.v1 import job_array_indices_pb2 as _job_array_indices_pb2
from windlass.jobs.v1 import job_batch_pb2 as _job_batch_pb2
from windlass.jobs.v1 import job_forecast_pb2 as _job_forecast_pb2
from windlass.jobs.v1 import job_metrics_pb2 as _job_metrics_pb2
from windlass.jobs.v1 import source_pb2 as _source_pb2
from windlass.jobs.v1 import job_profile_pb2 as _job_profile_pb2
from windlass.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitJobRequest(_message.Message):
    __slots__ = ("job", "request_id", "validate_only")
    JOB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    request_id: str
    validate_only: bool
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id", "view")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    view: _job_pb2.Job.View
    def __init__(self, job_id: _Optional[str] = ..., view: _Optional[_Union[_job_pb2.Job.View, str]] = ...) -> None: ...

class ExplainJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ExplainJobResponse(_message.Message):
    __slots__ = ("job_id", "status", "forecast")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    status: _job_pb2.Job.Status
    forecast: _job_forecast_pb2.Forecast
    def __init__(self, job_id: _Optional[str] = ..., status: _Optional[_Union[_job_pb2.Job.Status, str]] = ..., forecast: _Optional[_Union[_job_forecast_pb2.Forecast, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("project", "status", "queue", "user", "name", "labels", "created_after", "created_before", "page_size", "page_token", "filter", "order_by", "view", "array_job_id")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    ARRAY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    project: str
    status: _containers.RepeatedScalarFieldContainer[_job_pb2.Job.Status]
    queue: str
    user: str
    name: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    filter: str
    order_by: str
    view: _job_pb2.Job.View
    array_job_id: str
    def __init__(self, project: _Optional[str] = ..., status: _Optional[_Iterable[_Union[_job_pb2.Job.Status, str]]] = ..., queue: _Optional[str] = ..., user: _Optional[str] = ..., name: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ..., order_by: _Optional[str] = ..., view: _Optional[_Union[_job_pb2.Job.View, str]] = ..., array_job_id: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateJobStatusRequest(_message.Message):
    __slots__ = ("job_id", "action", "reason", "force", "overrides", "mode", "request_id", "update_mask", "from_scratch")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[UpdateJobStatusRequest.Action]
        CANCEL: _ClassVar[UpdateJobStatusRequest.Action]
        RETRY: _ClassVar[UpdateJobStatusRequest.Action]
        HOLD: _ClassVar[UpdateJobStatusRequest.Action]
        RELEASE: _ClassVar[UpdateJobStatusRequest.Action]
        SUSPEND: _ClassVar[UpdateJobStatusRequest.Action]
        RESUME: _ClassVar[UpdateJobStatusRequest.Action]
    ACTION_UNSPECIFIED: UpdateJobStatusRequest.Action
    CANCEL: UpdateJobStatusRequest.Action
    RETRY: UpdateJobStatusRequest.Action
    HOLD: UpdateJobStatusRequest.Action
    RELEASE: UpdateJobStatusRequest.Action
    SUSPEND: UpdateJobStatusRequest.Action
    RESUME: UpdateJobStatusRequest.Action
    class SuspendMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SUSPEND_MODE_UNSPECIFIED: _ClassVar[UpdateJobStatusRequest.SuspendMode]
        EVICT: _ClassVar[UpdateJobStatusRequest.SuspendMode]
        FREEZE: _ClassVar[UpdateJobStatusRequest.SuspendMode]
    SUSPEND_MODE_UNSPECIFIED: UpdateJobStatusRequest.SuspendMode
    EVICT: UpdateJobStatusRequest.SuspendMode
    FREEZE: UpdateJobStatusRequest.SuspendMode
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    FROM_SCRATCH_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    action: UpdateJobStatusRequest.Action
    reason: str
    force: bool
    overrides: _job_pb2.Job
    mode: UpdateJobStatusRequest.SuspendMode
    request_id: str
    update_mask: _field_mask_pb2.FieldMask
    from_scratch: bool
    def __init__(self, job_id: _Optional[str] = ..., action: _Optional[_Union[UpdateJobStatusRequest.Action, str]] = ..., reason: _Optional[str] = ..., force: _Optional[bool] = ..., overrides: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., mode: _Optional[_Union[UpdateJobStatusRequest.SuspendMode, str]] = ..., request_id: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., from_scratch: _Optional[bool] = ...) -> None: ...

class UpdateJobStatusesRequest(_message.Message):
    __slots__ = ("filter", "action", "reason", "force", "validate_only")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    filter: ListJobsRequest
    action: UpdateJobStatusRequest.Action
    reason: str
    force: bool
    validate_only: bool
    def __init__(self, filter: _Optional[_Union[ListJobsRequest, _Mapping]] = ..., action: _Optional[_Union[UpdateJobStatusRequest.Action, str]] = ..., reason: _Optional[str] = ..., force: _Optional[bool] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class UpdateJobStatusesResponse(_message.Message):
    __slots__ = ("outcomes", "done_count", "refused_count", "next_page_token")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    DONE_COUNT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[JobOutcome]
    done_count: int
    refused_count: int
    next_page_token: str
    def __init__(self, outcomes: _Optional[_Iterable[_Union[JobOutcome, _Mapping]]] = ..., done_count: _Optional[int] = ..., refused_count: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class JobOutcome(_message.Message):
    __slots__ = ("job_id", "previous_status", "status", "retry_job_id", "error_reason", "error_message")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RETRY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    previous_status: _job_pb2.Job.Status
    status: _job_pb2.Job.Status
    retry_job_id: str
    error_reason: str
    error_message: str
    def __init__(self, job_id: _Optional[str] = ..., previous_status: _Optional[_Union[_job_pb2.Job.Status, str]] = ..., status: _Optional[_Union[_job_pb2.Job.Status, str]] = ..., retry_job_id: _Optional[str] = ..., error_reason: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("job_id", "reason", "force")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    reason: str
    force: bool
    def __init__(self, job_id: _Optional[str] = ..., reason: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class StreamJobLogsRequest(_message.Message):
    __slots__ = ("job_id", "follow", "tail", "stream", "cursor", "rank", "since", "until", "grep", "grep_ignore_case", "grep_fixed")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    GREP_FIELD_NUMBER: _ClassVar[int]
    GREP_IGNORE_CASE_FIELD_NUMBER: _ClassVar[int]
    GREP_FIXED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    follow: bool
    tail: int
    stream: _job_pb2.LogChunk.Stream
    cursor: str
    rank: int
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    grep: str
    grep_ignore_case: bool
    grep_fixed: bool
    def __init__(self, job_id: _Optional[str] = ..., follow: _Optional[bool] = ..., tail: _Optional[int] = ..., stream: _Optional[_Union[_job_pb2.LogChunk.Stream, str]] = ..., cursor: _Optional[str] = ..., rank: _Optional[int] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., grep: _Optional[str] = ..., grep_ignore_case: _Optional[bool] = ..., grep_fixed: _Optional[bool] = ...) -> None: ...

class ListJobCheckpointsRequest(_message.Message):
    __slots__ = ("job_id", "page_size", "page_token")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    page_size: int
    page_token: str
    def __init__(self, job_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobCheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints", "next_page_token")
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[_job_pb2.Checkpoint]
    next_page_token: str
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[_job_pb2.Checkpoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DownloadJobCheckpointRequest(_message.Message):
    __slots__ = ("job_id", "checkpoint_id")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    checkpoint_id: str
    def __init__(self, job_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ...) -> None: ...

class ListJobEventsRequest(_message.Message):
    __slots__ = ("job_id", "page_size", "page_token")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    page_size: int
    page_token: str
    def __init__(self, job_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_job_pb2.JobEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[_job_pb2.JobEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
