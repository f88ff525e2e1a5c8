"""`windlass allocations …`."""

import enum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.gpu_options import (
    GpuMemoryOption,
    GpuProfileOption,
    GpuShareOption,
    asked_memory,
    asked_share,
)
from windlass_client.cli.output import ago, cell, moment, say, status_cell, table
from windlass_client.cli.session import Session, command, group
from windlass_client.quantities import format_bytes, format_cpu_millis, format_gpus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.table import Table

    from windlass.resources.v1 import allocation_pb2
    from windlass.types.v1 import topology_pb2

AllocationArgument = Annotated[str, typer.Argument(metavar="ALLOCATION", show_default=False)]
TtlOption = Annotated[
    str | None, typer.Option("--ttl", help="Such as 30m; default 10m, at most 7d.")
]


class Domain(enum.StrEnum):
    """Within what the parts of an allocation may have to lie."""

    NVLINK = "nvlink"
    NODE = "node"
    RACK = "rack"
    BLOCK = "block"


def list_allocations(
    session: Session,
    node: Annotated[str, typer.Option(help="Only on this node (id).")] = "",
    user: Annotated[str, typer.Option(help="Only of this principal.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also those that have ended.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 lists all.")] = 50,
) -> None:
    """List the allocations of a project, newest first."""
    from windlass.resources.v1 import allocation_pb2, resources_service_pb2

    found = session.client.allocations.list(
        status=None if everything else allocation_pb2.Allocation.ACTIVE,
        node_id=node,
        user=user,
        page_size=min(limit + 1, 1000) if limit else 1000,
    )
    allocations = list(islice(found, limit + 1) if limit else found)
    if limit and len(allocations) > limit:
        allocations.pop()
        say(f"the newest {limit} are shown; --limit 0 lists all")
    page = resources_service_pb2.ListAllocationsResponse(allocations=allocations)
    over = "" if everything else "; --all lists also those that have ended"
    nothing = "" if allocations else f"no allocations{over}"
    session.answer(page, lambda: allocations_table(allocations, session.now()), nothing=nothing)


app = group(
    "allocations",
    list_allocations,
    help="Hold parts of nodes for a time, without a job.",
    examples=[
        "windlass allocations create --gpus 2 --gpu-type H100 --ttl 1h",
        "windlass allocations",
    ],
)
command(
    app,
    "list",
    examples=[
        "windlass allocations list",
        "windlass allocations list --all --user ada@example.com --limit 0 -o json",
    ],
)(list_allocations)

_CREATE_HELP = """Take a part of a node, whole or not at all, and print its id.

It is given back by itself when its time is over, unless it is renewed before.

[bold]Example:[/bold]

    ID=$(windlass allocations create --gpus 2 --gpu-type H100 --ttl 1h)

    windlass allocations create --gpus 4 --require rack --prefer nvlink --near $ID

    windlass allocations renew $ID

    windlass allocations release $ID"""


@command(app, "create", help=_CREATE_HELP)
def create(
    session: Session,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs, whole unless a kind is said.")] = 0,
    gpu_type: Annotated[str, typer.Option(help="Such as H100; default any.")] = "",
    gpu_profile: GpuProfileOption = "",
    gpu_memory: GpuMemoryOption = None,
    gpu_share: GpuShareOption = None,
    cpus: Annotated[str | None, typer.Option(help="Cores, such as 1.5; default 1.")] = None,
    memory: Annotated[str | None, typer.Option(help="Such as 4GiB; default 256MiB.")] = None,
    exclusive: Annotated[
        bool, typer.Option("--exclusive", help="An empty node, which is then held whole.")
    ] = False,
    zone: Annotated[
        list[str] | None, typer.Option(help="Only nodes labelled with it; repeatable.")
    ] = None,
    pool: Annotated[
        str, typer.Option(help="Only its nodes; default any pool that the project may use.")
    ] = "",
    rack: Annotated[
        list[str] | None, typer.Option(help="Only nodes labelled with it; repeatable.")
    ] = None,
    block: Annotated[
        list[str] | None, typer.Option(help="Only nodes labelled with it; repeatable.")
    ] = None,
    require: Annotated[
        Domain | None, typer.Option(help="All its GPUs in one, or nothing.", case_sensitive=False)
    ] = None,
    prefer: Annotated[
        Domain | None, typer.Option(help="The same if it can be had.", case_sensitive=False)
    ] = None,
    near: Annotated[
        str, typer.Option(metavar="ALLOCATION", help="In the same one as this allocation.")
    ] = "",
    ttl: TtlOption = None,
) -> None:
    """See `_CREATE_HELP`."""
    made = session.client.allocations.create(
        gpus=gpus,
        gpu_type=gpu_type,
        gpu_profile=gpu_profile,
        gpu_memory=asked_memory(gpu_memory),
        gpu_share=asked_share(gpu_share),
        cpus=cpus,
        memory=memory,
        exclusive_node=exclusive,
        zones=zone or (),
        pool=pool,
        racks=rack or (),
        blocks=block or (),
        required=_level(require),
        preferred=_level(prefer),
        near=near,
        ttl=ttl,
    )
    session.answer(made, lambda: made.allocation_id)
    say(f"held on {made.node_id} until {moment(made.expire_time)}")


