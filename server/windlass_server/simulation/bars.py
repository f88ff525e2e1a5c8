"""A bar on standard error while a simulation goes on, for people who look."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Begin: TypeAlias = Callable[[str, int], Callable[[int], None]]
"""Begins a bar: what is done, and how much of it there is; gives a function to say how much is done."""


@contextmanager
def bars(*, hidden: bool) -> Iterator[Begin]:
    """Bars that go away when all is done; none where nobody looks."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
    ) as progress:

        def begin(description: str, size: int) -> Callable[[int], None]:
            bar = progress.add_task(description, total=size)
            return lambda done: progress.update(bar, completed=done, visible=done < size)

        yield begin
