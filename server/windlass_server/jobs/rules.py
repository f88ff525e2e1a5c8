"""Decisions about jobs that need nothing but their arguments."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from windlass_server.errors import FieldViolation
from windlass_server.jobs.states import Event

DEFAULT_CPU_MILLIS = 1000
DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024
DEFAULT_QUEUE = "default"
DEFAULT_GRACE_SECONDS = 10

# What the operating system takes for one exec, with room for what we add ourselves.
MAX_COMMAND_BYTES = 128 * 1024
MAX_ENVIRONMENT_BYTES = 1024 * 1024
# A job that its nodes keep losing is given up at this attempt.
MAX_ATTEMPTS = 5
_MAX_DETAIL = 1024


def size_violations(command: list[str], variables: dict[str, str]) -> tuple[FieldViolation, ...]:
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
    return tuple(found)


def default_name(program: str) -> str:
    """A job's name when it was given none: the program without its directory, printable."""
    name = PurePosixPath(program).name or program
    return printable(name)[:128]


def printable(text: str) -> str:
    """The text with a question mark for each character that cannot be shown, NUL above all."""
    return "".join(char if char.isprintable() else "?" for char in text)


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end of a run means for its job."""

    event: Event
    reason: str
    message: str


def ending(
    cause: str, exit_code: int | None, exit_signal: int | None, detail: str, attempt: int
) -> Ending:
    """What happens to a job whose run ended.

    Args:
        cause: name of a `RunExit.Cause`.
        exit_code: what the command returned, if it did.
        exit_signal: the signal that ended it, if one did.
        detail: what the node says about it, of which only what can be stored and shown is used.
        attempt: which run of the job this was, from 1.
    """
    detail = printable(detail)[:_MAX_DETAIL]
    if cause in _INFRASTRUCTURE:
        words = detail or _INFRASTRUCTURE[cause]
        if attempt < MAX_ATTEMPTS:
            return Ending(Event.REQUEUE, cause, words)
        words = f"given up after {attempt} runs that their nodes lost; the last: {words}"
        return Ending(Event.FAIL, "TOO_MANY_NODE_FAULTS", words)
    if cause == "COMPLETED":
        return _completed(exit_code, exit_signal)
    event, words = _CAUSES[cause]
    return Ending(event, cause, detail or words)


def _completed(exit_code: int | None, exit_signal: int | None) -> Ending:
    if exit_code == 0:
        return Ending(Event.SUCCEED, "COMPLETED", "the command returned 0")
    if exit_signal is not None:
        return Ending(Event.FAIL, "KILLED", f"the command was ended by signal {exit_signal}")
    return Ending(Event.FAIL, "NONZERO_EXIT", f"the command returned {exit_code}")


# The task did nothing wrong: the job is queued again.
_INFRASTRUCTURE = {
    "LAUNCH_FAILED": "the node could not start the command",
    "LOST": "the node lost the task, by a restart of the machine or of its supervisor",
    "NODE_SHUTDOWN": "the node was shut down",
}
_CAUSES = {
    "STOPPED": (Event.STOP, "the command was stopped"),
    "TIME_LIMIT": (Event.RUN_OUT_OF_TIME, "the command ran longer than time_limit"),
    "OUT_OF_MEMORY": (Event.RUN_OUT_OF_MEMORY, "the command used more memory than it asked for"),
    "BAD_COMMAND": (Event.FAIL, "the command could not be executed"),
}
