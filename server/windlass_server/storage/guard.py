"""Storage runs only under a decision that somebody made about who may do this: it fails closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """That the present work may touch the database, and who it is for."""

    actor: str


_decision: ContextVar[Decision | None] = ContextVar("windlass_decision", default=None)


def decide(actor: str) -> None:
    """Record, for the rest of the present task, that `actor`'s work was allowed."""
    _decision.set(Decision(actor))


def resume(decision: Decision) -> None:
    """Go on under a decision that was made in another task.

    A generator runs in the context of whichever task asks it for its next item, so a stream that
    outlives a task must carry its decision along.
    """
    _decision.set(decision)


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """Work of the server's own parts, such as `scheduler`."""
    token = _decision.set(Decision(actor))
    try:
        yield
    finally:
        _decision.reset(token)


def require_decision() -> Decision:
    """The decision; RuntimeError when there is none, which is a defect of the caller."""
    decision = _decision.get()
    if decision is None:
        message = "storage was reached without an authorisation decision"
        raise RuntimeError(message)
    return decision
