import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Price(_message.Message):
    __slots__ = ("price_id", "resource", "gpu_type", "amount", "currency", "start_time", "user", "create_time")
    class Resource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RESOURCE_UNSPECIFIED: _ClassVar[Price.Resource]
        GPU: _ClassVar[Price.Resource]
        CPU: _ClassVar[Price.Resource]
        MEMORY: _ClassVar[Price.Resource]
    RESOURCE_UNSPECIFIED: Price.Resource
    GPU: Price.Resource
    CPU: Price.Resource
    MEMORY: Price.Resource
    PRICE_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    GPU_TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    price_id: str
    resource: Price.Resource
    gpu_type: str
    amount: str
    currency: str
    start_time: _timestamp_pb2.Timestamp
    user: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, price_id: _Optional[str] = ..., resource: _Optional[_Union[Price.Resource, str]] = ..., gpu_type: _Optional[str] = ..., amount: _Optional[str] = ..., currency: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
