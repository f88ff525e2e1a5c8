"""Structured logs: one line an event, JSON for machines or text for people."""

import logging
import logging.config
from typing import Literal

import structlog

Processor = structlog.typing.Processor


def configure(level: str, style: Literal["json", "text"], *more: Processor) -> None:
    """Send the logs of the whole process to stderr; `more` add to each event."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        *more,
        structlog.stdlib.ExtraAdder(),
    ]
    renderer: list[Processor] = [
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
        }
    )
