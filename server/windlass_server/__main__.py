"""`windlass server`: parse the configuration, build the server, run it until told to stop."""

import os

# Before grpc is imported by anyone: with uvloop its fork handlers abort child processes.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# What goes wrong within grpc is told by us, once; it writes to stderr past our logs.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# Sockets are read by the thread that waits for calls anyway. By default grpc's event engine reads them
# in threads of its own and hands over what came: a sixth of the processor time of a small call.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")

import argparse
import asyncio
import ctypes
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import uvloop

from windlass_server import __version__, config, logs
from windlass_server.errors import BadConfiguration, WindlassError
from windlass_server.gateway import collector

EXIT_BAD_CONFIGURATION = 2
EXIT_INTERRUPTED = 130
_PR_SET_PDEATHSIG = 1

_EPILOG = """\
examples:
  windlass server --data-dir ./data
  windlass server --config windlass.toml --http 0.0.0.0:8080
  WINDLASS_DATABASE_URL=postgresql://user@host/windlass windlass server
  windlass server --config windlass.toml --check-config

Every key of the configuration file can also be given as an environment variable, such as
WINDLASS_DATA_DIR. Flags win over the environment, the environment over the file.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 2 for a bad configuration, 130 for an early Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        settings = config.load(options.config, os.environ, _flags(options))
        if options.check_config:
            return _check(settings)
    except BadConfiguration as error:
        return _refuse(error)
    logs.configure(settings.log_level, settings.log_format)
    if options.die_with_parent:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _take_all_open_files()
    work = _new_admin_key if options.new_admin_key else _serve
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work(settings))
    except BadConfiguration as error:
        return _refuse(error)
    except KeyboardInterrupt:  # before anybody listened to it
        return EXIT_INTERRUPTED


def _take_all_open_files() -> None:
    """Raise the soft limit on open files to the hard one.

    Every agent holds two connections; the usual soft limit of 1,024, kept for programs that use
    select(), would end at 500 nodes.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check(settings: config.ServerConfig) -> int:
    """Show a configuration that can be one; what it names is not opened."""
    from windlass_server.storage.engine import parse_database_url

    parse_database_url(settings.effective_database_url)
    sys.stdout.write(f"the configuration is good\n{settings.model_dump_json(indent=2)}\n")
    return 0


async def _serve(settings: config.ServerConfig) -> int:
    from windlass_server.app import App

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    app = await App.build(settings)
    try:
        await app.start()
        collector.set_for_serving()
        await stop.wait()
    finally:
        await app.stop()
    return 0


async def _new_admin_key(settings: config.ServerConfig) -> int:
    from windlass_server.access import bootstrap
    from windlass_server.access.secrets import load_secrets
    from windlass_server.clock import SystemClock
    from windlass_server.storage.engine import open_database

    database = await open_database(settings.effective_database_url, shared=True)
    try:
        secrets = load_secrets(settings.data_dir, settings.secret_key.get_secret_value())
        made = await bootstrap.rotate_admin_key(
            database, SystemClock(), secrets.api_key_pepper, settings.data_dir
        )
    except WindlassError as error:
        raise BadConfiguration(error.message) from None
    finally:
        await database.close()
    sys.stdout.write(f"the administrator's new key is in {made.path}\n")
    return 0


class _Parser(argparse.ArgumentParser):
    """Refuses what it does not know in one line, like everything else that is refused here."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_CONFIGURATION, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="windlass server",
        description="Run the windlass control plane: gateway, services and scheduler.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"windlass {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file (TOML)")
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept")
    parser.add_argument("--http", metavar="HOST:PORT", help="where to listen for HTTP")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="where to listen for gRPC")
    parser.add_argument("--database-url", metavar="URL", help="sqlite:///… or postgresql://…")
    parser.add_argument("--http-server", choices=["granian", "uvicorn"], help="ASGI server")
    parser.add_argument(
        "--cors-origin",
        action="append",
        dest="cors_origins",
        metavar="ORIGIN",
        help="an origin whose pages may use the REST API; can be repeated",
    )
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--log-format", choices=["json", "text"])
    parser.add_argument(
        "--check-config", action="store_true", help="read the configuration, print it and stop"
    )
    parser.add_argument(
        "--new-admin-key",
        action="store_true",
        help="replace the administrator's key, write the new one to DATA_DIR/admin.token and stop",
    )
    parser.add_argument(
        "--die-with-parent", action="store_true", help="stop when the parent process ends"
    )
    return parser


def _flags(options: argparse.Namespace) -> dict[str, object]:
    names = (
        "data_dir",
        "http",
        "grpc",
        "database_url",
        "http_server",
        "cors_origins",
        "log_level",
        "log_format",
    )
    return {name: getattr(options, name) for name in names}


def _refuse(error: BadConfiguration) -> int:
    sys.stderr.write(f"windlass server: {' '.join(str(error).split())}\n")
    return EXIT_BAD_CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())
