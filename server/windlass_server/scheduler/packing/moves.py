"""The ways in which a task can be placed on nodes, and what is left of them."""

from dataclasses import dataclass

import numpy as np

from windlass_server.scheduler.packing.shapes import WHOLE, Integers, Mask, Shape, States

NO_GPU = -1


@dataclass(frozen=True, slots=True)
class Moves:
    """R ways to place one task of a shape on S states, those of the states asked about that have one.

    Attributes:
        shape: what it takes.
        origins: index of each of the S states among those that were asked about, ascending.
        before: the S states.
        rows: index in `before` of the state that each way begins with, R, ascending.
        after: what is left, R states.
        used: idle thousandths of the GPU that it takes a part of, R; `WHOLE` where it takes whole
            ones, `NO_GPU` where it takes none.
    """

    shape: Shape
    origins: Integers
    before: States
    rows: Integers
    after: States
    used: Integers


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
    after = States(states.cpu[rows] - shape.cpu_millis, gpus, states.kinds[rows])
    origins, rows = np.unique(rows, return_inverse=True)
    return Moves(shape, origins, states.at(origins), rows, after, used)
