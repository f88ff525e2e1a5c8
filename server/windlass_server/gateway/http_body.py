"""`google.api.HttpBody` in messages: where it is, and how bytes get in and out of it.

A message either is one or holds one in a field. Its bytes are never parsed, whatever their type.
"""

from dataclasses import dataclass
from typing import Any

from protobuf import DescField, DescMessage, Message

HTTP_BODY = "google.api.HttpBody"


@dataclass(frozen=True, slots=True)
class FileBytes:
    """What an HttpBody holds."""

    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class HttpBodyPlace:
    """Where messages of one type hold an HttpBody.

    Attributes:
        body: HttpBody's own descriptor, of the registry that the message is from.
        field: the field that holds it; None when the message itself is it.
    """

    body: DescMessage
    field: DescField | None

    def put(self, message: Message, content_type: str, data: bytes) -> None:
        """Set the HttpBody of a message."""
        body: Any = message if self.field is None else self.body.type()
        body.content_type = content_type
        body.data = data
        if self.field is not None:
            message[self.field] = body

    def take(self, message: Message) -> FileBytes:
        """The HttpBody of a message; an empty one when it is not set."""
        body: Any = message if self.field is None else message[self.field]
        if body is None:
            return FileBytes("", b"")
        return FileBytes(body.content_type, body.data)


def find_http_body(
    message: DescMessage, field: DescField | None, value: DescMessage | None
) -> HttpBodyPlace | None:
    """The place of the HttpBody in a message, given the field that a rule calls its body; or None.

    Args:
        message: the request's or response's type.
        field: the rule's body; None when it is the whole message.
        value: the message type of that field's only value; None for any other kind of field.
    """
    body = message if field is None else value
    if body is None or body.type_name != HTTP_BODY:
        return None
    return HttpBodyPlace(body, field)
