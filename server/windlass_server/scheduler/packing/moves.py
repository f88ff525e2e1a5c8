"""The ways in which a task can be placed on nodes, and what is left of them."""

from dataclasses import dataclass

import numpy as np

from windlass_server.scheduler.packing.shapes import WHOLE, Floats, Integers, Mask, Shape, States

NO_GPU = -1


@dataclass(frozen=True, slots=True)
class Moves:
    """R ways to place one task of a shape on S states, those of the states asked about that have one.

    Attributes:
        shape: what it takes.
        origins: index of each of the S states among those that were asked about, ascending.
        states: the S states, and behind them what each of the R ways leaves.
        rows: index of the state that each way begins with, R, ascending.
        used: idle thousandths of the GPU that it takes a part of, R; `WHOLE` where it takes whole
            ones, `NO_GPU` where it takes none.
    """

    shape: Shape
    origins: Integers
    states: States
    rows: Integers
    used: Integers

    @property
    def before(self) -> States:
        """The S states."""
        return self.states.at(slice(len(self.origins)))

    @property
    def after(self) -> States:
        """What is left, R states."""
        return self.states.at(slice(len(self.origins), None))

    def growth(self, of: Floats) -> Floats:
        """By how much each way raises a quantity that is known of `states`, S + R numbers."""
        before = len(self.origins)
        return of[before:] - of[:before][self.rows]


def ways(shape: Shape, admits: Mask, states: States) -> Moves:
    """All ways that differ in what they leave. `admits` says which kinds of GPU the shape takes."""
    open_to = (states.cpu >= shape.cpu_millis) & admits[states.kinds]
    if not shape.gpu_count:
        rows = open_to.nonzero()[0]
        used = np.full(len(rows), NO_GPU)
        return _made(shape, states, rows, states.gpus[rows], used)
    if shape.shares:
        return _into_shared(shape, states, open_to)
    return _onto_whole(shape, states, open_to)


def _into_shared(shape: Shape, states: States, open_to: Mask) -> Moves:
    """One way for each amount that a single GPU has idle: equal ones leave the same."""
    gpus = states.gpus
    distinct = np.ones(gpus.shape, np.bool_)
    distinct[:, 1:] = gpus[:, 1:] != gpus[:, :-1]
    rows, columns = (distinct & (gpus >= shape.gpu_millis) & open_to[:, None]).nonzero()
    left = gpus[rows]
    used = left[np.arange(len(rows)), columns]
    left[np.arange(len(rows)), columns] -= shape.gpu_millis
    left.sort(axis=1)
    return _made(shape, states, rows, left, used)


def _onto_whole(shape: Shape, states: States, open_to: Mask) -> Moves:
    whole = (states.gpus == WHOLE).sum(axis=1)
    rows = (open_to & (whole >= shape.gpu_count)).nonzero()[0]
    left = states.gpus[rows]
    width = left.shape[1]
    if shape.gpu_count <= width:
        left[:, width - shape.gpu_count :] = 0
    left.sort(axis=1)
    return _made(shape, states, rows, left, np.full(len(rows), WHOLE))


def _made(shape: Shape, states: States, rows: Integers, gpus: Integers, used: Integers) -> Moves:
    new = firsts(rows)
    origins = rows[new]
    cpu = np.concatenate([states.cpu[origins], states.cpu[rows] - shape.cpu_millis])
    kinds = np.concatenate([states.kinds[origins], states.kinds[rows]])
    both = States(cpu, np.concatenate([states.gpus[origins], gpus]), kinds)
    return Moves(shape, origins, both, np.cumsum(new) - 1, used)


def firsts(ascending: Integers) -> Mask:
    """Where an ascending array has a value for the first time."""
    new = np.ones(len(ascending), np.bool_)
    new[1:] = ascending[1:] != ascending[:-1]
    return new
