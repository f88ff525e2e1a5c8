"""How fast the agent starts tasks: `python -m tests.benchmarks.task_launch [--runs N]`.

Measures, with real shims and the strongest isolation of this machine:

- latency: from the call of `Runner.run` to the first instruction of the user's program, which is
  `date +%s%N`: its own start-up is part of the number; one at a time, 50 ms apart;
- rate: `true` tasks from their submission to their result on disk, eight at a time;
- the peer: the same programs started by `subprocess` alone, without any of it.
"""

import argparse
import asyncio
import secrets
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from windlass_agent import canary
from windlass_agent.frames import frames
from windlass_agent.run_types import RunRequest
from windlass_agent.runner import Runner

PARALLEL = 8


def _run_id() -> str:
    return "run-" + secrets.token_hex(13)


def _report(name: str, seconds: list[float]) -> None:
    cuts = statistics.quantiles(seconds, n=20)
    print(f"{name:<44} p50 {cuts[9] * 1e3:7.2f} ms   p95 {cuts[18] * 1e3:7.2f} ms")


class _Ends:
    """Waits for the ends of runs by following the runner's changes."""

    def __init__(self, runner: Runner) -> None:
        self._changes = runner.changes()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for state in self._changes:
            waiter = self._waiting.get(state.run_id)
            if state.exit and waiter and not waiter.done():
                waiter.set_result(None)

    def of(self, run_id: str) -> "asyncio.Future[None]":
        return self._waiting.setdefault(run_id, asyncio.get_running_loop().create_future())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def _latency(runner: Runner, ends: _Ends, count: int) -> list[float]:
    measured = []
    for _ in range(count):
        run_id = _run_id()
        ended = ends.of(run_id)
        submitted = time.clock_gettime_ns(time.CLOCK_REALTIME)
        await runner.run(RunRequest(run_id, 1, ("date", "+%s%N")))
        await ended
        output = b"".join(frame.payload for frame in frames(runner.log(run_id).read(0)))
        measured.append((int(output) - submitted) / 1e9)
        await runner.forget(run_id)
        await asyncio.sleep(0.05)
    return measured


async def _rate(runner: Runner, ends: _Ends, count: int) -> float:
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            run_id = _run_id()
            ended = ends.of(run_id)
            await runner.run(RunRequest(run_id, 1, ("true",)))
            await ended
            await runner.forget(run_id)

    start = time.monotonic()
    await asyncio.gather(*(worker() for _ in range(PARALLEL)))
    return count / (time.monotonic() - start)


def _peer(count: int) -> list[float]:
    measured = []
    for _ in range(count):
        submitted = time.clock_gettime_ns(time.CLOCK_REALTIME)
        output = subprocess.run(["date", "+%s%N"], capture_output=True, check=True).stdout
        measured.append((int(output) - submitted) / 1e9)
    return measured


async def _main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        isolation = await asyncio.to_thread(canary.detect, data_dir)
        print(f"isolation {isolation.level.name}, cgroup {isolation.cgroup_limits}")
        runner = Runner(data_dir, isolation)
        await runner.start_up()
        ends = _Ends(runner)
        await _latency(runner, ends, 5)
        _report("submit to first instruction", await _latency(runner, ends, count))
        _report("the same by subprocess alone", await asyncio.to_thread(_peer, count))
        print(f"{'true tasks per second, 8 at a time':<44} {await _rate(runner, ends, count):.0f}")
        await ends.close()
        await runner.close(stop_tasks=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    asyncio.run(_main(parser.parse_args().runs))
