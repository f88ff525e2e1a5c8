"""`windlass demo`: a cluster, a training job, its log beside the GPUs; then everything is gone."""

import asyncio
import contextlib
import http.client
import json
import socket
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from windlass_client.cli.cluster import Cluster, Endpoint, Plan, Refused
from windlass_client.cli.launch import missing
from windlass_client.cli.output import cell, console, say
from windlass_client.cli.session import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from windlass_client.cli.supervise import unless
from windlass_client.cli.up import stop_on_signals
from windlass_client.errors import Unavailable, WindlassError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from windlass.jobs.v1 import job_pb2
    from windlass.resources.v1 import node_pb2
    from windlass_client import AsyncClient

_GPUS = "8xH100"
_START_LIMIT = 60.0
_REST_COMMAND = ["sh", "-c", 'echo "hello from REST on $(uname -s), GPUs: $CUDA_VISIBLE_DEVICES"']
_LOG_LINES = 14
_WIDE = 160

_HELP = """Show windlass on this machine in about 20 seconds: eight simulated GPUs, a real training job.

Everything runs in a temporary directory and on free ports, and is removed at the end.

[bold]Example:[/bold]

    windlass demo"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", help=_HELP)(demo)


def demo() -> None:
    """See `_HELP`."""
    for extra in ("server", "agent"):
        if problem := missing(extra):
            say(problem)
            raise typer.Exit(EXIT_USAGE)
    with tempfile.TemporaryDirectory(prefix="windlass-demo-") as folder:
        raise typer.Exit(asyncio.run(_demo(Path(folder))))


async def _demo(folder: Path) -> int:
    """Run the cluster and the show beside each other; the exit code."""
    http_port, grpc_port = free_ports(2)
    plan = Plan(
        data_dir=folder,
        http=Endpoint("127.0.0.1", http_port),
        grpc=Endpoint("127.0.0.1", grpc_port),
        simulate_gpus=_GPUS,
    )
    log = folder / "windlass.log"
    stop = asyncio.Event()
    with log.open("wb") as output:
        cluster = Cluster(plan, say, output=output.fileno())
        stop_on_signals(cluster, stop)
        say(f"starting a server and an agent with {_GPUS} simulated GPUs in {folder}")
        running = asyncio.create_task(cluster.run(stop))
        interrupted = asyncio.Event()
        try:
            code = await _beside(running, stop, interrupted, _show(cluster))
        except (WindlassError, Refused) as error:
            say(f"error: {error}")
            code = EXIT_FAILED
        finally:
            stop.set()
            with contextlib.suppress(Refused):
                await running
    if code != 0 and not interrupted.is_set():
        _show_end_of(log)
    return code


async def _beside(
    running: "asyncio.Task[None]", stop: asyncio.Event, interrupted: asyncio.Event, show: Any
) -> int:
    """The show's exit code; ends early with the cluster's own failure, or when the user stops it."""
    playing = asyncio.ensure_future(unless(stop, show))
    await asyncio.wait([playing, running], return_when=asyncio.FIRST_COMPLETED)
    if not playing.done():
        stop.set()
        running.result()
    code = await playing
    if code is None:
        interrupted.set()
        return EXIT_INTERRUPTED
    return int(code)


async def _show(cluster: Cluster) -> int:
    from windlass_client import AsyncClient
    from windlass_client.cli.jobs import events_table, job_table
    from windlass_client.cli.output import read_clock
    from windlass_client.jobs import exit_code

    await _ready(cluster)
    async with AsyncClient(settings=cluster.settings()) as client:
        await _node(client)
        source = resources.files("windlass_client.cli").joinpath("demo_training.py").read_text()
        job = await client.jobs.submit(
            ["python3", "-u", "-c", source],
            name="two-spirals",
            gpus=2,
            gpu_type="H100",
            memory="1GiB",
        )
        say(f"submitted {job.job_id} over gRPC: two-spirals, 2 GPUs")
        second = await _submit_over_rest(cluster)
        say(f"submitted {second} over REST: POST http://{cluster.plan.http.near}/v1/jobs, 1 GPU")
        await _watch(client, job.job_id)
        final = await client.jobs.wait(job.job_id, timeout=60)
        other = await client.jobs.wait(second, timeout=60)
        events = [event async for event in client.jobs.events(job.job_id)]
        del final.command[3:]
        out = console(sys.stdout)
        for heading, shown in (
            ("the training job", job_table(final, read_clock())),
            ("what happened to it", events_table(events)),
            ("the job that came over REST", job_table(other, read_clock())),
            ("its output", cell(await _text(client, second))),
        ):
            out.print()
            out.print(cell(heading, "bold underline"))
            out.print(shown)
    return EXIT_FAILED if exit_code(final) or exit_code(other) else 0


async def _ready(cluster: Cluster) -> None:
    try:
        async with asyncio.timeout(_START_LIMIT):
            await cluster.ready.wait()
    except TimeoutError:
        raise Unavailable("the server did not start in time", reason="NO_SERVER") from None


async def _node(client: "AsyncClient") -> "node_pb2.Node":
    """The node, once it is ready. Raises Unavailable when that takes too long."""
    from windlass.resources.v1 import node_pb2

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_LIMIT):
            while True:
                async for node in client.nodes.list(status=node_pb2.Node.READY):
                    return node
                await asyncio.sleep(0.1)
    raise Unavailable("the agent did not join in time", reason="NO_NODE")


async def _submit_over_rest(cluster: Cluster) -> str:
    body = {
        "name": "hello-rest",
        "command": _REST_COMMAND,
        "resources": {"gpu_count": 1, "memory_bytes": str(64 * 2**20)},
    }
    answer = await asyncio.to_thread(
        _post, cluster.plan.http.near, "/v1/jobs", body, cluster.settings().token or ""
    )
    return str(answer["job_id"])


def _post(server: Endpoint, path: str, body: object, token: str) -> dict[str, Any]:
    """POST JSON. Raises Unavailable with the server's own words when it does not take it."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"POST {path}: {error}", reason="REST_FAILED") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        message = f"POST {path} answered {response.status}: {text[:500]}"
        raise Unavailable(message, reason="REST_FAILED")
    answer: dict[str, Any] = json.loads(text)
    return answer


