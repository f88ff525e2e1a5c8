"""The `windlass` command."""

import json
from typing import Annotated

import typer

import windlass_client
from windlass_client import WindlassError
from windlass_client.cli import (
    access,
    actions,
    allocations,
    artifacts,
    bulk,
    clusters,
    demo,
    drain_waves,
    events,
    fleet,
    job_metrics,
    jobs,
    joining,
    launch,
    logs,
    metrics,
    nodes,
    policies,
    pools,
    prices,
    profile,
    queues,
    quotas,
    remote_clusters,
    reservations,
    retry,
    secrets,
    shares,
    simulate,
    sources,
    submit,
    templates,
    top,
    up,
    usage,
    webhooks,
)
from windlass_client.cli.output import printable, to_json
from windlass_client.cli.session import (
    OutputOption,
    ProjectOption,
    ServerOption,
    Session,
    Shared,
    TokenOption,
    command,
)

app = typer.Typer(
    name="windlass",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
    help="""Run AI/ML work on GPU machines.

[bold]Examples:[/bold]

    windlass demo                        a cluster and a job; cleans up behind it

    windlass up --simulate-gpus 8xH100   a server and an agent on this machine

    windlass submit --gpus 1 --follow --workdir "$PWD" -- python3 train.py

    windlass jobs list --status RUNNING -o json

    windlass top                         every GPU, live

    windlass usage --by user,gpu_type    who held what in the last seven days

    windlass simulate --help             what recorded work would be under other policies

[bold]Exit codes:[/bold] 0 ok, 1 failed, 2 usage or configuration,
3 server unreachable, 4 not found, 5 not permitted;
with --wait or --follow that of the job.""",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"windlass {windlass_client.__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    server: ServerOption = None,
    token: TokenOption = None,
    project: ProjectOption = None,
    output: OutputOption = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Keep the shared options for the command that follows."""
    del version
    ctx.obj = Shared(server, token, project, output)


@command(app, "version", examples=["windlass version", "windlass version -o json"])
def version(session: Session) -> None:
    """Print the version of this client and, when it can be reached, of the server."""
    server = session.settings().server
    versions: dict[str, object] = {"client": windlass_client.__version__, "server": None}
    try:
        info = session.client.with_timeout(2).system.info()
        about = f"server {info.version} ({info.database}) at {server}"
        versions["server"] = json.loads(to_json(info))
    except WindlassError as error:
        about = f"server at {server}: {error.message}"
    if session.json:
        typer.echo(json.dumps(versions, indent=2))
    else:
        typer.echo(printable(f"windlass {windlass_client.__version__}\n{about}"))


submit.register(app)
retry.register(app)
actions.register(app, jobs.app)
bulk.register(jobs.app)
metrics.register(nodes.app)
job_metrics.register(jobs.app)
profile.register(jobs.app)
logs.register(app, jobs.app)
app.add_typer(jobs.app)
app.add_typer(artifacts.app)
app.add_typer(sources.app)
app.add_typer(nodes.app)
app.add_typer(drain_waves.app)
app.add_typer(allocations.app)
app.add_typer(reservations.app)
app.add_typer(clusters.app)
usage.register(app)
app.add_typer(prices.app)
app.add_typer(pools.app)
app.add_typer(policies.app)
shares.register(app)
app.add_typer(queues.app)
app.add_typer(templates.app)
app.add_typer(quotas.app)
app.add_typer(secrets.app)
app.add_typer(webhooks.app)
remote_clusters.register_commands(clusters.app)
top.register(app)
nodes.register_join_token(app)
joining.register(nodes.app)
access.register(app)
events.register(app)
up.register(app)
demo.register(app)
launch.register(app)
simulate.register(app)
fleet.register(app)


def run() -> None:
    """Entry point of the `windlass` script."""
    app(prog_name="windlass")


if __name__ == "__main__":
    run()
