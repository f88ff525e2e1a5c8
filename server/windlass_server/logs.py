"""Structured logs: one line an event, JSON for machines or text for people."""

import logging
import logging.config
from typing import Literal

import structlog

from windlass_server.rpc.request_id import current_request_id


def configure(level: str, style: Literal["json", "text"]) -> None:
    """Send the logs of the whole process to stderr, each line with its call's request id."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        _add_request_id,
        structlog.stdlib.ExtraAdder(),
    ]
    renderer: list[structlog.typing.Processor] = [
        # Without the values of variables, which may be secrets.
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    ]
    if style == "json":
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *renderer,
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": level.upper()},
            # They tell of their own plumbing at every start.
            "loggers": {"alembic": {"level": "WARNING"}},
        }
    )


def _add_request_id(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if request_id := current_request_id.get():
        event["request_id"] = request_id
    return event
