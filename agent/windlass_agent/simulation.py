"""Makes simulated GPUs work while a run holds them, as real ones would by themselves, and fail."""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from windlass_agent.clock import Clock
from windlass_agent.config import ConfigError
from windlass_agent.data_dir import write_atomically
from windlass_agent.gpu.fault_script import NODE, ScriptedFault
from windlass_agent.gpu.mig import MigPlacement
from windlass_agent.gpu.simulated import Layouts, SimulatedGpus
from windlass_agent.health import Disk
from windlass_agent.run_types import Phase, RunRequest, RunState
from windlass_agent.rundir import read_intent, read_started

_log = structlog.get_logger(__name__)


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
            with contextlib.suppress(KeyError):  # divided meanwhile
                self._gpus.set_busy(uuid, state.run_id, pid, load_of(intent.request))


class SimulatedLayouts:
    """Keeps what simulated cards are divided into, as real ones do for as long as a machine is up.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Layouts:
        """What was kept last; nothing, with a warning, when that cannot be read."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            return {
                uuid: tuple(MigPlacement(str(profile), int(start)) for profile, start in layout)
                for uuid, layout in kept.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.warning("cannot read what GPUs were divided into", reason=str(error))
            return {}

    def save(self, layouts: Layouts) -> None:
        """Keeps it. OSError when it cannot be."""
        kept = {
            uuid: [[one.profile, one.start] for one in layout] for uuid, layout in layouts.items()
        }
        try:
            write_atomically(self._path, json.dumps(kept).encode() + b"\n")
        except ConfigError as error:
            raise OSError(str(error)) from None


def load_of(request: RunRequest) -> float:
    """How hard a run makes each of its cards work, 0 to 1."""
    return request.gpu_millis / 1000 if request.gpu_millis else 1.0


class SimulatedFaults:
    """Makes the faults of a script happen, each at its time.

    Args:
        script: The faults in the order of their times, which count from `run`.
        gpus: The cards.
        disk: The real disk.
        clock: The time.
        stall: Does nothing for so many seconds, and lets nothing else be done.
    """

    def __init__(
        self,
        script: Sequence[ScriptedFault],
        gpus: SimulatedGpus,
        disk: Disk,
        clock: Clock,
        stall: Callable[[float], None] = time.sleep,
    ) -> None:
        self._script = script
        self._gpus = gpus
        self._disk = disk
        self._clock = clock
        self._stall = stall
        self._disk_full = False

    def disk(self) -> tuple[int, int]:
        """The real disk, or the same without room."""
        total, free = self._disk()
        return total, 0 if self._disk_full else free

    async def run(self) -> None:
        """Returns when the last fault has happened."""
        began = self._clock.monotonic()
        for fault in self._script:
            wait = began + fault.seconds - self._clock.monotonic()
            if wait > 0:
                await self._clock.sleep(wait)
            _log.warning("simulated fault", target=fault.target, fault=fault.name)
            self._make(fault)

    def _make(self, fault: ScriptedFault) -> None:
        if fault.target != NODE:
            self._gpus.inject(fault)
        elif fault.name == "stall":
            self._stall(fault.number)
        else:
            self._disk_full = fault.name == "disk-full"
        self._gpus.tell()  # nobody waits for the next look to see what was made on purpose
