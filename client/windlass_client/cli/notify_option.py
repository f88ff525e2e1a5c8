"""The option of a job that has webhooks told of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.errors import InvalidArgument

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_notification_pb2

NotifyOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WEBHOOK[=MOMENTS]",
        help="Tell it when the job ends, or at failed,succeeded,started,…; repeatable.",
    ),
]


def asked_notifications(words: Sequence[str]) -> "list[job_notification_pb2.JobNotification]":
    """The notifications of `WEBHOOK=failed,succeeded` words. Raises InvalidArgument."""
    from windlass.jobs.v1.job_notification_pb2 import JobNotification

    known = JobNotification.Moment.keys()[1:]
    found = []
    for word in words:
        webhook_id, equals, moments = word.partition("=")
        made = JobNotification(webhook_id=webhook_id)
        for moment in moments.split(",") if equals else ():
            if moment.upper() not in known:
                names = ", ".join(known).lower()
                message = f"--notify {word!r}: {moment!r} is none of {names}"
                raise InvalidArgument(message, reason="BAD_NOTIFICATION")
            made.on.append(JobNotification.Moment.Value(moment.upper()))  # type: ignore[arg-type]
        found.append(made)
    return found
