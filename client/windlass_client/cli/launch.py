"""`windlass server …`, `gateway …`, `agent …` and others: hand over to the programs of the extras.

The process is replaced, so that signals, exit codes and `--help` are the program's own, and nothing
of the client stays loaded.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence

import typer

from windlass_client.cli.output import say
from windlass_client.cli.session import EXIT_USAGE

# A library of each extra, beside our own package: whether the extra was installed.
_NEEDS = {
    "server": ("windlass_server", "granian", "sqlmodel"),
    "agent": ("windlass_agent", "psutil"),
}

_PASSED_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command("server", context_settings=_PASSED_THROUGH, add_help_option=False)
    def server(ctx: typer.Context) -> None:
        """Run the control plane; `windlass server --help` says how."""
        become("server", ctx.args)

    @app.command("gateway", context_settings=_PASSED_THROUGH, add_help_option=False)
    def gateway(ctx: typer.Context) -> None:
        """Serve any gRPC API as HTTP and JSON; `windlass gateway --help` says how."""
        become("server", ctx.args, ".gateway")

    @app.command("envoy-config", context_settings=_PASSED_THROUGH, add_help_option=False)
    def envoy_config(ctx: typer.Context) -> None:
        """Print a configuration of Envoy that does the same; `--help` says how."""
        become("server", ctx.args, ".gateway.envoy")

    @app.command("agent", context_settings=_PASSED_THROUGH, add_help_option=False)
    def agent(ctx: typer.Context) -> None:
        """Run this machine's agent; `windlass agent --help` says how."""
        become("agent", ctx.args)


def python_module(extra: str, program: str = "") -> list[str]:
    """The command line that runs an extra's program, or the one in a package below it.

    `-P` keeps the working directory off the import path: a file `random.py` of the user's must not
    take the place of a module.
    """
    return [sys.executable, "-P", "-m", f"windlass_{extra}{program}"]


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def missing(extra: str, is_installed: Callable[[str], bool] = _is_installed) -> str | None:
    """What to do when an extra is not installed; None when it is."""
    absent = [module for module in _NEEDS[extra] if not is_installed(module)]
    if not absent:
        return None
    return (
        f"error: this needs {', '.join(absent)}, which is not installed; "
        f"run: pip install 'windlass[{extra}]'"
    )


def become(extra: str, arguments: Sequence[str], program: str = "") -> None:
    """Replace this process by an extra's program; says what is missing when it is not installed."""
    if problem := missing(extra):
        say(problem)
        raise typer.Exit(EXIT_USAGE)
    sys.stdout.flush()
    sys.stderr.flush()
    argv = [*python_module(extra, program), *arguments]
    os.execv(argv[0], argv)  # noqa: S606 - our own interpreter, no shell
