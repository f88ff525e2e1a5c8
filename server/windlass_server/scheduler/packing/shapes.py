"""What tasks ask for, and what nodes have, as arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

WHOLE = 1000
"""A whole GPU, in thousandths."""


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """What tasks of one class ask for. Memory is not part of it: it decides only where a task fits.

    Attributes:
        cpu_millis: CPU in thousandths of a core.
        gpu_count: GPUs on one node; 0 for none.
        gpu_millis: what it takes of each, in thousandths; less than `WHOLE` only of a single one.
        gpu_types: the types that it takes, sorted; empty for any.
    """

    cpu_millis: int
    gpu_count: int = 0
    gpu_millis: int = 0
    gpu_types: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Thousandths of GPUs in all."""
        return self.gpu_count * self.gpu_millis

    @property
    def shares(self) -> bool:
        """It takes a part of one GPU."""
        return self.gpu_count == 1 and self.gpu_millis < WHOLE


@dataclass(frozen=True, slots=True)
class States:
    """What is idle on nodes; it does not matter on which of a node's GPUs.

    Attributes:
        cpu: thousandths of a core, one for each of S states.
        gpus: thousandths of each GPU, S x G, ascending in each row; 0 for what is not there.
        kinds: index of the type of the node's GPUs, S.
    """

    cpu: Integers
    gpus: Integers
    kinds: Integers

    def __len__(self) -> int:
        return len(self.cpu)

    @property
    def idle(self) -> Integers:
        """Idle thousandths of GPUs, S."""
        total: Integers = self.gpus.sum(axis=1)
        return total

    def at(self, rows: "Integers | slice") -> "States":
        """Some of them, or one of them more than once."""
        return States(self.cpu[rows], self.gpus[rows], self.kinds[rows])


@dataclass(frozen=True, slots=True)
class Classes:
    """M shapes and how many tasks have each, as arrays.

    Attributes:
        shapes: sorted.
        cpu: thousandths of a core, M.
        count: GPUs, M.
        millis: thousandths of each GPU, M.
        admits: which types of GPU each takes, M x K; all of them where it takes none.
        popularity: the share of tasks that each is, M; the sum is 1.
    """

    shapes: tuple[Shape, ...]
    cpu: Integers
    count: Integers
    millis: Integers
    admits: Mask
    popularity: Floats

    @classmethod
    def of(cls, counted: Iterable[tuple[Shape, int]], gpu_types: Sequence[str]) -> "Classes":
        """From shapes and the number of tasks of each, which is above 0; K types of GPU."""
        rows = sorted(counted)
        shapes = tuple(shape for shape, _ in rows)
        tasks = np.array([number for _, number in rows], np.float64)
        return cls(
            shapes,
            np.array([shape.cpu_millis for shape in shapes], np.int64),
            np.array([shape.gpu_count for shape in shapes], np.int64),
            np.array([shape.gpu_millis for shape in shapes], np.int64),
            np.array([admitted(shape, gpu_types) for shape in shapes], np.bool_),
            tasks / tasks.sum(),
        )

    def typical(self, share: float) -> "Classes":
        """The most popular classes that together are at least this share of tasks."""
        order = np.argsort(-self.popularity, kind="stable")
        before = np.cumsum(self.popularity[order]) - self.popularity[order]
        kept = np.sort(order[before < share - 1e-9])
        popularity = self.popularity[kept]
        return Classes(
            tuple(self.shapes[index] for index in kept),
            self.cpu[kept],
            self.count[kept],
            self.millis[kept],
            self.admits[kept],
            popularity / popularity.sum(),
        )

    @property
    def size(self) -> Integers:
        """Thousandths of GPUs that a task of each class takes, M."""
        return self.count * self.millis


def admitted(shape: Shape, gpu_types: Sequence[str]) -> list[bool]:
    """Which types of GPU it takes."""
    wanted = shape.gpu_types if shape.gpu_count else ()
    return [not wanted or gpu_type in wanted for gpu_type in gpu_types]
