"""Many writes as one transaction, where one that is refused does not spoil the others."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from windlass_server.errors import Unavailable
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")


async def write_together(
    database: Database,
    items: Sequence[I],
    work: Callable[[Transaction, Sequence[I]], Sequence[R]],
) -> list[R | Exception]:
    """Write all items in one transaction; where that is refused, each half of them, down to one alone.

    Refusals are rare, so that most often it is one transaction, and of many items of which one is refused
    the others are in about twice as many transactions as the number of items has digits in base 2.

    Args:
        database: where to.
        items: what is to be written, in the order in which the later ones may be refused for the earlier.
        work: writes some of them, and answers for each; what it raises refuses them all.

    Returns:
        For each item its answer, or what it was refused with.

    Raises:
        Unavailable: the database cannot be reached; some items may have been written.
    """
    if not items:
        return []
    try:
        return list(await database.write(lambda tx: work(tx, items)))
    except Unavailable:
        raise
    except Exception as error:
        if len(items) == 1:
            return [error]
    half = len(items) // 2
    return [
        *await write_together(database, items[:half], work),
        *await write_together(database, items[half:], work),
    ]
