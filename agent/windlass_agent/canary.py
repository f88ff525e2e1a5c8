"""Finds out by trial what this node can enforce."""

from windlass_agent.run_types import Isolation


def detect() -> Isolation:
    """Try each level and each limit with a real child, and say what held."""
    raise NotImplementedError
