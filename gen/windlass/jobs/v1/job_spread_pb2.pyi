from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Spread(_message.Message):
    __slots__ = ("node_label", "job_label", "max_per_domain")
    NODE_LABEL_FIELD_NUMBER: _ClassVar[int]
    JOB_LABEL_FIELD_NUMBER: _ClassVar[int]
    MAX_PER_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    node_label: str
    job_label: str
    max_per_domain: int
    def __init__(self, node_label: _Optional[str] = ..., job_label: _Optional[str] = ..., max_per_domain: _Optional[int] = ...) -> None: ...
