"""Decisions about jobs that need nothing but their arguments."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from windlass_server.errors import FieldViolation
from windlass_server.jobs.states import Event
from windlass_server.scheduler.snapshot import Fault

DEFAULT_CPU_MILLIS = 1000
DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024
DEFAULT_QUEUE = "default"
DEFAULT_GRACE_SECONDS = 10

# What the operating system takes for one exec, with room for what we add ourselves.
MAX_COMMAND_BYTES = 128 * 1024
MAX_ENVIRONMENT_BYTES = 1024 * 1024
# Pages of lists show them.
MAX_ANNOTATIONS_BYTES = 64 * 1024
# A job that so many of its runs' nodes have failed is given up.
MAX_NODE_FAULTS = 5
# What a command returns that wants to be run again, such as after it has saved its state.
REQUEUE_EXIT_CODE = 85
# A job that wants to be run again for the so-manyth time is given up.
MAX_RUNS = 1000
# How long a node that has failed a job once, twice, … is not tried again for it.
_PAUSE_SECONDS = (10, 60, 360, 2160)
# A node that shuts down is no fault, but it is about to go. It is good again when it has come back.
_SHUTDOWN_PAUSE_SECONDS = 60
_MAX_DETAIL = 1024


class Cause(enum.IntEnum):
    """What ended a run; as `agents.v1.RunExit.Cause`, but for those from 100 on, which no node names."""

    COMPLETED = 1
    STOPPED = 2
    TIME_LIMIT = 3
    OUT_OF_MEMORY = 4
    LAUNCH_FAILED = 5
    BAD_COMMAND = 6
    LOST = 7
    NODE_SHUTDOWN = 8
    GPU_FAULT = 9
    CHECKPOINT_DAMAGED = 10
    SECRET_UNAVAILABLE = 11
    SOURCE_UNAVAILABLE = 12
    SOURCE_UNPACK_FAILED = 13
    SOURCE_FETCH_FAILED = 14
    ENVIRONMENT_BUILD_FAILED = 15
    # Stopped because another rank of its job was lost or could not start, or asked to be run again.
    STOPPED_BY_FAULT = 100
    STOPPED_BY_REQUEUE = 101


NODE_FAULTS = (Cause.LAUNCH_FAILED, Cause.LOST, Cause.GPU_FAULT, Cause.SOURCE_UNAVAILABLE)
"""What counts against a node, and towards `MAX_NODE_FAULTS` of the job."""
REMEMBERED = (*NODE_FAULTS, Cause.NODE_SHUTDOWN)
"""Ends for which a node is not tried again at once."""


def size_violations(
    command: list[str], variables: Mapping[str, str], annotations: Mapping[str, str]
) -> tuple[FieldViolation, ...]:
    """What is too large as a whole; the rules in the protos have looked at each part alone."""
    found = []
    command_bytes = sum(len(argument.encode()) + 1 for argument in command)
    if command_bytes > MAX_COMMAND_BYTES:
        text = f"must have at most {MAX_COMMAND_BYTES} bytes in all; it has {command_bytes}"
        found.append(FieldViolation("job.command", text, "COMMAND_SIZE"))
    environment_bytes = sum(
        len(name.encode()) + len(value.encode()) + 2 for name, value in variables.items()
    )
    if environment_bytes > MAX_ENVIRONMENT_BYTES:
        text = f"must have at most {MAX_ENVIRONMENT_BYTES} bytes in all; it has {environment_bytes}"
        found.append(FieldViolation("job.environment.variables", text, "ENVIRONMENT_SIZE"))
    annotation_bytes = sum(
        len(name.encode()) + len(value.encode()) for name, value in annotations.items()
    )
    if annotation_bytes > MAX_ANNOTATIONS_BYTES:
        text = f"must have at most {MAX_ANNOTATIONS_BYTES} bytes in all; it has {annotation_bytes}"
        found.append(FieldViolation("job.annotations", text, "ANNOTATIONS_SIZE"))
    return tuple(found)


def default_name(program: str) -> str:
    """A job's name when it was given none: the program without its directory, printable."""
    name = PurePosixPath(program).name or program
    return printable(name)[:128]


def printable(text: str) -> str:
    """The text with a question mark for each character that cannot be shown, NUL above all."""
    return "".join(char if char.isprintable() else "?" for char in text)


