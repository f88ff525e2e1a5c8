"""`windlass gateway`, which is `python -m windlass_server.gateway`."""

import os

# Before grpc is imported by anyone: with uvloop its fork handlers abort child processes.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# What goes wrong within grpc is told by us, once; it writes to stderr past our logs.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import asyncio
import signal
import sys
from collections.abc import Sequence

import uvloop

from windlass_server.gateway import collector, logs
from windlass_server.gateway.http_rules import RuleError
from windlass_server.gateway.standalone.options import Options, parse
from windlass_server.gateway.standalone.program import Program, routes_of

EXIT_BAD_CONFIGURATION = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 2 when it cannot run as it is told to."""
    options = parse(arguments)
    logs.configure(options.log_level, options.log_format)
    try:
        if options.routes:
            sys.stdout.writelines(f"{line}\n" for line in routes_of(options))
            return 0
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(options))
    except (RuleError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"windlass gateway: {' '.join((said or str(error)).split())}\n")
        return EXIT_BAD_CONFIGURATION


async def _serve(options: Options) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    program = Program(options)
    try:
        await program.start()
        collector.set_for_serving()
        await stop.wait()
    finally:
        await program.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
