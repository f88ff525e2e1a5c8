"""`windlass pools …`."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.nodes import pairs
from windlass_client.cli.output import cell, moment, table
from windlass_client.cli.session import Session, command, group
from windlass_client.quantities import format_bytes, format_cpu_millis, format_gpus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.table import Table

    from windlass.resources.v1 import pool_pb2


def list_pools(session: Session) -> None:
    """List the pools, by name, with what is free of them and who waits."""
    from windlass.resources.v1 import resources_service_pb2

    pools = list(session.client.pools.list())
    page = resources_service_pb2.ListPoolsResponse(pools=pools)
    session.answer(page, lambda: pools_table(pools), nothing="" if pools else "no pools")


app = group(
    "pools",
    list_pools,
    help="Groups of nodes with rules of their own.",
    examples=["windlass pools", "windlass pools create h100 --gpu-type H100 --allow vision"],
)
command(app, "list", examples=["windlass pools list", "windlass pools list -o json"])(list_pools)

PoolArgument = Annotated[str, typer.Argument(metavar="POOL", help="Its name.", show_default=False)]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Nodes that carry it; repeatable: all."),
]
TypeOption = Annotated[
    list[str] | None, typer.Option(help="Nodes with such a GPU; repeatable: any.")
]
ZoneOption = Annotated[list[str] | None, typer.Option(help="Nodes in it; repeatable: any.")]
ClusterOption = Annotated[list[str] | None, typer.Option(help="Nodes of it; repeatable: any.")]
ShareOption = Annotated[
    bool | None,
    typer.Option("--share-gpus/--no-share-gpus", help="Jobs may ask for shares of GPUs."),
]
SharersOption = Annotated[
    int | None,
    typer.Option(min=0, max=100, help="The most jobs on one GPU; 0: as many as fit."),
]
ProjectsOption = Annotated[
    list[str] | None,
    typer.Option(help="A project that may use it; repeatable. Default: every project."),
]
CpuOption = Annotated[
    float | None, typer.Option(help="CPU to hand out for each that there is, 1 to 16.")
]
MemoryOption = Annotated[
    float | None, typer.Option(help="Memory to hand out for each that there is, 1 to 4.")
]

_CREATE_HELP = """Make a pool, which takes the nodes that it selects at once.

A node is in one pool: of those that select it in that of the highest priority.

[bold]Examples:[/bold]

    windlass pools create h100 --gpu-type H100 --allow vision --allow speech

    windlass pools create small --gpu-type L4 --share-gpus --max-jobs-per-gpu 4

    windlass pools create cheap --label kind=spot --zone a --zone b --cpu-overcommit 1.5"""


@command(app, "create", help=_CREATE_HELP)
def create(
    session: Session,
    pool: PoolArgument,
    label: LabelOption = None,
    gpu_type: TypeOption = None,
    zone: ZoneOption = None,
    cluster: ClusterOption = None,
    priority: Annotated[int, typer.Option(help="Higher pools take nodes first.")] = 0,
    description: Annotated[str, typer.Option(help="What it is for, for people.")] = "",
    cpu_overcommit: CpuOption = None,
    memory_overcommit: MemoryOption = None,
    allow: ProjectsOption = None,
    share_gpus: ShareOption = None,
    max_jobs_per_gpu: SharersOption = None,
) -> None:
    """See `_CREATE_HELP`."""
    made = session.client.pools.create(
        pool,
        selector=_selector(label, gpu_type, zone, cluster),
        description=description,
        priority=priority,
        cpu_overcommit=1.0 if cpu_overcommit is None else cpu_overcommit,
        memory_overcommit=1.0 if memory_overcommit is None else memory_overcommit,
        allowed_projects=allow or (),
        share_gpus=bool(share_gpus),
        max_jobs_per_gpu=max_jobs_per_gpu or 0,
    )
    session.answer(made, lambda: made.pool_id)


@command(app, "get", examples=["windlass pools get h100"])
def get(session: Session, pool: PoolArgument) -> None:
    """Show a pool."""
    found = session.client.pools.get(pool)
    session.answer(found, lambda: pool_table(found))


_UPDATE_HELP = """Change what is given of a pool; nodes go where they then belong.

