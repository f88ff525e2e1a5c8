"""Structured logs: one line an event, JSON for machines or text for people."""

import logging
from typing import Literal

import structlog

from windlass_server.gateway import logs
from windlass_server.rpc.request_id import current_request_id


def configure(level: str, style: Literal["json", "text"]) -> None:
    """Send the logs of the whole process to stderr, each line with its call's request id."""
    logs.configure(level, style, _add_request_id)
    # It tells of its own plumbing at every start.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _add_request_id(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if request_id := current_request_id.get():
        event["request_id"] = request_id
    return event