def shown(detail: str) -> str:
    """What of a node's words is stored and shown."""
    return printable(detail[:_MAX_DETAIL])


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end of a run means for its job."""

    event: Event
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RunEnd:
    """An earlier run that did not end by itself: where, by what, and when the server noted it (µs)."""

    node_id: str
    cause: int
    noted_at: int


def faults(ends: Iterable[RunEnd], now: int, connected_at: Mapping[str, int]) -> tuple[Fault, ...]:
    """The nodes that have failed a job, and until when they are not tried again for it.

    The pause grows with each fault of the node, so that a job of which only one node is left does
    not use its tries up at once.

    Args:
        ends: of the job's runs, in any order.
        now: the time in microseconds.
        connected_at: when each node last said hello (µs).
    """
    by_node: dict[str, list[RunEnd]] = {}
    for end in ends:
        if end.cause in NODE_FAULTS or end.noted_at > connected_at.get(end.node_id, 0):
            by_node.setdefault(end.node_id, []).append(end)
    return tuple(
        fault
        for node_id, those in sorted(by_node.items())
        if (fault := _fault(node_id, those, now)) is not None
    )


def _fault(node_id: str, ends: list[RunEnd], now: int) -> Fault | None:
    failed = sum(end.cause in NODE_FAULTS for end in ends)
    pause = _PAUSE_SECONDS[min(failed, len(_PAUSE_SECONDS)) - 1]
    until = max(
        end.noted_at + (pause if end.cause in NODE_FAULTS else _SHUTDOWN_PAUSE_SECONDS) * 1_000_000
        for end in ends
    )
    if not failed and until <= now:
        return None
    return Fault(node_id, until if until > now else None)


def cause_of(named: int, *, asked: bool) -> Cause:
    """What ended a run, from what its node named.

    A node that names nothing we know has lost the run, and so has one that stopped it though it was
    not asked to.
    """
    try:
        cause = Cause(named)
    except ValueError:
        return Cause.LOST
    if cause in (Cause.STOPPED_BY_FAULT, Cause.STOPPED_BY_REQUEUE):
        return Cause.LOST
    return Cause.LOST if cause is Cause.STOPPED and not asked else cause


def beside(cause: Cause, reason: str) -> Cause:
    """What ended a run of a job of several nodes whose end another rank had decided, for that one's reason.

    Of those that were stopped for others, or to empty a node, it is the same.
    """
    if cause is not Cause.STOPPED:
        return cause
    if reason in _FAULTS_OF_ANOTHER:
        return Cause.STOPPED_BY_FAULT
    return Cause.STOPPED_BY_REQUEUE if reason == _REQUEUED else cause


def blaming_device(cause: Cause, exit_code: int | None, *, failed: bool) -> Cause:
    """What ended a run of which a GPU may have failed.

    Args:
        cause: what ended it, as far as its node knows.
        exit_code: what the command returned, if it did.
        failed: a GPU that it held has failed, so that it had to leave.
    """
    if not failed or cause not in (Cause.COMPLETED, Cause.STOPPED):
        return cause
    by_itself = cause is Cause.COMPLETED and exit_code in (0, REQUEUE_EXIT_CODE)
    return cause if by_itself else Cause.GPU_FAULT


def ending(
    cause: Cause,
    exit_code: int | None,
    exit_signal: int | None,
    detail: str,
    *,
    faults: int,
    nodes: int = 1,
    attempt: int = 1,
    cancelling: bool = False,
    preempted: str = "",
) -> Ending:
    """What happens to a job whose run ended.

    Args:
        cause: what ended it.
        exit_code: what the command returned, if it did.
        exit_signal: the signal that ended it, if one did.
        detail: what the node says about it, of which only what can be stored and shown is used.
        faults: how many of the job's runs ended by `NODE_FAULTS`, with this one if it did.
        nodes: how many different nodes did that.
        attempt: which run of the job this was, from 1.
        cancelling: somebody has asked for the job's end.
        preempted: for whom it was stopped, in words; empty: for nobody.
    """
    detail = shown(detail)
    if cause in _INFRASTRUCTURE:
        words = detail or _INFRASTRUCTURE[cause]
        if cancelling or cause not in NODE_FAULTS or faults < MAX_NODE_FAULTS:
            return Ending(Event.REQUEUE, cause.name, words)
        words = f"given up after {faults} runs that {_failing(nodes)}; the last: {words}"
        return Ending(Event.FAIL, "TOO_MANY_NODE_FAULTS", words)
    asks_again = cause is Cause.COMPLETED and exit_code == REQUEUE_EXIT_CODE
    if preempted and not cancelling and (cause is Cause.STOPPED or asks_again):
        return Ending(Event.REQUEUE, "PREEMPTED", preempted)
    if cause is Cause.STOPPED and not cancelling:
        return Ending(Event.REQUEUE, "EVICTED", detail or "it was stopped to empty its node")
    if exit_code == REQUEUE_EXIT_CODE and cause in (Cause.COMPLETED, Cause.TIME_LIMIT):
        return _requeued_by_itself(attempt)
    if cause is Cause.COMPLETED:
        return _completed(exit_code, exit_signal)
    event, words = _CAUSES[cause]
    return Ending(event, cause.name, detail or words)


def _failing(nodes: int) -> str:
    """Whom to look at: one node that fails jobs, or one job that fails on nodes."""
    if nodes == 1:
        return "one node failed"
    return f"{nodes} different nodes failed, so look at the job first"


def _requeued_by_itself(attempt: int) -> Ending:
    if attempt < MAX_RUNS:
        words = f"the command returned {REQUEUE_EXIT_CODE}: it asks to be run again"
        return Ending(Event.REQUEUE, _REQUEUED, words)
    words = f"given up after {attempt} runs; the last asked to be run again, too"
    return Ending(Event.FAIL, "TOO_MANY_RUNS", words)


def cancelled(ending: Ending, reason: str, message: str) -> Ending:
    """The end of a cancelled job's run, told in the words of whoever cancelled it.

    Args:
        ending: as its node told it.
        reason: why the job is being cancelled.
        message: the same in a sentence.
    """
    told = "" if ending.message == _CAUSES[Cause.STOPPED][1] else f"; {ending.message}"
    return Ending(ending.event, reason, message + told)


def _completed(exit_code: int | None, exit_signal: int | None) -> Ending:
    if exit_code == 0:
        return Ending(Event.SUCCEED, "COMPLETED", "the command returned 0")
    if exit_signal is not None:
        return Ending(Event.FAIL, "KILLED", f"the command was ended by signal {exit_signal}")
    return Ending(Event.FAIL, "NONZERO_EXIT", f"the command returned {exit_code}")


_REQUEUED = "REQUEUE_REQUESTED"
_FAULTS_OF_ANOTHER = frozenset(one.name for one in (*NODE_FAULTS, Cause.CHECKPOINT_DAMAGED))
# The task did nothing wrong: the job is queued again.
_INFRASTRUCTURE = {
    Cause.LAUNCH_FAILED: "the node could not start the command",
    Cause.LOST: "the node lost the task, or stopped it unasked",
    Cause.NODE_SHUTDOWN: "the node was shut down",
    Cause.GPU_FAULT: "a GPU that the run held has failed",
    Cause.CHECKPOINT_DAMAGED: "the checkpoint that it was to begin with is damaged",
    Cause.SOURCE_UNAVAILABLE: "the job's archive could not be brought to the node",
}
_CAUSES = {
    Cause.STOPPED: (Event.STOP, "the command was stopped"),
    Cause.TIME_LIMIT: (Event.RUN_OUT_OF_TIME, "the command ran longer than time_limit"),
    Cause.OUT_OF_MEMORY: (
        Event.RUN_OUT_OF_MEMORY,
        "the command used more memory than it asked for",
    ),
    Cause.BAD_COMMAND: (Event.FAIL, "the command could not be executed"),
    Cause.SECRET_UNAVAILABLE: (Event.FAIL, "a secret that it needs is not there any more"),
    Cause.SOURCE_UNPACK_FAILED: (Event.FAIL, "the job's archive could not be unpacked"),
    Cause.SOURCE_FETCH_FAILED: (Event.FAIL, "the job's commit could not be fetched"),
    Cause.ENVIRONMENT_BUILD_FAILED: (
        Event.FAIL,
        "the job's Python packages could not be installed",
    ),
}
