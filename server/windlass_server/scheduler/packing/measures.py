"""What idle GPUs are worth to classes of tasks.

Both measures are sums over a node's GPUs of a number that depends on nothing but how much of that GPU is
idle, corrected where a class cannot use the node. These numbers are looked up in tables.
"""

import numpy as np

from windlass_server.scheduler.packing.shapes import WHOLE, Classes, Floats, Integers, Mask, States

# More tasks than a node's GPUs could ever hold.
_NO_LIMIT = 1 << 32


class Measures:
    """Measures of states for the M classes of a catalogue."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        sizes, self._size_of = np.unique(classes.millis, return_inverse=True)
        idle = np.arange(WHOLE + 1)[:, None]
        self._too_small = np.where(idle < sizes, idle, 0).astype(np.float64)
        self._tasks = (idle // np.maximum(sizes, 1)).astype(np.float64)
        self._without_cpu = np.where(classes.cpu == 0, _NO_LIMIT, 0)
        self._takes_one = classes.count == 1
        self._takes_gpus = classes.count > 0

    def useless(self, states: States) -> Floats:
        """F_n(m) of FGD (section 4.1): thousandths of idle GPUs of no use to a class, S x M.

        All that is idle where a task of the class cannot be placed, for whatever lack; else what is
        idle on single GPUs that have less than it takes of one. To a class without GPUs nothing that
        is idle is of use.
        """
        too_small = self._too_small[states.gpus].sum(axis=1)[:, self._size_of]
        whole = _whole(states)[:, None]
        most = states.gpus[:, -1:]
        able = self._open(states) & np.where(
            self._takes_one, most >= self._classes.millis, whole >= self._classes.count
        )
        able &= self._takes_gpus
        return np.where(able, too_small, states.idle[:, None])

    def fillable(self, states: States) -> Floats:
        """Thousandths that a class could take if it alone filled the node, CPU included, S x M."""
        tasks = self._tasks[states.gpus].sum(axis=1)[:, self._size_of]
        gangs = _whole(states)[:, None] // np.maximum(self._classes.count, 1)
        by_gpus = np.where(self._takes_one, tasks, gangs)
        by_cpu = states.cpu[:, None] // np.maximum(self._classes.cpu, 1) + self._without_cpu
        filled = np.minimum(by_gpus, by_cpu) * self._classes.size
        return np.where(self._open(states), filled, 0.0)

    def _open(self, states: States) -> Mask:
        admitted: Mask = self._classes.admits.T[states.kinds]
        return admitted & (states.cpu[:, None] >= self._classes.cpu)


def _whole(states: States) -> Integers:
    counts: Integers = (states.gpus == WHOLE).sum(axis=1)
    return counts
