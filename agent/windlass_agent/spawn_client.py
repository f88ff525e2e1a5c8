"""The agent's end of the spawner: keeps one running and asks it for shims."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from windlass_agent import processes
from windlass_agent.spawner import MAX_MESSAGE


class SpawnFailed(RuntimeError):
    """The machine could not start another process."""


class SpawnClient:
    """Starts shims through a spawner, which it starts anew whenever that has died.

    Args:
        cgroup_bases: Folder for the tasks' groups by controller.
        log: File for what the spawner and its shims say when they break. They outlive the agent,
            so they must not hold its stderr: whoever reads that would wait for them.
    """

    def __init__(self, cgroup_bases: dict[str, str], log: Path) -> None:
        self._bases = json.dumps(cgroup_bases)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._waiting: dict[int, tuple[str, bytes, asyncio.Future[int]]] = {}
        self._last_id = 0
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Start the spawner and wait until it has loaded everything."""
        self._launch()
        await self._ready.wait()

    async def spawn(self, folder: Path, secrets: bytes = b"") -> int | None:
        """Start the shim of a run.

        Args:
            folder: The run's.
            secrets: What the shim is to have of secrets, packed.

        Returns:
            A pidfd of the shim, owned by the caller; None if it has ended already.

        Raises:
            SpawnFailed: If the machine cannot start one.
        """
        self._last_id += 1
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[self._last_id] = (str(folder), secrets, future)
        self._send(self._last_id, str(folder), secrets)
        return self._open(await future)

    def _open(self, pid: int) -> int | None:
        """A pidfd of a shim; the spawner being its parent proves that it is no later process."""
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
            if self._process and processes.parent(pid) in (self._process.pid, 1):
                return pidfd
            os.close(pidfd)
        return None

    def close(self) -> None:
        """Let the spawner go; shims stay."""
        if self._channel:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None
        if self._process:
            self._process.wait()
            self._process = None

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        package_root = str(Path(__file__).parents[1])
        command = (sys.executable, "-P", "-m", "windlass_agent.spawner")
        with theirs, self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [*command, str(theirs.fileno()), self._bases],
                pass_fds=[theirs.fileno()],
                env={"PYTHONPATH": package_root, "PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._channel = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._receive)

    def _send(self, number: int, folder: str, secrets: bytes) -> None:
        if self._channel is None:
            return
        message = json.dumps({"id": number, "folder": folder}).encode()
        try:
            with _in_memory(secrets) as fds:
                socket.send_fds(self._channel, [message], fds)
        except BlockingIOError:
            asyncio.get_running_loop().call_later(0.005, self._send, number, folder, secrets)
        except OSError:
            pass  # it died: `_receive` sees that and sends everything again

    def _receive(self) -> None:
        assert self._channel is not None
        try:
            message = self._channel.recv(MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if message:
            self._answer(json.loads(message))
        else:
            self._restart()

    def _answer(self, reply: dict[str, Any]) -> None:
        if reply.get("ready"):
            self._ready.set()
            return
        _, _, future = self._waiting.pop(reply["id"])
        if future.done():
            return
        if "pid" in reply:
            future.set_result(reply["pid"])
        else:
            future.set_exception(SpawnFailed(reply["error"]))

    def _restart(self) -> None:
        self.close()
        self._launch()
        # A request may have been served already: a run's folder can be claimed only once, so a
        # second shim of it leaves at once.
        for number, (folder, secrets, _) in self._waiting.items():
            self._send(number, folder, secrets)


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[list[int]]:
    """A file in memory with this content, for others to read; none without content."""
    if not content:
        yield []
        return
    with open(os.memfd_create("secrets"), "wb") as file:  # noqa: PTH123
        file.write(content)
        file.flush()
        yield [file.fileno()]
