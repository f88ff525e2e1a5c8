"""What idle GPUs are worth to classes of tasks.

Both measures are sums over a node's GPUs of a number that depends on nothing but how much of that GPU is
idle, corrected where a class cannot use the node. These numbers are looked up in tables.
"""

import numpy as np

from windlass_server.scheduler.packing.shapes import WHOLE, Classes, Floats, States

# More tasks than a node's GPUs could ever hold.
_NO_LIMIT = 1 << 32


class Measures:
    """Measures of states for the M classes of a catalogue."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        sizes, self._size_of = np.unique(classes.millis, return_inverse=True)
        idle = np.arange(WHOLE + 1)[:, None]
        too_small = np.where(idle < sizes, idle, 0)
        # Of each amount that a GPU may have idle: what of it is too small, and how many tasks it holds.
        self._of_gpu = np.concatenate([too_small, idle // np.maximum(sizes, 1)], 1).astype(
            np.float64
        )
        self._sizes = len(sizes)
        self._without_cpu = np.where(classes.cpu == 0, _NO_LIMIT, 0)
        self._takes_one = classes.count == 1
        self._takes_gpus = classes.count > 0
        self._gang = np.maximum(classes.count, 1)
        self._cpu = np.maximum(classes.cpu, 1).astype(np.float64)

    def useless(self, states: States) -> Floats:
        """F_n(m) of FGD (section 4.1): thousandths of idle GPUs of no use to a class, S x M.

        All that is idle where a task of the class cannot be placed, for whatever lack; else what is
        idle on single GPUs that have less than it takes of one. To a class without GPUs nothing that
        is idle is of use.
        """
        return self.both(states)[0]

    def fillable(self, states: States) -> Floats:
        """Thousandths that a class could take if it alone filled the node, CPU included, S x M."""
        return self.both(states)[1]

    def both(self, states: States) -> tuple[Floats, Floats]:
        """What is useless, and what is fillable: they have most steps in common."""
        of_gpus = self._of_gpu[states.gpus].sum(axis=1)
        too_small = of_gpus[:, : self._sizes][:, self._size_of]
        tasks = of_gpus[:, self._sizes :][:, self._size_of]
        gangs = (states.gpus == WHOLE).sum(axis=1)[:, None] // self._gang
        by_gpus = np.where(self._takes_one, tasks, gangs)
        by_cpu = np.floor(states.cpu.clip(0)[:, None] / self._cpu) + self._without_cpu
        held = np.where(self._classes.admits.T[states.kinds], np.minimum(by_gpus, by_cpu), 0.0)
        able = (held >= 1) & self._takes_gpus
        return np.where(able, too_small, states.idle[:, None]), held * self._classes.size
