"""`windlass up`: a whole cluster on this machine, in the foreground."""

import asyncio
import shlex
import signal
from pathlib import Path
from typing import Annotated

import typer

from windlass_client.cli.cluster import Cluster, Endpoint, Plan, Refused
from windlass_client.cli.launch import missing
from windlass_client.cli.output import say
from windlass_client.cli.session import EXIT_USAGE, LOCAL_TOKEN
from windlass_client.cli.supervise import watch_without_threads
from windlass_client.settings import DEFAULT_SERVER

_HELP = """Run a server and an agent on this machine until Ctrl-C.

[bold]Examples:[/bold]

    windlass up                                   the GPUs that the machine has

    windlass up --simulate-gpus 8xH100            pretend to have eight

    windlass up --http 0.0.0.0:8080 --grpc 0.0.0.0:50051 --keep-tasks"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up", help=_HELP)(up)


def endpoint(text: str) -> Endpoint:
    """Parse an option. Raises typer.BadParameter."""
    try:
        return Endpoint.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def up(
    data_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Everything that is kept lies here.")
    ] = LOCAL_TOKEN.parent,
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="REST API.")] = "127.0.0.1:8080",
    grpc: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="gRPC, for clients and agents.")
    ] = DEFAULT_SERVER,
    simulate_gpus: Annotated[
        str, typer.Option(metavar="SPEC", help="Pretend to have GPUs, such as 8xH100.")
    ] = "",
    divide_gpus: Annotated[
        bool,
        typer.Option("--divide-gpus", help="Let the server divide idle GPUs into MIG instances."),
    ] = False,
    agent: Annotated[
        bool, typer.Option("--agent/--no-agent", help="Whether this machine runs jobs too.")
    ] = True,
    keep_tasks: Annotated[
        bool,
        typer.Option("--keep-tasks", help="Tasks live on behind Ctrl-C; the next up adopts them."),
    ] = False,
    database_url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            envvar="WINDLASS_DATABASE_URL",
            show_envvar=True,
            show_default=False,
            help="PostgreSQL instead of SQLite; the variable keeps the password out of `ps`.",
        ),
    ] = "",
) -> None:
    """See `_HELP`."""
    for extra in ("server", "agent") if agent else ("server",):
        if problem := missing(extra):
            say(problem)
            raise typer.Exit(EXIT_USAGE)
    plan = Plan(
        data_dir=data_dir.absolute(),
        http=endpoint(http),
        grpc=endpoint(grpc),
        simulate_gpus=simulate_gpus,
        divide_gpus=divide_gpus,
        agent=agent,
        keep_tasks=keep_tasks,
        database_url=database_url,
    )
    watch_without_threads()
    raise typer.Exit(asyncio.run(_run(plan)))


async def _run(plan: Plan) -> int:
    cluster = Cluster(plan, say)
    stop = asyncio.Event()
    stop_on_signals(cluster, stop)
    banner = asyncio.create_task(_greet(cluster))
    try:
        await cluster.run(stop)
    except Refused as error:
        say(f"error: {error}")
        return EXIT_USAGE
    finally:
        banner.cancel()
    say("windlass is down")
    return 0


def stop_on_signals(cluster: Cluster, stop: asyncio.Event) -> None:
    """Let the first signal end the cluster in order, and a second one kill it."""

    def on_signal() -> None:
        if stop.is_set():
            say("killing the agent and the server")
            cluster.kill()
            return
        stop.set()
        tasks = "keeping" if cluster.plan.keep_tasks else "stopping"
        say(f"\n{tasks} the tasks, then stopping the agent and the server; again to kill them")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


async def _greet(cluster: Cluster) -> None:
    await cluster.ready.wait()
    say(banner(cluster.plan))


def banner(plan: Plan) -> str:
    """Where everything is and what to do first."""
    server = "" if str(plan.grpc.near) == DEFAULT_SERVER else f"--server {plan.grpc.near} "
    found_by_itself = plan.data_dir == LOCAL_TOKEN.parent.absolute()
    token = shlex.quote(str(plan.token_file))
    lines = [
        "windlass is up",
        f"  REST           http://{plan.http.near}",
        f"  gRPC           {plan.grpc.near}",
        f"  admin token    {plan.token_file}",
        "try, in another terminal:",
        *([] if found_by_itself else [f"  export WINDLASS_TOKEN_FILE={token}"]),
        f"  windlass {server}submit --follow -- python3 -c 'print(\"hello\")'",
        f"  windlass {server}top",
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)
