from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from windlass.agents.v1 import agent_pb2 as _agent_pb2
from windlass.options.v1 import options_pb2 as _options_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
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
