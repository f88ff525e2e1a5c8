"""`windlass clusters …`."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import cell, moment, table
from windlass_client.cli.session import Session, command, group
from windlass_client.quantities import format_bytes, format_cpu_millis, format_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from windlass.resources.v1 import cluster_pb2


def list_clusters(session: Session) -> None:
    """List the clusters, by name, with what their nodes have."""
    from windlass.resources.v1 import resources_service_pb2

    clusters = list(session.client.clusters.list())
    page = resources_service_pb2.ListClustersResponse(clusters=clusters)
    session.answer(
        page, lambda: clusters_table(clusters), nothing="" if clusters else "no clusters"
    )


app = group(
    "clusters",
    list_clusters,
    help="Places with machines of their own.",
    examples=["windlass clusters", "windlass clusters create east"],
)
command(app, "list", examples=["windlass clusters list", "windlass clusters list -o json"])(
    list_clusters
)

ClusterArgument = Annotated[
    str, typer.Argument(metavar="CLUSTER", help="Its name.", show_default=False)
]
DescriptionOption = Annotated[str, typer.Option(help="What it is, for people.")]

_CREATE_HELP = """Make a cluster; nodes join it with tokens that name it.

[bold]Example:[/bold]

    windlass clusters create east --description 'the hall in the east'

    windlass node-token --cluster east"""


@command(app, "create", help=_CREATE_HELP)
def create(session: Session, cluster: ClusterArgument, description: DescriptionOption = "") -> None:
    """See `_CREATE_HELP`."""
    made = session.client.clusters.create(cluster, description=description)
    session.answer(made, lambda: made.cluster_id)


@command(app, "get", examples=["windlass clusters get east"])
def get(session: Session, cluster: ClusterArgument) -> None:
    """Show a cluster."""
    found = session.client.clusters.get(cluster)
    session.answer(found, lambda: cluster_table(found))


@command(
    app, "update", examples=["windlass clusters update east --description 'the hall in the east'"]
)
def update(session: Session, cluster: ClusterArgument, description: DescriptionOption) -> None:
    """Change what a cluster is said to be."""
    found = session.client.clusters.update(cluster, description=description)
    session.answer(found, lambda: cluster_table(found))


@command(app, "delete", examples=["windlass clusters delete east"])
def delete(session: Session, cluster: ClusterArgument) -> None:
    """Remove a cluster that has no nodes; tokens to join it are void."""
    gone = session.client.clusters.delete(cluster)
    session.answer(gone, lambda: f"{gone.cluster_id} deleted")


def clusters_table(clusters: "Sequence[cluster_pb2.Cluster]") -> "Table":
    """A line for each cluster."""
    right = ["NODES", "GPUS HELD", "CPUS HELD", "MEMORY HELD"]
    made = table("CLUSTER", "KIND", *right, "DESCRIPTION", right=right)
    for one in clusters:
        has, held = one.capacity, one.allocated
        made.add_row(
            cell(one.cluster_id),
            cell(_kind(one)),
            cell(f"{one.connected_node_count}/{one.node_count}"),
            cell(f"{held.gpu_count}/{has.gpu_count}"),
            cell(f"{format_cpu_millis(held.cpu_millis)}/{format_cpu_millis(has.cpu_millis)}"),
            cell(f"{format_bytes(held.memory_bytes)}/{format_bytes(has.memory_bytes)}"),
            cell(one.description),
        )
    return made


def cluster_table(one: "cluster_pb2.Cluster") -> "Table":
    """Everything about a cluster."""
    has, held = one.capacity, one.allocated
    made = table("", "")
    made.show_header = False
    for heading, value in (
        ("cluster", one.cluster_id),
        ("kind", _kind(one)),
        ("description", one.description),
        ("nodes", f"{one.node_count}, {one.connected_node_count} connected"),
        ("gpus", f"{held.gpu_count} of {has.gpu_count} held"),
        (
            "cpus",
            f"{format_cpu_millis(held.cpu_millis)} of {format_cpu_millis(has.cpu_millis)} held",
        ),
        (
            "memory",
            f"{format_bytes(held.memory_bytes)} of {format_bytes(has.memory_bytes)} held",
        ),
        ("created", moment(one.create_time)),
        *_remote(one),
    ):
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    return made


def _remote(one: "cluster_pb2.Cluster") -> "list[tuple[str, str]]":
    """What there is to say of another installation."""
    if not one.HasField("remote_status"):
        return []
    from windlass.resources.v1 import remote_cluster_pb2

    settings, status = one.remote, one.remote_status
    state = remote_cluster_pb2.RemoteStatus.State.Name(status.state)
    affinity = [f"{key}={value}" for key, value in sorted(settings.affinity.labels.items())]
    affinity += settings.affinity.gpu_types
    takes = []
    if settings.HasField("spill_over_after"):
        takes.append(f"jobs that have waited {format_span(settings.spill_over_after.ToSeconds())}")
    if settings.HasField("affinity"):
        takes.append(f"at once: {', '.join(affinity) or 'every job'}")
    return [
        ("endpoint", settings.endpoint),
        ("state", f"{state}: {status.message}"),
        (
            "last heard",
            moment(status.last_contact_time) if status.last_contact_time.seconds else "",
        ),
        ("version", status.version),
        ("takes", "nothing: paused" if settings.paused else "; ".join(takes) or "nothing"),
        ("jobs there", str(status.job_count)),
    ]


def _kind(one: "cluster_pb2.Cluster") -> str:
    from windlass.resources.v1 import cluster_pb2

    return cluster_pb2.Cluster.Kind.Name(one.kind)
