"""`python -m windlass_agent`, and what the `windlass agent` command calls."""

import asyncio
import os
import sys
from collections.abc import Sequence

import uvloop

from windlass_agent.agent import run_agent
from windlass_agent.config import ConfigError, load_config
from windlass_agent.logs import configure_logs
from windlass_agent.processes import PR_SET_PDEATHSIG, prctl
from windlass_agent.service import install
from windlass_agent.show_devices import show_devices
from windlass_agent.stop_signals import PARENT_ENDED

USAGE_ERROR = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the agent.

    Args:
        argv: Arguments without the program's name; those of this process by default.

    Returns:
        0 after SIGTERM or SIGINT, and when the service is installed or the devices are shown; 2 when
        it cannot run as configured (one line on stderr says why), 130 after a SIGINT before it was up.
    """
    arguments = sys.argv[1:] if argv is None else argv
    try:
        if arguments and arguments[0] == "devices":
            configure_logs("warning", "text")
            show_devices(arguments[1:], _say)
            return 0
        config = load_config(arguments, os.environ)
        configure_logs(config.log_level, config.log_format)
        if config.install_service:
            install(config, _say)
            return 0
        if config.die_with_parent:
            _end_with_parent()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run_agent(config))
    except ConfigError as error:
        sys.stderr.write(f"windlass agent: {error}\n")
        return USAGE_ERROR
    except KeyboardInterrupt:  # before anybody listened to it
        return INTERRUPTED


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _end_with_parent() -> None:
    """Has the kernel tell when the parent ends.

    The kernel watches the thread that started this process, not the process it is part of: a
    supervisor starts the agent from its main thread.
    """
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, PARENT_ENDED)
    if os.getppid() != parent:
        raise ConfigError("--die-with-parent, but the parent has ended already")


if __name__ == "__main__":
    sys.exit(main())
