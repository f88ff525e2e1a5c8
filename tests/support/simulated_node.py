"""A machine of a simulated site: what really is and runs there, whatever the server thinks of it.

Its cards are the agent's simulated ones, watched by the agent's own health; its processes are only
promised. It keeps the agent's side of the contract: what it does not know it does not report, what it
could not tell it tells later, and what it reports it keeps until the server has it.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tests.support.fake_agent_clock import FakeAgentClock
from windlass.agents.v1 import agent_pb2 as pb
from windlass.agents.v1 import health_pb2, mig_pb2
from windlass_agent.gpu.fault_script import ScriptedFault
from windlass_agent.gpu.profiles import PROFILES
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.health import Health
from windlass_agent.inventory import with_devices
from windlass_agent.layouts import Layouts

T = TypeVar("T")
GIB = 1 << 30
DISK = 100 * GIB
SAVE_SECONDS = 2.0
_Want = pb.RunDirective
_Exit = pb.RunExit


class Control(Protocol):
    """What a node has of the server while it is connected."""

    async def hello(self, node: "SimulatedNode") -> None: ...

    async def touch(self, node: "SimulatedNode") -> bool: ...

    async def directives(self, node: "SimulatedNode") -> Sequence[pb.RunDirective]: ...

    async def tell_run(
        self, node: "SimulatedNode", report: pb.RunReport
    ) -> pb.RunDirective | None: ...

    async def tell_health(self, node: "SimulatedNode", report: health_pb2.HealthReport) -> None: ...

    def resets(self, node: "SimulatedNode") -> Sequence[health_pb2.ResetDirective]: ...

    async def layouts_of(self, node: "SimulatedNode") -> Sequence[mig_pb2.LayoutDirective]: ...

    async def restock(self, node: "SimulatedNode") -> None: ...

    async def save(self, node: "SimulatedNode", process: "Process", end: pb.RunExit) -> None: ...

    async def restore(self, node: "SimulatedNode", directive: pb.RunDirective) -> float | None: ...


@dataclass(slots=True)
class Process:
    """A task that lives, or that has ended and still saves what it has."""

    run_id: str
    epoch: int
    job_id: str
    gpus: tuple[str, ...]
    seconds: float
    saves: bool
    ends: pb.RunExit
    began: float
    done: float
    restored_at: float
    gpu_millis: int = 1000
    rank: int = 0
    grace: float = 10.0
    asked_to_stop: float | None = None
    end: pb.RunExit | None = None

    @property
    def lives(self) -> bool:
        return self.end is None


def command(seconds: float, *, saves: bool, **ends: Any) -> list[str]:
    """The command of a job that works for so long, may save what it did, and then ends in a way."""
    return [json.dumps({"seconds": seconds, "saves": saves, "ends": ends})]


async def inline(work: Callable[[], T]) -> T:
    """Does it where it is asked for."""
    return work()


class SimulatedNode:
    """One machine.

    Args:
        name: its name.
        gpus: how many cards it has.
        control: the server.
    """

    def __init__(self, name: str, gpus: int, control: Control) -> None:
        self.name = name
        self.node_id = ""
        self.clock = FakeAgentClock()
        self.connected = False
        self.disk_free = DISK // 2
        self.processes: dict[str, Process] = {}
        self.missing: set[int] = set()
        self._control = control
        self._boots = 0
        # What was reported last of each run, until the server has it all.
        self._reported: dict[str, int] = {}
        self._ended: dict[str, tuple[int, pb.RunExit]] = {}
        self._told: health_pb2.HealthReport | None = None
        self._watching: asyncio.Task[None] | None = None
        self.gpus = SimulatedGpus(
            [PROFILES["H100"]] * gpus,
            name.encode(),
            self.clock.monotonic,
            time_nanos=self.clock.time_nanos,
        )
        self._indexes = {one.uuid: one.index for one in self.gpus.devices()}
        self.start_agent()

    def start_agent(self) -> None:
        """Begin, or begin anew: what runs lives on, what was seen of the cards is seen again."""
        if self._watching is not None:
            self._watching.cancel()
        self.connected, self._told = False, None
        self._reported.clear()
        self.health = Health(
            self.gpus, lambda: (DISK, self.disk_free), inline, self.clock, lambda _: None
        )
        self._watching = asyncio.ensure_future(self.health.run())
        self._divided = False
        self._layouts = Layouts(self.gpus, self._held, inline, self._on_divided, allowed=True)

    def _held(self) -> set[str]:
        return {uuid for one in self.processes.values() for uuid in one.gpus}

    def _on_divided(self) -> None:
        self._divided = True

    def boot(self) -> None:
        """Switch it off and on: nobody knows how what ran has ended."""
        self._boots += 1
        for process in self.processes.values():
            end = process.end or _Exit(cause="LOST", message="the machine was switched off")
            self._leave(process, end)
        self.processes.clear()
        # A card that is off its bus is not there after a boot.
        lost = {fact.uuid for fact in self.gpus.facts() if fact.lost}
        self.missing = {one.index for one in self.gpus.devices() if one.uuid in lost}
        self.start_agent()

    def heal(self) -> None:
        """Mend all that is broken; cards that were gone are back with the next boot."""
        self.gpus.inject(ScriptedFault(0, -1, "heal"))
        self.disk_free = DISK // 2
        if self.missing:
            self.boot()

    async def close(self) -> None:
        """Switch it off for good."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def inventory(self) -> pb.Inventory:
        """What it has now."""
        bare = pb.Inventory(
            hostname=self.name,
            boot_id=f"boot-{self._boots}",
            agent_version="0.1.0",
            cpu_millis=64_000,
            memory_bytes=512 * GIB,
            can_reset_gpus=True,
            address=self.name,
        )
        outcome = self._layouts.outcome
        whole = with_devices(bare, self.gpus, may_divide=True, outcome=outcome)
        there = [one for one in whole.gpus if one.index not in self.missing]
        cards = [one for one in whole.mig_cards if self._indexes[one.uuid] not in self.missing]
        del whole.gpus[:], whole.mig_cards[:]
        whole.gpus.extend(there)
        whole.mig_cards.extend(cards)
        return whole

    @property
    def living(self) -> list[Process]:
        """What really runs."""
        return [one for one in self.processes.values() if one.lives]

    async def pass_time(self, seconds: float) -> None:
        """What runs goes on, whether or not anybody hears of it."""
        await self.clock.advance(seconds)
        now = self.clock.monotonic()
        lost = {fact.uuid for fact in self.gpus.facts() if fact.lost}
        for process in self.living:
            if not lost.intersection(process.gpus):
                process.done += seconds
            self._go_on(process, now)

    def _go_on(self, process: Process, now: float) -> None:
        stopped = process.asked_to_stop
        if process.done >= process.seconds:
            self._end(process, process.ends)
        elif stopped is not None and process.saves and now - stopped >= SAVE_SECONDS:
            self._end(process, _Exit(cause="STOPPED", exit_code=85))
        elif stopped is not None and now - stopped >= process.grace:
            self._end(process, _Exit(cause="STOPPED", exit_signal=9))

    def _end(self, process: Process, end: pb.RunExit) -> None:
        process.end = end
        self.gpus.set_idle(process.run_id)

    async def meet(self) -> None:
        """Exchange with the server what there is to say, if it can be reached."""
        try:
            if not self.connected:
                await self._greet()
            elif not await self._control.touch(self):
                self.connected = False
                return
            await self._tell()
            for directive in await self._control.directives(self):
                await self._obey(directive)
            await self._tell()
            await self._divide()
        except ConnectionError:
            self.connected = False
            return
        for reset in self._control.resets(self):
            self.health.want(reset)
            await self.clock.advance(0)

    async def _divide(self) -> None:
        for order in await self._control.layouts_of(self):
            self._layouts.want(order)
        await self.clock.advance(0)
        if self._divided:
            await self._control.restock(self)
            self._divided = False

    async def _greet(self) -> None:
        await self._control.hello(self)
        self.connected = True
        wanted = {one.run_id for one in await self._control.directives(self)}
        # As after SyncEnd: what nobody wants any more is stopped and dropped.
        for run_id in self.known() - wanted:
            self.gpus.set_idle(run_id)
            self.processes.pop(run_id, None)
            self._ended.pop(run_id, None)

    def known(self) -> set[str]:
        """The runs that it would name in a Hello."""
        return self.processes.keys() | self._ended.keys()

    def reports(self) -> list[pb.RunReport]:
        """What it says of each of them."""
        alive = [
            pb.RunReport(run_id=one.run_id, epoch=one.epoch, state="RUNNING")
            for one in self.processes.values()
        ]
        ended = [
            pb.RunReport(run_id=run_id, epoch=epoch, state="EXITED", exit=end)
            for run_id, (epoch, end) in self._ended.items()
        ]
        return [*alive, *ended]

    async def _tell(self) -> None:
        report = self.health.report
        if report is not None and report is not self._told:
            await self._control.tell_health(self, report)
            self._told = report
        for process in [one for one in self.processes.values() if one.end is not None]:
            assert process.end is not None
            if process.saves:
                await self._control.save(self, process, process.end)
            self._leave(process, process.end)
            del self.processes[process.run_id]
        for news in self.reports():
            if self._reported.get(news.run_id, 0) < news.state:
                answer = await self._control.tell_run(self, news)
                self._reported[news.run_id] = news.state
                if answer is not None:
                    await self._obey(answer)

    def _leave(self, process: Process, end: pb.RunExit) -> None:
        self.gpus.set_idle(process.run_id)
        self._ended[process.run_id] = (process.epoch, end)

    async def _obey(self, directive: pb.RunDirective) -> None:
        run_id = directive.run_id
        if directive.want == _Want.FORGOTTEN:
            self._ended.pop(run_id, None)
            self._reported.pop(run_id, None)
        elif run_id in self._ended:
            return
        elif directive.want == _Want.STOPPED:
            self._stop(directive)
        elif run_id not in self.processes and directive.HasField("spec"):
            await self._start(directive)

    def _stop(self, directive: pb.RunDirective) -> None:
        process = self.processes.get(directive.run_id)
        if process is None:
            self._ended[directive.run_id] = (directive.epoch, _Exit(cause="STOPPED"))
            return
        process.grace = directive.grace_period.ToMicroseconds() / 1e6
        if process.asked_to_stop is None:
            process.asked_to_stop = self.clock.monotonic()
        if process.lives and not process.grace:
            self._end(process, _Exit(cause="STOPPED", exit_signal=9))
        elif process.lives and not process.saves:
            self._end(process, _Exit(cause="STOPPED", exit_signal=15))

    async def _start(self, directive: pb.RunDirective) -> None:
        spec, plan = directive.spec, json.loads(directive.spec.command[0])
        there = {one.uuid for one in self.inventory().gpus}
        if not there.issuperset(spec.gpu_uuids):
            end = _Exit(cause="LAUNCH_FAILED", message="a GPU is not there")
            self._ended[directive.run_id] = (directive.epoch, end)
            return
        done = await self._control.restore(self, directive)
        if done is None:
            end = _Exit(cause="CHECKPOINT_DAMAGED", message="it is damaged")
            self._ended[directive.run_id] = (directive.epoch, end)
            return
        ends = _Exit(**plan["ends"])
        if ends.exit_code == 85 and spec.attempt > 1:
            # It asked to be run again, and so it was.
            ends = _Exit(cause="COMPLETED", exit_code=0)
        millis = spec.resources.gpu_millis or 1000
        for uuid in spec.gpu_uuids:
            pid = 1000 + len(self._reported)
            self.gpus.set_busy(uuid, directive.run_id, pid, millis / 1000)
        self.processes[directive.run_id] = Process(
            directive.run_id,
            directive.epoch,
            spec.job_id,
            tuple(spec.gpu_uuids),
            plan["seconds"],
            plan["saves"],
            ends,
            began=self.clock.monotonic(),
            done=done,
            restored_at=done,
            gpu_millis=millis,
            rank=spec.gang.rank,
        )
