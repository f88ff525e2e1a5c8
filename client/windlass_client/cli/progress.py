"""A bar on the terminal while bytes are on their way."""

import os
from typing import TYPE_CHECKING

from windlass_client.cli.output import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def bar(name: str, size: int) -> "AbstractContextManager[Callable[[int], None]]":
    """A bar on the terminal while bytes are on their way; told how many are there."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    @contextmanager
    def shown() -> "Iterator[Callable[[int], None]]":
        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not os.isatty(2),
            transient=True,
        )
        with progress:
            task = progress.add_task(printable(name), total=size)
            yield lambda there: progress.update(task, completed=there)

    return shown()
