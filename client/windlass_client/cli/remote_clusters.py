"""`windlass clusters register` and `configure`: other installations that take jobs of this one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli import clusters
from windlass_client.cli.session import Session, command
from windlass_client.cli.submit import pairs
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import parse_duration

if TYPE_CHECKING:
    from windlass.resources.v1 import remote_cluster_pb2

_NEVER = "never"

KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        help="File with an API key of that installation; - reads standard input.",
        show_default=False,
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca-file", help="PEM of the authorities that may sign its certificate."),
]
NameOption = Annotated[
    str | None, typer.Option("--server-name", help="The name that its certificate must have.")
]
ThereOption = Annotated[
    str | None, typer.Option("--remote-project", help="The project there; default the key's.")
]
SpillOption = Annotated[
    str | None,
    typer.Option(
        "--spill-over-after",
        help="Takes jobs that have waited so long, or could never run here; never: none.",
    ),
]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--affinity-label", metavar="KEY=VALUE", help="Takes jobs with it at once; repeatable."
    ),
]
TypesOption = Annotated[
    list[str] | None,
    typer.Option("--affinity-gpu-type", help="Takes jobs for one of them at once; repeatable."),
]
WeightOption = Annotated[
    int | None, typer.Option(min=1, max=1000, help="Its share beside others; default 100.")
]
MostOption = Annotated[
    int | None, typer.Option("--max-jobs", min=1, max=1000, help="At once; default 100.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only-project", help="Takes only jobs of it; repeatable; default all."),
]
EndpointArgument = Annotated[
    str,
    typer.Argument(
        metavar="HOST:PORT", help="Its gRPC address, as for --server.", show_default=False
    ),
]

_REGISTER_HELP = """Let another installation of windlass take jobs of this one.

Its administrator makes a key for it: windlass api-keys create here --role developer --project guests

[bold]Example:[/bold]

    windlass clusters register west west.example:50051 --api-key-file west.key --spill-over-after 60s

    windlass clusters get west"""


def register(
    session: Session,
    cluster: clusters.ClusterArgument,
    endpoint: EndpointArgument,
    api_key_file: KeyOption = None,
    ca_file: CaOption = None,
    server_name: NameOption = None,
    remote_project: ThereOption = None,
    spill_over_after: SpillOption = None,
    affinity_label: LabelsOption = None,
    affinity_gpu_type: TypesOption = None,
    weight: WeightOption = None,
    max_jobs: MostOption = None,
    only_project: OnlyOption = None,
    description: clusters.DescriptionOption = "",
) -> None:
    """See `_REGISTER_HELP`."""
    settings = _policy(spill_over_after, affinity_label, affinity_gpu_type)
    settings.endpoint = endpoint
    _reach(settings, api_key_file, ca_file, server_name)
    settings.project = remote_project or ""
    settings.weight, settings.max_jobs = weight or 0, max_jobs or 0
    settings.projects.extend(only_project or ())
    made = session.client.clusters.register(cluster, settings, description=description)
    session.answer(made, lambda: made.cluster_id)


_CONFIGURE_HELP = """Change how another installation is reached, or which jobs it takes.

What is not named stays as it is. Another endpoint or authority needs the key again.

[bold]Example:[/bold]

    windlass clusters configure west --pause

    windlass clusters configure west --api-key-file new.key --resume"""


def configure(
    session: Session,
    cluster: clusters.ClusterArgument,
    endpoint: Annotated[str | None, typer.Option(help="Its gRPC address.")] = None,
    api_key_file: KeyOption = None,
    ca_file: CaOption = None,
    server_name: NameOption = None,
    remote_project: ThereOption = None,
    spill_over_after: SpillOption = None,
    affinity_label: LabelsOption = None,
    affinity_gpu_type: TypesOption = None,
    no_affinity: Annotated[bool, typer.Option("--no-affinity", help="Prefer it for none.")] = False,
    weight: WeightOption = None,
    max_jobs: MostOption = None,
    only_project: OnlyOption = None,
    pause: Annotated[
        bool | None, typer.Option("--pause/--resume", help="Whether nothing new goes there.")
    ] = None,
) -> None:
    """See `_CONFIGURE_HELP`."""
    settings = _policy(spill_over_after, affinity_label, affinity_gpu_type)
    settings.endpoint = endpoint or ""
    _reach(settings, api_key_file, ca_file, server_name)
    settings.project = remote_project or ""
    settings.weight, settings.max_jobs = weight or 0, max_jobs or 0
    settings.projects.extend(only_project or ())
    settings.paused = bool(pause)
    fields = {field.name for field, _ in settings.ListFields()}
    # What is set to nothing has no value, and is meant all the same.
    fields |= {"spill_over_after"} if spill_over_after is not None else set()
    fields |= {"affinity"} if no_affinity else set()
    fields |= {"paused"} if pause is not None else set()
    if not fields:
        raise InvalidArgument("name what shall be different", reason="NOTHING_TO_CHANGE")
    found = session.client.clusters.configure(cluster, settings, sorted(fields))
    session.answer(found, lambda: clusters.cluster_table(found))


def register_commands(app: typer.Typer) -> None:
    """Add the commands to those about clusters."""
    command(app, "register", help=_REGISTER_HELP)(register)
    command(app, "configure", help=_CONFIGURE_HELP)(configure)


def _policy(
    spill_over_after: str | None, labels: list[str] | None, gpu_types: list[str] | None
) -> "remote_cluster_pb2.RemoteSettings":
    from windlass.resources.v1 import remote_cluster_pb2

    settings = remote_cluster_pb2.RemoteSettings()
    if spill_over_after is not None and spill_over_after != _NEVER:
        settings.spill_over_after.FromTimedelta(parse_duration(spill_over_after))
    if labels or gpu_types:
        settings.affinity.labels.update(pairs(labels or [], "--affinity-label"))
        settings.affinity.gpu_types.extend(gpu_types or ())
    return settings


def _reach(
    settings: "remote_cluster_pb2.RemoteSettings",
    api_key_file: Path | None,
    ca_file: Path | None,
    server_name: str | None,
) -> None:
    if api_key_file is not None:
        settings.api_key = _read(api_key_file).strip()
    if ca_file is not None:
        settings.ca_certificates = _read(ca_file)
    settings.server_name = server_name or ""


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InvalidArgument(f"cannot read {file}: {reason}", reason="BAD_FILE") from error
