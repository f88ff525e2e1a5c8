"""When runs began and ended, by their nodes' clocks and within what the server knows itself."""

from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass_server.errors import InvalidInput
from windlass_server.storage.tables import RunRow
from windlass_server.timestamps import from_proto

_State = agent_pb2.RunReport


def node_time(stamp: Any, fallback: int) -> int:
    """A node's timestamp in microseconds; `fallback` when it is none that can be shown."""
    try:
        return from_proto(stamp) if stamp.seconds > 0 else fallback
    except InvalidInput:
        return fallback


def started_at(run: RunRow, report: agent_pb2.RunReport, now: int) -> int | None:
    """When the run's command started; None when it has not.

    The server alone knows from when to when the run held its place, so a node whose clock is wrong
    cannot put the start outside of that.
    """
    if run.started_at is not None:
        return run.started_at
    if report.state != _State.RUNNING and not report.HasField("start_time"):
        return None
    return between(run.created_at, node_time(report.start_time, now), now)


def between(first: int, time: int, last: int) -> int:
    """The time, put within its bounds; `first` where the server's own clock went back behind it."""
    return max(first, min(time, last))
