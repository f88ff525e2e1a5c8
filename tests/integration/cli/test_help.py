"""Every command and every group of commands shows by example how it is used."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

import windlass_agent.config
import windlass_agent.fleet.config
import windlass_server.__main__
import windlass_server.gateway.envoy.__main__
import windlass_server.gateway.standalone.options
import windlass_server.simulation.options
from windlass_client.cli.main import app

# What answers `--help` of those that hand over to a program of another package.
PROGRAMS = {
    "server": windlass_server.__main__._EPILOG,
    "gateway": windlass_server.gateway.standalone.options._EPILOG,
    "envoy-config": windlass_server.gateway.envoy.__main__._EPILOG,
    "agent": windlass_agent.config._EXAMPLE,
    "simulate": windlass_server.simulation.options._EPILOG,
    "fleet": windlass_agent.fleet.config._EXAMPLE,
}


def commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """A command, and all that are below it, by how they are called."""
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, f"{path} {name}".strip())


# Made once: that takes longer than to ask it for help.
WINDLASS: Any = typer.main.get_command(app)
EVERY = dict(commands(WINDLASS))
OURS = [path for path, one in EVERY.items() if one.add_help_option]


def examples(text: str) -> list[str]:
    """The lines behind the heading."""
    lines = [line.strip(" │\u00a0") for line in text.splitlines()]
    begins = [number for number, one in enumerate(lines) if one.lower().startswith("example")]
    return lines[begins[0] + 1 :] if begins else []


@pytest.mark.parametrize("path", OURS)
def test_its_help_has_an_example_of_it(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    WINDLASS.main([*path.split(), "--help"], prog_name="windlass", standalone_mode=False)
    found = examples(capsys.readouterr().out)
    assert any(f"windlass {path}".strip() in one for one in found), f"of `windlass {path}` none"


def test_programs_of_other_packages_have_examples_too():
    assert {path for path, one in EVERY.items() if not one.add_help_option} == {*PROGRAMS}
    for path, text in PROGRAMS.items():
        assert any(f"windlass {path}" in one for one in examples(text)), path
