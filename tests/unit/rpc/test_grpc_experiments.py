"""What the server switches in grpc is something that grpc has."""

import os
import subprocess
import sys

import pytest

_START = """
import windlass_server.__main__
import grpc
grpc.insecure_channel("127.0.0.1:1").close()
"""


def complaints(**environment: str) -> str:
    """What grpc writes to stderr when it is loaded as the server loads it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    done = subprocess.run(
        [sys.executable, "-c", _START],
        env=clean | {"GRPC_VERBOSITY": "ERROR"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


@pytest.mark.parametrize(
    ("environment", "unknown"), [({}, False), ({"GRPC_EXPERIMENTS": "-no_such_thing"}, True)]
)
def test_grpc_knows_what_the_server_switches(environment: dict[str, str], unknown: bool) -> None:
    assert ("Unknown experiment" in complaints(**environment)) is unknown
