"""Gives each call an id that its log lines, its answer and its errors carry."""

import contextvars
import os
import re

from google.protobuf.message import Message

from windlass_server.rpc.call import Call

current_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Takes over the caller's `x-request-id` when it is a harmless word, else makes one."""

    async def __call__(self, call: Call, request: Message | None) -> None:
        given = call.first("x-request-id")
        call.request_id = given if _ACCEPTABLE.fullmatch(given) else f"req-{os.urandom(12).hex()}"
        call.response_metadata["x-request-id"] = call.request_id
        current_request_id.set(call.request_id)