[bold]Examples:[/bold]

    windlass pools update h100 --allow vision       nobody else any more

    windlass pools update h100 --allow-all

    windlass pools update cheap --label kind=spot   instead of what it selected by before"""


@command(app, "update", help=_UPDATE_HELP)
def update(
    session: Session,
    pool: PoolArgument,
    label: LabelOption = None,
    gpu_type: TypeOption = None,
    zone: ZoneOption = None,
    cluster: ClusterOption = None,
    priority: Annotated[int | None, typer.Option(help="Higher pools take nodes first.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for, for people.")] = None,
    cpu_overcommit: CpuOption = None,
    memory_overcommit: MemoryOption = None,
    allow: ProjectsOption = None,
    allow_all: Annotated[bool, typer.Option("--allow-all", help="Every project.")] = False,
    share_gpus: ShareOption = None,
    max_jobs_per_gpu: SharersOption = None,
) -> None:
    """See `_UPDATE_HELP`."""
    selects = any((label, gpu_type, zone, cluster))
    found = session.client.pools.update(
        pool,
        selector=_selector(label, gpu_type, zone, cluster) if selects else None,
        description=description,
        priority=priority,
        overcommit=_ratios(session, pool, cpu_overcommit, memory_overcommit),
        allowed_projects=() if allow_all else allow,
        sharing=_sharing(session, pool, share_gpus, max_jobs_per_gpu),
    )
    session.answer(found, lambda: pool_table(found))


@command(app, "delete", examples=["windlass pools delete h100"])
def delete(session: Session, pool: PoolArgument) -> None:
    """Remove a pool; its nodes go to the others, and what runs there runs on."""
    gone = session.client.pools.delete(pool)
    session.answer(gone, lambda: f"{gone.pool_id} deleted")


def _selector(
    labels: list[str] | None,
    gpu_types: list[str] | None,
    zones: list[str] | None,
    clusters: list[str] | None,
) -> "pool_pb2.PoolSelector":
    from windlass_client.pools import selector

    return selector(
        labels=pairs(labels or ()),
        gpu_types=gpu_types or (),
        zones=zones or (),
        clusters=clusters or (),
    )


def _ratios(
    session: Session, pool: str, cpu: float | None, memory: float | None
) -> tuple[float, float] | None:
    """Both ratios, of which the one that is not given stays as it is."""
    if cpu is None and memory is None:
        return None
    now = session.client.pools.get(pool).overcommit
    return (
        now.cpu_ratio or 1.0 if cpu is None else cpu,
        now.memory_ratio or 1.0 if memory is None else memory,
    )


def _sharing(
    session: Session, pool: str, enabled: bool | None, most: int | None
) -> tuple[bool, int] | None:
    """Whether GPUs are shared and by how many; the one that is not given stays as it is."""
    if enabled is None and most is None:
        return None
    now = session.client.pools.get(pool).sharing
    return (
        now.enabled if enabled is None else enabled,
        now.max_jobs_per_gpu if most is None else most,
    )


def pools_table(pools: "Sequence[pool_pb2.Pool]") -> "Table":
    """A line for each pool."""
    right = ["NODES", "GPUS FREE", "CPUS FREE", "MEMORY FREE", "RUNNING", "QUEUED"]
    made = table("POOL", *right, "PROJECTS", "SELECTS", right=right)
    for one in pools:
        has, free = one.allocatable, one.available
        made.add_row(
            cell(one.pool_id),
            cell(sum(one.node_counts.values())),
            cell(f"{free.gpu_count}/{has.gpu_count}"),
            cell(f"{format_cpu_millis(free.cpu_millis)}/{format_cpu_millis(has.cpu_millis)}"),
            cell(f"{format_bytes(free.memory_bytes)}/{format_bytes(has.memory_bytes)}"),
            cell(one.job_counts.get("RUNNING", 0)),
            cell(one.queue_depth),
            cell(_projects(one)),
            cell(_selection(one)),
        )
    return made


def pool_table(one: "pool_pb2.Pool") -> "Table":
    """Everything about a pool."""
    from rich.table import Table

    made = table("", "")
    made.show_header = False
    for heading, value in (
        ("pool", one.pool_id),
        ("description", one.description),
        ("selects", _selection(one)),
        ("priority", str(one.priority) if one.priority else ""),
        ("projects", _projects(one)),
        ("nodes", _counts(one.node_counts)),
        ("gpus", _counts(one.gpu_counts)),
        ("gpus held", _gpus(one)),
        ("cpus held", _amount(one, "cpu", "cpu_millis", format_cpu_millis)),
        ("gpus shared", _shared(one)),
        ("memory held", _amount(one, "memory", "memory_bytes", format_bytes)),
        ("jobs", _counts(one.job_counts)),
        ("fragmentation", one.fragmentation.summary),
        ("created", moment(one.create_time)),
    ):
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    if not one.fragmentation.idle_gpus:
        return made
    whole = Table.grid()
    for part in (made, "", _fragmentation_table(one.fragmentation)):
        whole.add_row(part)
    return whole


def _fragmentation_table(found: "pool_pb2.Fragmentation") -> "Table":
    """What the idle GPUs are worth to each class of jobs."""
    right = ["GPUS", "CPUS", "MEMORY", "WAITING", "USELESS"]
    made = table(*right[:1], "TYPE", *right[1:], right=right)
    for one in found.classes:
        made.add_row(
            cell(format_gpus(one.resources.gpu_count, one.resources.gpu_millis)),
            cell(one.resources.gpu_type or "any"),
            cell(format_cpu_millis(one.resources.cpu_millis)),
            cell(format_bytes(one.resources.memory_bytes)),
            cell(one.waiting_jobs),
            cell(f"{one.useless_gpus:g} of {found.idle_gpus} ({one.useless_share:.0%})"),
        )
    return made


def _projects(one: "pool_pb2.Pool") -> str:
    if not one.restricted:
        return "all"
    return ", ".join(one.allowed_projects) or "others"


def _selection(one: "pool_pb2.Pool") -> str:
    asked = one.selector
    parts = [f"{key}={value}" for key, value in sorted(asked.labels.items())]
    for name, values in (
        ("gpu", asked.gpu_types),
        ("zone", asked.zones),
        ("cluster", asked.clusters),
    ):
        if values:
            parts.append(f"{name}: {' or '.join(values)}")
    return ", ".join(parts)


def _shared(one: "pool_pb2.Pool") -> str:
    most = one.sharing.max_jobs_per_gpu
    if not one.sharing.enabled:
        return ""
    return f"by at most {most} jobs each" if most else "by as many jobs as fit"


def _counts(counts: "Mapping[str, int]") -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


def _gpus(one: "pool_pb2.Pool") -> str:
    held, free = one.allocated.gpu_count, one.available.gpu_count
    return f"{held} of {one.capacity.gpu_count}, {free} free" + _used(one, "gpu")


def _amount(one: "pool_pb2.Pool", name: str, field: str, text: "Callable[[int], str]") -> str:
    """As in `12 of 24 (2 times 12), 50% in use`."""
    has, hands, held = (
        text(getattr(part, field)) for part in (one.capacity, one.allocatable, one.allocated)
    )
    ratio = getattr(one.overcommit, f"{name}_ratio")
    more = f" ({ratio:g} times {has})" if ratio > 1 else ""
    return f"{held} of {hands}{more}" + _used(one, name)


def _used(one: "pool_pb2.Pool", name: str) -> str:
    measured = one.utilization.HasField(f"{name}_used")
    return f", {getattr(one.utilization, f'{name}_used'):.0%} in use" if measured else ""
