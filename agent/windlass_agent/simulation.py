"""Makes simulated GPUs work while a run holds them, as real ones would by themselves."""

from pathlib import Path

from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.run_types import Phase, RunState
from windlass_agent.rundir import read_intent, read_started


class SimulatedLoad:
    """Follows the runs of this node.

    Which cards a run holds, and which process it is, is read from the run's folder: so it is known
    of runs that an earlier agent started, too.
    """

    def __init__(self, gpus: SimulatedGpus, runs_dir: Path) -> None:
        self._gpus = gpus
        self._runs_dir = runs_dir

    def on_change(self, state: RunState) -> None:
        """Sets the run's cards to work, or at rest when it has ended."""
        if state.phase is Phase.EXITED:
            self._gpus.set_idle(state.run_id)
        elif state.phase is Phase.RUNNING:
            self._set_busy(state)

    def _set_busy(self, state: RunState) -> None:
        folder = self._runs_dir / f"{state.run_id}.{state.epoch}"
        intent, started = read_intent(folder), read_started(folder)
        if intent is None:
            return
        pid = started.task.pid if started is not None else 0
        known = {device.uuid for device in self._gpus.devices()}
        for uuid in known.intersection(intent.request.gpu_uuids):
            self._gpus.set_busy(uuid, state.run_id, pid)
