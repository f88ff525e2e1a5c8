"""`windlass nodes …` and `windlass node-token`."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.drain_waves import AfterwardsOption, answer
from windlass_client.cli.drains import is_drained, watch_drains
from windlass_client.cli.node_tables import node_events_table, node_table, nodes_table
from windlass_client.cli.output import moment, say
from windlass_client.cli.session import EXIT_FAILED, Session, command, group
from windlass_client.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windlass.resources.v1 import node_pb2, resources_service_pb2


def list_all(session: Session) -> None:
    """What `windlass nodes` without a command does."""
    list_nodes(session)


app = group(
    "nodes",
    list_all,
    help="Show the machines; without a command: list them.",
    examples=[
        "windlass nodes",
        "windlass nodes drain n1 --mode checkpoint-requeue --deadline 10m --wait",
    ],
)

_LIST_HELP = """List the nodes with what they have and what is free.

[bold]Examples:[/bold]

    windlass nodes list --status READY --gpu-type H100

    windlass nodes list --cluster east --zone a --label rack=7 -o json"""


@command(app, "list", help=_LIST_HELP)
def list_nodes(
    session: Session,
    status: Annotated[str, typer.Option(help="Such as READY or UNREACHABLE.")] = "",
    gpu_type: Annotated[str, typer.Option(help="Such as H100.")] = "",
    cluster: Annotated[str, typer.Option(help="Nodes of a cluster.")] = "",
    pool: Annotated[str, typer.Option(help="Nodes of a pool.")] = "",
    zone: Annotated[str, typer.Option(help="Nodes in a zone.")] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE that they carry; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 lists all.")] = 0,
) -> None:
    """See `_LIST_HELP`."""
    from windlass_client.nodes import parse_status

    found = session.client.nodes.list(
        status=parse_status(status) if status else None,
        gpu_type=gpu_type,
        cluster=cluster,
        pool=pool,
        zone=zone,
        labels=pairs(label or ()),
        page_size=min(limit + 1, 1000) if limit else 1000,
    )
    nodes = list(islice(found, limit + 1) if limit else found)
    if limit and len(nodes) > limit:
        nodes.pop()
        say(f"{limit} are shown; --limit 0 lists all")
    nothing = "" if nodes else "no nodes"
    session.answer(_page(nodes), lambda: nodes_table(nodes, session.now()), nothing=nothing)


def pairs(words: "Sequence[str]") -> dict[str, str]:
    """Labels given as KEY=VALUE. Raises InvalidArgument."""
    bad = [word for word in words if not word.partition("=")[0] or "=" not in word]
    if bad:
        raise InvalidArgument(f"{bad[0]!r} is not KEY=VALUE", reason="BAD_LABEL")
    return dict(word.split("=", 1) for word in words)


NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE", help="Its id, or its name.", show_default=False)
]
NodesArgument = Annotated[
    list[str], typer.Argument(metavar="NODE...", help="Ids or names.", show_default=False)
]
ReasonOption = Annotated[str, typer.Option(help="Why, for those who see the node.")]


@command(app, "get", examples=["windlass nodes get n1", "windlass nodes get node-01k0… -o json"])
def get(session: Session, node: NodeArgument) -> None:
    """Show a node and its GPUs."""
    found = session.client.nodes.get(node_ids(session, [node])[0])
    session.answer(found, lambda: node_table(found, session.now()))


@command(app, "events", examples=["windlass nodes events n1"])
def events(session: Session, node: NodeArgument) -> None:
    """List what happened to a node, oldest first."""
    from windlass.resources.v1 import resources_service_pb2

    node_id = node_ids(session, [node])[0]
    found = list(session.client.nodes.events(node_id, page_size=1000))
    page = resources_service_pb2.ListNodeEventsResponse(events=found)
    session.answer(page, lambda: node_events_table(found), nothing="" if found else "no events")


@command(app, "cordon", examples=["windlass nodes cordon n1 n2 --reason 'fans are loud'"])
def cordon(session: Session, nodes: NodesArgument, reason: ReasonOption = "") -> None:
    """Place nothing new on nodes; what runs there goes on."""
    ids = node_ids(session, nodes)
    session.each(
        (session.client.nodes.cordon(one, reason=reason) for one in ids), state_line, _page
    )


@command(app, "uncordon", examples=["windlass nodes uncordon n1 n2"])
def uncordon(session: Session, nodes: NodesArgument) -> None:
    """Open nodes to new work again; also ends a drain."""
    ids = node_ids(session, nodes)
    session.each((session.client.nodes.uncordon(one) for one in ids), state_line, _page)


_DRAIN_HELP = """Empty nodes: nothing new is placed there, and what runs leaves.

What is stopped is queued again, in its old place, and loses none of its attempts.

[bold]Examples:[/bold]

    windlass nodes drain n1                     lets everything end by itself

    windlass nodes drain n1 n2 --mode checkpoint-requeue --deadline 10m --wait

    windlass nodes drain n1 n2 n3 --max-unavailable 1 --afterwards await-uncordon

    windlass nodes drain n1 --mode force --reason 'fan on fire'

