"""A Ctrl-C that comes before a program listens to it ends it like any other, without a traceback."""

import subprocess
import sys

import pytest

PROBE = """
import asyncio, os, signal, sys
import windlass_{name}.__main__ as program

async def starting(*_):
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.Event().wait()

signal.signal(signal.SIGINT, signal.default_int_handler)
program.{work} = starting
sys.exit(program.main({arguments}))
"""


@pytest.mark.parametrize(
    ("name", "work", "arguments"),
    [
        ("server", "_serve", []),
        ("agent", "run_agent", ["--server", "127.0.0.1:1"]),
    ],
)
def test_it_ends_quietly(name: str, work: str, arguments: list[str]):
    probe = PROBE.format(name=name, work=work, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
