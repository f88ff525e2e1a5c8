"""`windlass prices …`."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import cell, moment, table
from windlass_client.cli.session import Session, command, group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from windlass.resources.v1 import price_pb2

_UNITS = {"GPU": "GPU hour", "CPU": "core hour", "MEMORY": "GiB hour"}


def list_prices(
    session: Session,
    resource: Annotated[str, typer.Option(help="Only of gpu, cpu or memory.")] = "",
    gpu_type: Annotated[str, typer.Option(help="Only of this type of GPU.")] = "",
) -> None:
    """List the prices, newest first."""
    from windlass.resources.v1 import resources_service_pb2
    from windlass_client.prices import parse_resource

    prices = list(
        session.client.prices.list(
            resource=parse_resource(resource) if resource else None,
            gpu_type=gpu_type,
            page_size=1000,
        )
    )
    page = resources_service_pb2.ListPricesResponse(prices=prices)
    session.answer(page, lambda: prices_table(prices), nothing="" if prices else "no prices")


app = group(
    "prices",
    list_prices,
    help="What resources cost; `windlass usage` counts by it.",
    examples=["windlass prices set gpu 2.50 --gpu-type H100 --currency EUR", "windlass prices"],
)
command(
    app,
    "list",
    examples=["windlass prices list", "windlass prices list --resource gpu --gpu-type H100"],
)(list_prices)

_SET_HELP = """Say what one GPU, one core or one GiB of memory costs for an hour, from some time on.

Usage costs what held at its time. A price that was wrong is set anew for the same time.

[bold]Examples:[/bold]

    windlass prices set gpu 2.50 --gpu-type H100 --currency EUR

    windlass prices set cpu 0.03 --currency EUR --from 2026-12-01"""


@command(app, "set", help=_SET_HELP)
def set_price(
    session: Session,
    resource: Annotated[
        str,
        typer.Argument(
            metavar="gpu|cpu|memory",
            show_default=False,
            autocompletion=lambda: ["gpu", "cpu", "memory"],
        ),
    ],
    amount: Annotated[
        str, typer.Argument(metavar="AMOUNT", help="Such as 2.50.", show_default=False)
    ],
    currency: Annotated[str, typer.Option(help="Such as EUR; the same for all prices.")],
    gpu_type: Annotated[
        str, typer.Option(help="Such as H100; default every type without a price of its own.")
    ] = "",
    since: Annotated[
        str | None,
        typer.Option(
            "--from", help="A date, or a span before now; default now.", show_default=False
        ),
    ] = None,
) -> None:
    """See `_SET_HELP`."""
    from windlass_client.prices import parse_resource

    price = session.client.prices.set(
        parse_resource(resource),
        amount,
        currency=currency.upper(),
        gpu_type=gpu_type,
        start=session.moment(since) if since else None,
    )
    session.answer(price, lambda: price.price_id)


@command(app, "delete", examples=["windlass prices delete price-01k0…"])
def delete(
    session: Session,
    price_id: Annotated[str, typer.Argument(metavar="PRICE", show_default=False)],
) -> None:
    """Remove a price, as if it had never been set."""
    gone = session.client.prices.delete(price_id)
    session.answer(gone, lambda: f"{gone.price_id} deleted")


def prices_table(prices: "Sequence[price_pb2.Price]") -> "Table":
    """A line for each price."""
    from windlass.resources.v1 import price_pb2

    made = table("PRICE", "OF", "TYPE", "AMOUNT", "", "FROM", "SET BY", right=["AMOUNT"])
    for one in prices:
        resource = price_pb2.Price.Resource.Name(one.resource)
        made.add_row(
            cell(one.price_id),
            cell(resource),
            cell(one.gpu_type or "-"),
            cell(one.amount),
            cell(f"{one.currency} a {_UNITS.get(resource, resource)}"),
            cell(moment(one.start_time)),
            cell(one.user),
        )
    return made
