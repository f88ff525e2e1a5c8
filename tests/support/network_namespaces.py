"""Machines that are network namespaces, each with a cable to this one that can be cut.

Only root can make them. Nothing outside of them is touched but for the ends of the cables, whose names
and addresses (198.18.0.0/15, which is for such tests) are of this process alone.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.cluster import Process

_ENTER = """
import os, sys
os.execvp("nsenter", ["nsenter", sys.argv[1], sys.executable, *sys.argv[2:]])
"""


def missing() -> str:
    """Why there can be no namespaces here; empty when there can."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    absent = [command for command in ("ip", "nsenter") if shutil.which(command) is None]
    if absent:
        return f"{' and '.join(absent)} not installed"
    probe = f"wl{os.getpid()}probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.decode().strip()}"
    _ip("netns", "del", probe)
    return ""


@dataclass(frozen=True)
class Machine:
    """A namespace.

    Attributes:
        name: of the namespace.
        server: this machine's address, as it is reached from there.
    """

    name: str
    server: str

    def cut(self) -> None:
        """Cut the cable: nothing arrives on either side, and neither is told."""
        _ip("-n", self.name, "link", "set", "cable", "down")

    def mend(self) -> None:
        """Make the cable whole again."""
        _ip("-n", self.name, "link", "set", "cable", "up")

    async def start(self, *arguments: str, **environment: str) -> Process:
        """Start a Python process there; only its network is another."""
        net = f"--net=/run/netns/{self.name}"
        return await Process.start("-c", _ENTER, net, *arguments, **environment)


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """So many machines, gone with their cables when the block ends."""
    names = [f"wl{os.getpid()}n{number}" for number in range(count)]
    try:
        yield [_machine(name, number) for number, name in enumerate(names)]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _machine(name: str, number: int) -> Machine:
    net = f"198.{18 + os.getpid() // 256 % 2}.{os.getpid() % 256}.{number * 4}"
    prefix, _, last = net.rpartition(".")
    here, there = f"{prefix}.{int(last) + 1}", f"{prefix}.{int(last) + 2}"
    _ip("netns", "add", name)
    _ip("link", "add", name, "type", "veth", "peer", "name", "cable", "netns", name)
    _ip("address", "add", f"{here}/30", "dev", name)
    _ip("link", "set", name, "up")
    _ip("-n", name, "address", "add", f"{there}/30", "dev", "cable")
    for link in ("lo", "cable"):
        _ip("-n", name, "link", "set", link, "up")
    return Machine(name, here)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stderr.decode())
        done.check_returncode()
