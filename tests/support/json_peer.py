"""The gateway's JSON beside that of google.protobuf, over one descriptor set."""

import json
import random
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

from tests.support.random_messages import fill
from windlass_server.gateway.json_body import JsonReader
from windlass_server.gateway.json_print import DEFAULT_STYLE, JsonStyle, print_message
from windlass_server.gateway.schema import Schema
from windlass_server.gateway.transcoder import Transcoder


class Peers:
    """Both, by the names of messages.

    Attributes:
        pool: the peer's descriptors.
        registry: the gateway's.
    """

    def __init__(self, descriptors: bytes) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
            self.pool.Add(file)
        self.registry = Transcoder(descriptors).registry
        self._reader = JsonReader(Schema(self.registry))

    def type(self, name: str) -> Any:
        """The peer's class of a message."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def message(self, name: str, seed: int) -> Any:
        """A random message; the same for the same seed."""
        made = self.type(name)()
        fill(made, random.Random(f"{name} {seed}"))
        return made

    def theirs(self, message: Message, style: JsonStyle = DEFAULT_STYLE) -> Any:
        """The peer's JSON of its message, parsed."""
        return json_format.MessageToDict(
            message,
            always_print_fields_with_no_presence=style.defaults,
            preserving_proto_field_name=style.proto_names,
            descriptor_pool=self.pool,
        )

    def ours(self, message: Message, style: JsonStyle = DEFAULT_STYLE) -> Any:
        """The gateway's JSON of the peer's message, parsed."""
        return json.loads(self.printed(message, style))

    def printed(self, message: Message, style: JsonStyle = DEFAULT_STYLE) -> str:
        """The gateway's JSON of the peer's message."""
        descriptor = self.registry.message(message.DESCRIPTOR.full_name)
        assert descriptor is not None
        decoded = descriptor.type.from_binary(message.SerializeToString())
        return print_message(decoded, self.registry, style)

    def read(self, message: Any, text: str | bytes) -> Any:
        """The gateway's reading of a JSON text, as the peer's message; raises Refusal."""
        descriptor = self.registry.message(message.DESCRIPTOR.full_name)
        assert descriptor is not None
        body = text.encode() if isinstance(text, str) else text
        return message.FromString(self._reader.read(descriptor, body).to_binary())

    def read_by_peer(self, message: Any, text: str | bytes) -> Any:
        """The peer's reading of a JSON text; raises whatever it raises."""
        made = message.FromString(b"")
        return json_format.Parse(text, made, descriptor_pool=self.pool)


def same(one: Message, other: Message) -> bool:
    """Whether two messages are equal, maps inside of an Any too; NaN is equal to itself here."""
    if one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True):
        return True
    pool: Any = one.DESCRIPTOR.file.pool
    shown = [json_format.MessageToDict(each, descriptor_pool=pool) for each in (one, other)]
    return bool(shown[0] == shown[1])
