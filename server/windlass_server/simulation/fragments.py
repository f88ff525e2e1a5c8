"""How much of what is idle lies in pieces that are too small for what is asked for."""

import numpy as np
from numpy.typing import NDArray

from windlass_server.scheduler.snapshot import Demand
from windlass_server.simulation.workload import TimedJob, Workload


class Fragments:
    """The share of all GPUs that is idle on nodes with fewer idle GPUs than a job takes.

    It is the mean over the jobs of the workload that take GPUs, each as often as it comes: 0.05 says
    that to a job drawn by chance 5 % of all GPUs are idle, and yet of no use. Kept up with each job
    that starts or ends, by GPUs alone: lack of CPU or memory is not counted.
    """

    def __init__(self, workload: Workload) -> None:
        self._places = {node.node_id: index for index, node in enumerate(workload.nodes)}
        self._idle = np.array([len(node.gpus) * 1000 for node in workload.nodes], np.int64)
        self._whole = self._idle.copy()
        self._all = max(int(self._idle.sum()), 1)
        self._too_large = _larger_than_each(workload.jobs, int(self._idle.max(initial=0)))
        self._useless = self._idle * self._too_large[self._idle]

    @property
    def share(self) -> float:
        """Of all GPUs, from 0 to 1."""
        return float(self._useless.sum()) / self._all

    def add(self, node_id: str, demand: Demand, times: int) -> None:
        """Note that a job has started (1) or ended (-1) on a node."""
        index = self._places[node_id]
        millis = demand.gpu_millis or demand.gpu_count * 1000
        if demand.exclusive:
            millis = int(self._whole[index])
        self._idle[index] -= times * millis
        idle = int(self._idle[index])
        self._useless[index] = idle * self._too_large[idle]


def _larger_than_each(jobs: tuple[TimedJob, ...], most: int) -> NDArray[np.float64]:
    """For each amount of idle GPUs: the share of the jobs that take more."""
    asked = np.sort(np.array([job.gpu_millis for job in jobs if job.gpu_millis], np.int64))
    if not len(asked):
        return np.zeros(most + 1)
    fits = np.searchsorted(asked, np.arange(most + 1), side="right")
    return 1 - fits / len(asked)
