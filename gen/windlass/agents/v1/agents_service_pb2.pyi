from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from windlass.agents.v1 import agent_pb2 as _agent_pb2
from windlass.agents.v1 import artifact_pb2 as _artifact_pb2
from windlass.agents.v1 import checkpoint_pb2 as _checkpoint_pb2
from windlass.agents.v1 import preparation_pb2 as _preparation_pb2
from windlass.agents.v1 import profile_pb2 as _profile_pb2
from windlass.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JoinRequest(_message.Message):
    __slots__ = ("join_token", "public_key", "inventory")
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_FIELD_NUMBER: _ClassVar[int]
    join_token: str
    public_key: bytes
    inventory: _agent_pb2.Inventory
    def __init__(self, join_token: _Optional[str] = ..., public_key: _Optional[bytes] = ..., inventory: _Optional[_Union[_agent_pb2.Inventory, _Mapping]] = ...) -> None: ...

class JoinResponse(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class OpenSessionRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _agent_pb2.AgentMessage
    def __init__(self, message: _Optional[_Union[_agent_pb2.AgentMessage, _Mapping]] = ...) -> None: ...

class OpenSessionResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _agent_pb2.ServerMessage
    def __init__(self, message: _Optional[_Union[_agent_pb2.ServerMessage, _Mapping]] = ...) -> None: ...

class StreamTelemetryRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _agent_pb2.TelemetryMessage
    def __init__(self, message: _Optional[_Union[_agent_pb2.TelemetryMessage, _Mapping]] = ...) -> None: ...

class StreamTelemetryResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _agent_pb2.TelemetryReply
    def __init__(self, message: _Optional[_Union[_agent_pb2.TelemetryReply, _Mapping]] = ...) -> None: ...

class OfferCheckpointRequest(_message.Message):
    __slots__ = ("run_id", "epoch", "exit", "size_bytes", "entry_count")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ENTRY_COUNT_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    exit: _agent_pb2.RunExit
    size_bytes: int
    entry_count: int
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., exit: _Optional[_Union[_agent_pb2.RunExit, _Mapping]] = ..., size_bytes: _Optional[int] = ..., entry_count: _Optional[int] = ...) -> None: ...

class OfferCheckpointResponse(_message.Message):
    __slots__ = ("checkpoint_id",)
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    def __init__(self, checkpoint_id: _Optional[str] = ...) -> None: ...

class UploadCheckpointFileRequest(_message.Message):
    __slots__ = ("start", "data")
    START_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    start: CheckpointFileStart
    data: bytes
    def __init__(self, start: _Optional[_Union[CheckpointFileStart, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class CheckpointFileStart(_message.Message):
    __slots__ = ("checkpoint_id", "sha256", "size_bytes")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    sha256: bytes
    size_bytes: int
    def __init__(self, checkpoint_id: _Optional[str] = ..., sha256: _Optional[bytes] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class UploadCheckpointFileResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CommitCheckpointRequest(_message.Message):
    __slots__ = ("checkpoint_id", "manifest")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    manifest: _checkpoint_pb2.CheckpointManifest
    def __init__(self, checkpoint_id: _Optional[str] = ..., manifest: _Optional[_Union[_checkpoint_pb2.CheckpointManifest, _Mapping]] = ...) -> None: ...

class CommitCheckpointResponse(_message.Message):
    __slots__ = ("missing",)
    MISSING_FIELD_NUMBER: _ClassVar[int]
    missing: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, missing: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetCheckpointRequest(_message.Message):
    __slots__ = ("run_id", "epoch", "checkpoint_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    checkpoint_id: str
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., checkpoint_id: _Optional[str] = ...) -> None: ...

class GetCheckpointResponse(_message.Message):
    __slots__ = ("manifest",)
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    manifest: _checkpoint_pb2.CheckpointManifest
    def __init__(self, manifest: _Optional[_Union[_checkpoint_pb2.CheckpointManifest, _Mapping]] = ...) -> None: ...

class DownloadCheckpointFileRequest(_message.Message):
    __slots__ = ("run_id", "epoch", "checkpoint_id", "sha256", "offset")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    epoch: int
    checkpoint_id: str
    sha256: bytes
    offset: int
    def __init__(self, run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., checkpoint_id: _Optional[str] = ..., sha256: _Optional[bytes] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadCheckpointFileResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