With --max-unavailable this is one drain of many nodes, whose id is printed: windlass drains get ID."""


@command(app, "drain", help=_DRAIN_HELP)
def drain(
    session: Session,
    nodes: NodesArgument,
    mode: Annotated[
        str,
        typer.Option(
            help="What becomes of what runs there: wait, checkpoint-requeue or force.",
            autocompletion=lambda: ["wait", "checkpoint-requeue", "force"],
        ),
    ] = "wait",
    deadline: Annotated[
        str | None, typer.Option(help="Stop what is left after, such as 10m.", show_default=False)
    ] = None,
    reason: ReasonOption = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when the nodes are drained, with progress.")
    ] = False,
    max_unavailable: Annotated[
        int | None, typer.Option(min=1, help="Close no more of them at once.", show_default=False)
    ] = None,
    afterwards: AfterwardsOption = "stay-drained",
) -> None:
    """See `_DRAIN_HELP`."""
    from windlass_client.drains import parse_afterwards
    from windlass_client.nodes import parse_drain_mode

    wanted, then = parse_drain_mode(mode), parse_afterwards(afterwards)
    if max_unavailable is not None:
        drain = session.client.drains.create(
            node_ids(session, nodes),
            mode=wanted,
            deadline=deadline,
            reason=reason,
            max_unavailable=max_unavailable,
            afterwards=then,
        )
        answer(session, drain, wait=wait)
        return
    if afterwards != "stay-drained":
        raise InvalidArgument("--afterwards needs --max-unavailable", reason="BAD_AFTERWARDS")
    draining = [
        session.client.nodes.drain(node_id, mode=wanted, deadline=deadline, reason=reason)
        for node_id in node_ids(session, nodes)
    ]
    if wait:
        draining = watch_drains(session.client, draining)
    session.each(draining, state_line, _page)
    if wait and not all(is_drained(node) for node in draining):
        say("a drain was ended by somebody before the node was empty")
        raise typer.Exit(EXIT_FAILED)


_REMOVE_HELP = """Forget machines for good: their keys are refused, they join again as new nodes.

[bold]Examples:[/bold]

    windlass nodes remove n7

    windlass nodes remove n7 --force     it burnt with what ran on it; that is queued again"""


@command(app, "remove", help=_REMOVE_HELP)
def remove(
    session: Session,
    nodes: NodesArgument,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also those that hold something, which then ends as lost."),
    ] = False,
) -> None:
    """See `_REMOVE_HELP`."""
    ids = node_ids(session, nodes)
    session.each(
        (session.client.nodes.delete(one, force=force) for one in ids),
        lambda node: f"{node.node_id} removed ({node.name})",
        _page,
    )


def _page(nodes: "list[node_pb2.Node]") -> "resources_service_pb2.ListNodesResponse":
    from windlass.resources.v1 import resources_service_pb2

    return resources_service_pb2.ListNodesResponse(nodes=nodes)


def node_ids(session: Session, words: "Sequence[str]") -> list[str]:
    """The ids of nodes given by id or by name. Raises InvalidArgument and NotFound."""
    if all(word.startswith("node-") for word in words):
        return list(words)
    by_name: dict[str, list[str]] = {}
    known = set()
    for node in session.client.nodes.list(page_size=1000):
        by_name.setdefault(node.name, []).append(node.node_id)
        known.add(node.node_id)
    return [word if word in known else _named(word, by_name.get(word, [])) for word in words]


def _named(name: str, ids: "Sequence[str]") -> str:
    if not ids:
        raise NotFound(f"there is no node {name!r}", reason="NODE_NOT_FOUND")
    if len(ids) > 1:
        message = f"{len(ids)} nodes are named {name!r}; give one of {', '.join(ids)}"
        raise InvalidArgument(message, reason="AMBIGUOUS_NODE_NAME")
    return ids[0]


def state_line(node: "node_pb2.Node") -> str:
    """A node's status, and how far its drain is."""
    from windlass.resources.v1 import node_pb2

    line = f"{node.node_id} {node_pb2.Node.Status.Name(node.status)}"
    kept = node.maintenance
    if kept.state == node_pb2.Maintenance.DRAINING:
        line += f", {kept.runs_left} of {kept.runs_at_start} runs left"
        if kept.HasField("estimated_end_time"):
            line += f", until {moment(kept.estimated_end_time)} at the latest"
    return line


_JOIN_HELP = """Make a token with which a machine can join, or several, and print it.

[bold]Examples:[/bold]

    WINDLASS_JOIN_TOKEN=$(windlass node-token) windlass agent --server 10.0.0.5:50051

    windlass node-token --uses 40 --lifetime 1d     one token for a rack"""


def register_join_token(app: typer.Typer) -> None:
    """Add `windlass node-token`."""
    command(app, "node-token", help=_JOIN_HELP)(node_token)


def node_token(
    session: Session,
    lifetime: Annotated[
        str | None, typer.Option(help="Such as 10m; default 1h, at most 7d.")
    ] = None,
    uses: Annotated[int, typer.Option(min=1, help="How many machines may join with it.")] = 1,
    cluster: Annotated[str, typer.Option(help="Theirs; default `default`.")] = "",
) -> None:
    """See `_JOIN_HELP`."""
    token = session.client.nodes.create_join_token(
        lifetime=lifetime, max_uses=uses, cluster=cluster
    )
    session.answer(token, lambda: token.token)
    say(f"good for {machines(uses)} until {moment(token.expire_time)}")


def machines(count: int) -> str:
    """So many machines, in words."""
    return "one machine" if count == 1 else f"{count} machines"