@command(app, "get", examples=["windlass allocations get alloc-01k0…"])
def get(session: Session, allocation_id: AllocationArgument) -> None:
    """Show an allocation."""
    found = session.client.allocations.get(allocation_id)
    session.answer(found, lambda: allocation_table(found))


@command(
    app,
    "renew",
    examples=[
        "windlass allocations renew alloc-01k0…",
        "windlass allocations renew alloc-01k0… --ttl 2h",
    ],
)
def renew(session: Session, allocation_id: AllocationArgument, ttl: TtlOption = None) -> None:
    """Give an allocation its time anew; without --ttl as long as before."""
    found = session.client.allocations.renew(allocation_id, ttl=ttl)
    session.answer(found, lambda: f"{found.allocation_id} until {moment(found.expire_time)}")


@command(
    app,
    "release",
    examples=[
        "windlass allocations release alloc-01k0…",
        "windlass allocations release alloc-01k0… --force",
    ],
)
def release(
    session: Session,
    allocation_id: AllocationArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Also one that somebody else holds.")
    ] = False,
) -> None:
    """Give an allocation back."""
    found = session.client.allocations.release(allocation_id, force=force)
    session.answer(found, lambda: f"{found.allocation_id} {_status(found)}")


def allocations_table(
    allocations: "Sequence[allocation_pb2.Allocation]", now: "datetime"
) -> "Table":
    """A line for each allocation."""
    right = ["GPUS", "CPUS", "MEMORY"]
    made = table("ALLOCATION", "STATUS", "USER", "NODE", *right, "AGE", "EXPIRES", right=right)
    for one in allocations:
        made.add_row(
            cell(one.allocation_id),
            status_cell(_status(one)),
            cell(one.user),
            cell(one.node_id),
            cell(format_gpus(one.resources.gpu_count, one.resources.gpu_millis)),
            cell(format_cpu_millis(one.resources.cpu_millis)),
            cell(format_bytes(one.resources.memory_bytes)),
            cell(ago(one.create_time, now)),
            cell(moment(one.expire_time)),
        )
    return made


def allocation_table(one: "allocation_pb2.Allocation") -> "Table":
    """Everything about an allocation."""
    made = table("", "")
    made.show_header = False
    for heading, value in (
        ("allocation", one.allocation_id),
        ("status", _status(one)),
        ("why", " ".join(filter(None, (one.status_reason, one.status_message)))),
        ("project", one.project),
        ("user", one.user),
        ("node", one.node_id),
        ("exclusive", "yes" if one.exclusive_node else ""),
        ("share", format_gpus(1, one.resources.gpu_millis) if one.resources.gpu_millis else ""),
        ("gpus", " ".join(one.gpu_uuids)),
        ("within one", _domain(one)),
        ("cpus", format_cpu_millis(one.resources.cpu_millis)),
        ("memory", format_bytes(one.resources.memory_bytes)),
        ("fencing token", str(one.fencing_token)),
        ("created", moment(one.create_time)),
        ("expires", moment(one.expire_time)),
        ("ended", moment(one.end_time) if one.HasField("end_time") else ""),
    ):
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    return made


def _status(one: "allocation_pb2.Allocation") -> str:
    from windlass.resources.v1 import allocation_pb2

    return allocation_pb2.Allocation.Status.Name(one.status)


def _level(domain: Domain | None) -> "topology_pb2.Topology.Level | None":
    from windlass.types.v1 import topology_pb2

    return None if domain is None else getattr(topology_pb2.Topology, domain.name)


def _domain(one: "allocation_pb2.Allocation") -> str:
    from windlass.types.v1 import topology_pb2

    name = topology_pb2.Topology.Level.Name(one.topology_level)
    return Domain[name] if one.topology_level else ""
