"""What many ask to have written, or read, at about the same time: done in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from windlass_server.storage.engine import Database
from windlass_server.storage.guard import acting_as
from windlass_server.storage.together import write_together
from windlass_server.storage.transaction import Transaction

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")

# Writes follow each other in no less, so that under load each has many items.
_REST_SECONDS = 0.01
# Items of one transaction at most, so that nobody else waits long for it.
_MOST = 256


class Gathering(Generic[I, R]):
    """Gathers items while those before them are written.

    An item that comes in a quiet moment is written at once. Of several that are written together one
    that is refused does not spoil the others.

    Args:
        database: where to.
        work: as in `write_together`.
        actor: in whose name it is written.
        sleep: waits for some seconds; a test's own for a clock of its own.
    """

    def __init__(
        self,
        database: Database,
        work: Callable[[Transaction, Sequence[I]], Sequence[R]],
        *,
        actor: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._work = work
        self._actor = actor
        self._sleep = sleep
        self._waiting: list[tuple[I, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, item: I) -> R:
        """Write an item; returns the answer for it, or raises what it was refused with."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name=f"{self._actor} gathering")
        return await done

    async def _write_all(self) -> None:
        with acting_as(self._actor):
            while self._waiting:
                some, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._write(some)
                await self._sleep(_REST_SECONDS)
        self._writing = None

    async def _write(self, some: Sequence[tuple[I, asyncio.Future[R]]]) -> None:
        answers: Sequence[R | Exception]
        try:
            answers = await write_together(self._database, [item for item, _ in some], self._work)
        except Exception as error:
            answers = [error] * len(some)
        _tell(some, answers)


class Readings(Generic[I, R]):
    """Reads in one transaction what is asked for while the one before is read.

    What is read for an item is at least as new as the moment in which it was asked for.

    Args:
        database: where from.
        load: reads for some items, and answers for each, in their order.
        actor: in whose name it is read.
    """

    def __init__(
        self,
        database: Database,
        load: Callable[[Transaction, Sequence[I]], Sequence[R]],
        *,
        actor: str,
    ) -> None:
        self._database = database
        self._load = load
        self._actor = actor
        self._waiting: list[tuple[I, asyncio.Future[R]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def read(self, item: I) -> R:
        """What there is for an item; raises what reading it, and those beside it, was refused with."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all(), name=f"{self._actor} reading")
        return await done

    async def _read_all(self) -> None:
        with acting_as(self._actor):
            while self._waiting:
                some, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                items = [item for item, _ in some]
                answers: Sequence[R | Exception]
                try:
                    answers = await self._database.read(
                        lambda tx, items=items: self._load(tx, items)  # type: ignore[misc]
                    )
                except Exception as error:
                    answers = [error] * len(some)
                _tell(some, answers)
        self._reading = None


def _tell(asked: Sequence[tuple[I, asyncio.Future[R]]], answers: Sequence[R | Exception]) -> None:
    for (_, done), answer in zip(asked, answers, strict=True):
        # Whoever asked may have gone; what was written is written all the same.
        if done.done():
            continue
        if isinstance(answer, Exception):
            done.set_exception(answer)
        else:
            done.set_result(answer)
