"""The options of a job that runs again by itself when its command has failed."""

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_duration

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_retry_pb2

MaxAttemptsOption = Annotated[
    int,
    typer.Option(min=0, max=100, help="Run it so often until it succeeds.", show_default=False),
]
RetryOnOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CODE|SIGNAL|CAUSE",
        help="Only after this, such as 3, SIGABRT or OUT_OF_MEMORY; repeatable.",
    ),
]
RetryBackoffOption = Annotated[
    str | None,
    typer.Option(help="Before the first retry, then twice as long each time; default 10s."),
]


def asked_retry(
    max_attempts: int, on: Sequence[str], backoff: str | None
) -> "job_retry_pb2.RetryPolicy | None":
    """The retry policy that was asked for. Raises InvalidArgument."""
    from windlass.jobs.v1 import job_retry_pb2

    if not max_attempts:
        if on or backoff:
            raise InvalidArgument("say --max-attempts, too", reason="BAD_RETRY")
        return None
    policy = job_retry_pb2.RetryPolicy(max_attempts=max_attempts)
    causes = job_retry_pb2.RetryPolicy.Cause
    for word in on:
        if word.isdigit():
            policy.on_exit_codes.append(int(word))
        elif word.upper() in signal.Signals.__members__:
            policy.on_signals.append(signal.Signals[word.upper()].value)
        elif word.upper() in causes.keys()[1:]:
            policy.on_causes.append(causes.Value(word.upper()))  # type: ignore[arg-type]
        else:
            known = ", ".join(causes.keys()[1:])
            message = f"--retry-on {word!r} is no exit code, no signal and none of {known}"
            raise InvalidArgument(message, reason="BAD_RETRY")
    if backoff:
        policy.backoff.initial.FromTimedelta(parse_duration(backoff))
    return policy
