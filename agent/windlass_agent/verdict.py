"""What ended a run, decided from what its shim saw. Pure."""

import errno
import os
import signal

from windlass_agent.run_types import Cause, RunExit
from windlass_agent.rundir import Intent
from windlass_agent.watch import Ending

_BAD_PROGRAM = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.ENOEXEC,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.E2BIG,
    errno.EINVAL,
}


def verdict(ending: Ending, intent: Intent, *, oom_kills: int) -> RunExit:
    """How the run ended; times and the log's length are the caller's to fill in."""
    code, number = _exit_of(ending)
    if ending.stopped_for is not None:
        return RunExit(ending.stopped_for, 0, code, number, message=_stopped(ending, intent))
    if ending.failure:
        cause, message = _not_started(ending.failure, intent)
        return RunExit(cause, 0, message=message)
    if oom_kills and code != 0:
        return RunExit(Cause.OUT_OF_MEMORY, 0, code, number, message=_memory(intent))
    if not ending.started:
        words = ending.first_words.decode(errors="replace").strip()
        return RunExit(Cause.LAUNCH_FAILED, 0, message=words or "The sandbox ended at once.")
    if ending.wait_status is None:
        return RunExit(Cause.LOST, 0, message="The task's first process was killed from outside.")
    return RunExit(Cause.COMPLETED, 0, code, number, message=_by_signal(number))


def _exit_of(ending: Ending) -> tuple[int | None, int | None]:
    """Exit code and signal of the command; at most one of them is set."""
    if ending.wait_status is not None:
        code = os.waitstatus_to_exitcode(ending.wait_status)
        return (code, None) if code >= 0 else (None, -code)
    if ending.started and ending.killed:
        return None, int(signal.SIGKILL)
    return None, None


def _by_signal(number: int | None) -> str:
    if number is None:
        return ""
    try:
        return f"The command was ended by {signal.Signals(number).name}."
    except ValueError:
        return f"The command was ended by signal {number}."


def _memory(intent: Intent) -> str:
    limit = intent.request.memory_bytes
    return f"The task used more than its {limit / (1 << 20):.0f} MiB of memory."


def _stopped(ending: Ending, intent: Intent) -> str:
    if not ending.started:
        return "Stopped before the command was started."
    after = " It did not end by itself within the grace period." if ending.killed else ""
    if ending.stopped_for is Cause.TIME_LIMIT:
        return f"The time limit of {intent.request.time_limit_seconds:g} s was reached.{after}"
    return after.strip()


def _not_started(failure: str, intent: Intent) -> tuple[Cause, str]:
    """Cause and message for the words of an init that could not start the command."""
    step, _, rest = failure.partition(" ")
    number_text, _, detail = rest.partition(" ")
    number = int(number_text) if number_text.isdigit() else 0
    reason = detail or os.strerror(number)
    request = intent.request
    program = request.command[0] if request.command else "./script"
    directory = request.working_directory
    if step == "chdir" and directory:
        message = (
            f"The working directory {directory!r} cannot be used: {reason}. "
            "Tasks see this node's files, but not its /tmp, /run and hidden folders."
        )
        return Cause.BAD_COMMAND, message
    if step == "exec" and number in _BAD_PROGRAM:
        message = f"{program!r} cannot be executed: {reason}.{_hint(number, program)}"
        return Cause.BAD_COMMAND, message
    return Cause.LAUNCH_FAILED, f"The command could not be started ({step}): {reason}."


def _hint(number: int, program: str) -> str:
    if number == errno.ENOENT and "/" not in program:
        return " It is not in any folder of PATH."
    if number == errno.ENOENT:
        return " The file, or the interpreter that its first line names, does not exist."
    if number == errno.EACCES:
        return " The file is not marked as executable, or it is a folder."
    return ""