async def _watch(client: "AsyncClient", job_id: str) -> None:
    """Show the log beside the GPUs on a terminal; elsewhere the log's lines, and the GPUs once."""
    lines: deque[str] = deque(maxlen=_LOG_LINES)
    if sys.stdout.isatty():
        await _watch_live(client, job_id, lines)
        return
    seen = 0
    async for line in _lines(client, job_id):
        seen += 1
        say(f"  {line}")
        if seen == 8:
            console(sys.stderr).print(await _gpus(client))


async def _watch_live(client: "AsyncClient", job_id: str, lines: deque[str]) -> None:
    from rich.live import Live

    async def read() -> None:
        async for line in _lines(client, job_id):
            lines.append(line)

    reading = asyncio.create_task(read())
    try:
        with Live(console=console(sys.stdout), auto_refresh=False) as live:
            while not reading.done():
                shown = _screen(job_id, lines, await _gpus(client), live.console.width)
                live.update(shown, refresh=True)
                await asyncio.wait([reading], timeout=0.25)
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


def _screen(job_id: str, lines: deque[str], gpus: "RenderableType", width: int) -> "RenderableType":
    """Log and GPUs side by side, or one above the other where the terminal is narrow."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table

    height = _LOG_LINES + 2
    log = Panel(cell_lines(lines), title=f"windlass logs {job_id} -f", height=height)
    top = Panel(gpus, title="windlass top", height=height)
    if width < _WIDE:
        return Group(log, top)
    side_by_side = Table.grid(expand=True)
    side_by_side.add_column(ratio=2)
    side_by_side.add_column(ratio=3)
    side_by_side.add_row(log, top)
    return side_by_side


def cell_lines(lines: "deque[str]") -> "RenderableType":
    """The lines as one text, harmless to the terminal."""
    from rich.text import Text

    return Text("\n").join(cell(line) for line in lines)


async def _gpus(client: "AsyncClient") -> "RenderableType":
    from windlass_client.cli.top import gpu_table

    return gpu_table([node async for node in client.nodes.list()])


async def _lines(client: "AsyncClient", job_id: str) -> AsyncIterator[str]:
    """The job's output by lines, as it comes."""
    rest = ""
    async for message in client.jobs.logs(job_id, follow=True):
        rest += chunk_text(message)
        *whole, rest = rest.split("\n")
        for line in whole:
            yield line
    if rest:
        yield rest


async def _text(client: "AsyncClient", job_id: str) -> str:
    return "".join([chunk_text(m) async for m in client.jobs.logs(job_id, follow=True)]).strip()


def chunk_text(message: "job_pb2.JobLogMessage") -> str:
    """The output in a log message; empty when it carries none."""
    chunk = message.chunk
    return chunk.text or chunk.data.decode(errors="replace")


def free_ports(count: int) -> list[int]:
    """Ports of this machine on which nothing listens at this moment, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for made in sockets:
            made.bind(("127.0.0.1", 0))
        return [int(made.getsockname()[1]) for made in sockets]


def _show_end_of(log: Path) -> None:
    text = log.read_text(encoding="utf-8", errors="replace")
    say("the last lines of the server and the agent:")
    for line in text.splitlines()[-20:]:
        say(f"  {line}")
