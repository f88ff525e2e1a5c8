"""What webhooks are told of, when they are tried again, and when they are given up. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from windlass.access.v1 import webhook_pb2
from windlass.jobs.v1.job_pb2 import Job
from windlass_server.access.event_message import kind_of
from windlass_server.errors import FieldViolation, InvalidInput

CHANGEABLE = (
    "url",
    "description",
    "enabled",
    "types",
    "reasons",
    "labels",
    "notifications_only",
)
"""What an update may change."""
KEPT = ("project",)
"""What stays as it was made."""

TESTED = "WEBHOOK_TESTED"
"""Why a webhook is sent a message for a try: nobody else is told of that."""

# About a day in all, by which most receivers are mended.
_DELAYS = (5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
# So that what failed together is not tried again together: by so much less or more.
_JITTER = 0.2
_LONGEST_ASKED = 24 * 3600.0
_LONGEST_PAUSE = 60.0
_LONGEST_ASKED_PAUSE = 3600.0
# One that has not been reached for so long, in so many attempts, is given up.
_FAILING_SECONDS = 3 * 86_400
_FAILING_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, as far as it matters to whom it is told.

    Attributes:
        type: as in `job.failed`.
        labels: of its job.
        named: the webhook is named by the job for this.
    """

    type: str
    reason: str
    labels: Mapping[str, str]
    named: bool


def type_of(object_id: str, status: int, status_before: int | None, reason: str) -> str:
    """The type of an event: the kind of its object, and the new status of a job or what else happened."""
    kind = kind_of(object_id)
    if kind == "job" and status != status_before and status in Job.Status.values():
        return f"{kind}.{Job.Status.Name(status).lower()}"
    return f"{kind}.{reason.lower().removeprefix(f'{kind}_')}"


def is_told(asked: webhook_pb2.Webhook, event: Happened) -> bool:
    """Whether a webhook is told of an event of its project."""
    if event.reason == TESTED:
        return False
    if event.named:
        return True
    if asked.notifications_only:
        return False
    kind = event.type.partition(".")[0]
    of_type = not asked.types or event.type in asked.types or f"{kind}.*" in asked.types
    for_reason = not asked.reasons or event.reason in asked.reasons
    return (
        of_type
        and for_reason
        and all(event.labels.get(key) == value for key, value in asked.labels.items())
    )


def retry_seconds(tries: int, asked: float | None, random: float) -> float | None:
    """In how many seconds an attempt is tried again; None when it is given up.

    Args:
        tries: attempts that have failed.
        asked: in how many seconds the receiver wants it, if it has said.
        random: of [0, 1).
    """
    if tries > len(_DELAYS):
        return None
    delay = _DELAYS[tries - 1] * (1 + _JITTER * (2 * random - 1))
    return max(delay, min(asked or 0.0, _LONGEST_ASKED))


def pause_seconds(failures: int, asked: float | None) -> float:
    """How long a receiver is left alone after so many failures in a row, whatever waits for it.

    Args:
        failures: with the last one.
        asked: how long it wants to be, if it has said.
    """
    pause = min(2.0 ** min(failures - 1, 10), _LONGEST_PAUSE)
    return max(pause, min(asked or 0.0, _LONGEST_ASKED_PAUSE))


def is_given_up(failures: int, failing_seconds: float) -> bool:
    """Whether a receiver has failed for so long and so often that it is told nothing any more."""
    return failures >= _FAILING_ATTEMPTS and failing_seconds >= _FAILING_SECONDS


def require_sound(spec: webhook_pb2.Webhook) -> None:
    """Refuse what the rules of single fields cannot say. Raises InvalidInput, with all of it."""
    violations = tuple(_violations(spec))
    if violations:
        first = violations[0]
        message = f"{first.field}: {first.description}"
        raise InvalidInput(message, reason=first.reason, violations=violations)


def _violations(spec: webhook_pb2.Webhook) -> Iterator[FieldViolation]:
    if not spec.url:
        yield FieldViolation("webhook.url", "says where it is told, and is needed", "URL_INVALID")
    if spec.notifications_only:
        text = "chooses among what it is not told of: notifications_only is set"
        for name in ("types", "reasons", "labels"):
            if getattr(spec, name):
                yield FieldViolation(f"webhook.{name}", text, "FILTER_WITHOUT_EFFECT")
    if spec.labels and any(not one.startswith("job.") for one in spec.types):
        text = "asks for labels of jobs, and `types` for events of other objects, which have none"
        yield FieldViolation("webhook.labels", text, "FILTER_WITHOUT_EFFECT")
