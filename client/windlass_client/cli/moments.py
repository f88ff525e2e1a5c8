"""Times to come, as options say them."""

from datetime import UTC, datetime

from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_duration


def moment_ahead(text: str, now: datetime) -> datetime:
    """A moment as ISO 8601 has it, in UTC unless it says, or a span from now on, such as +2h.

    Raises:
        InvalidArgument: it is neither.
    """
    try:
        if text.startswith("+"):
            return now + parse_duration(text[1:])
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        message = f"{text!r} is neither a moment such as 2026-12-24T20:00Z nor a span such as +2h"
        raise InvalidArgument(message, reason="BAD_TIME") from None
