"""`windlass shares`."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import cell, say, table
from windlass_client.cli.session import Session, command
from windlass_client.quantities import format_span

if TYPE_CHECKING:
    from rich.table import Table

    from windlass.resources.v1 import scheduling_policy_pb2

_HELP = """Show what projects and users had lately and have, and whose turn is next.

Of the projects the one of rank 1 has the next turn, of its users the one of the lowest rank.

[bold]Examples:[/bold]

    windlass shares

    windlass shares --queue nightly -o json"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "shares", help=_HELP)(shares)


def shares(
    session: Session,
    queue: Annotated[str, typer.Option(help="By the rules of this queue.")] = "",
    pool: Annotated[str, typer.Option(help="And of this pool, where the queue has none.")] = "",
) -> None:
    """See `_HELP`."""
    found = session.client.shares.get(queue=queue, pool=pool)
    nothing = "" if found.shares else "nobody had, has or waits for anything"
    session.answer(found, lambda: shares_table(found), nothing=nothing)
    if not session.json and found.shares:
        life = format_span(found.half_life.ToTimedelta().total_seconds())
        how = f"half-life {life}" if found.enabled else "off: jobs go by priority and submission"
        say(f"fair share: {how}; Jain's index {found.jain_index:.3f}")
        if found.omitted:
            say(f"{found.omitted} more are left out")


def shares_table(found: "scheduling_policy_pb2.Shares") -> "Table":
    """A line for each project and, behind it, for each of its users."""
    right = ["RANK", "WEIGHT", "LATELY", "NOW", "SHARE", "ENTITLED"]
    made = table("PROJECT", "USER", *right, right=right)
    for one in found.shares:
        made.add_row(
            cell("" if one.user else one.project, "bold"),
            cell(one.user),
            cell(one.rank),
            cell(f"{one.weight:g}"),
            cell(f"{one.lately_gpus:.2f}"),
            cell(f"{one.held_gpus:.2f}"),
            cell(f"{one.share:.1%}"),
            cell(f"{one.entitled_share:.1%}"),
        )
    return made
