"""Gives each call an id that its log lines, its answer and its errors carry."""

import contextvars
import itertools
import os
import re

from google.protobuf.message import Message

from windlass_server.rpc.call import Call

current_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Takes over the caller's `x-request-id` when it is a harmless word, else makes one.

    Ids of ours differ from those of every other process by a random beginning, and among themselves
    by a number; nothing depends on that nobody guesses them.
    """

    def __init__(self) -> None:
        self._beginning = os.urandom(8).hex()
        self._numbers = itertools.count(1)

    def __call__(self, call: Call, request: Message | None) -> None:
        given = call.first("x-request-id")
        if given and _ACCEPTABLE.fullmatch(given):
            call.request_id = given
        else:
            call.request_id = f"req-{self._beginning}{next(self._numbers):08x}"
        call.response_metadata["x-request-id"] = call.request_id
        current_request_id.set(call.request_id)
