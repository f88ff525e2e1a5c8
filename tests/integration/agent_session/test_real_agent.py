"""The agent as operators start it: its own process, the real runner, real tasks."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from tests.support.fake_control_plane import NODE_ID
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent import rundir
from windlass_agent.frames import frames

RUN = "run-01jh0000000000000000000001"


class RealAgent:
    """An agent process. Its log goes to a file: its tasks' shims would hold a pipe open."""

    def __init__(self, process, log):
        self.process = process
        self.log = log

    async def end(self, number=signal.SIGTERM):
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.ended()

    async def ended(self):
        return await self.process.wait(), self.log.read_text()


async def start(plane, data_dir, *flags, token="join-me", under=()):
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root")}
    environ |= {"WINDLASS_JOIN_TOKEN": token} if token else {}
    command = [*under, sys.executable, "-m", "windlass_agent", "--server", plane.address]
    log = data_dir.parent / f"agent-{len(list(data_dir.parent.iterdir()))}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--data-dir", str(data_dir), *flags),
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=stderr,
        )
    return RealAgent(process, log)


@asynccontextmanager
async def started(plane, data_dir, *flags, **options):
    agent = await start(plane, data_dir, *flags, **options)
    try:
        yield agent
    finally:
        await agent.end(signal.SIGKILL)


@pytest.fixture
def data_dir(tmp_path):
    """A place for an agent; no task that was started there outlives the test."""
    yield tmp_path / "agent"
    for folder in (tmp_path / "agent" / "runs").glob("run-*"):
        claimed = rundir.read_claim(folder)
        pidfd = claimed.shim.open() if claimed else None
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)


async def welcomed(plane):
    session = await plane.next_session()
    session.welcome()
    return session


def directive(want, generation, *command, gpus=()):
    made = pb.RunDirective(run_id=RUN, epoch=1, generation=generation, want=want)
    made.spec.command.extend(command)
    made.spec.gpu_uuids.extend(gpus)
    return made


def text(log):
    return b"".join(frame.payload for frame in frames(log))


async def test_a_real_task_runs_logs_ends_and_is_forgotten(plane, data_dir):
    async with started(plane, data_dir):
        session = await welcomed(plane)
        session.sync_end()
        command = ("/bin/sh", "-c", "echo out; echo err >&2; exit 3")
        session.direct(directive(pb.RunDirective.RUNNING, 1, *command))
        report = await session.next_report(state=pb.RunReport.EXITED)
        assert (report.exit.cause, report.exit.exit_code) == (pb.RunExit.COMPLETED, 3)
        log = await plane.until_log(RUN, report.exit.log_end)
        assert sorted(text(log).split()) == [b"err", b"out"]
        assert list((data_dir / "runs").iterdir())
        session.direct(directive(pb.RunDirective.FORGOTTEN, 2))
        session.kill()
        session = await plane.next_session()
        while session.hello.runs:
            session.kill()
            session = await plane.next_session()
    assert list((data_dir / "runs").iterdir()) == []


async def test_a_task_outlives_its_agent_and_nothing_of_it_is_lost(plane, data_dir):
    wait_for_it = "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two"
    async with started(plane, data_dir) as agent:
        session = await welcomed(plane)
        session.direct(directive(pb.RunDirective.RUNNING, 1, "/bin/sh", "-c", wait_for_it))
        await session.next_report(state=pb.RunReport.RUNNING)
        await plane.until_log(RUN, len(b"one\n"))
        await agent.end(signal.SIGKILL)
    (data_dir / "runs" / f"{RUN}.1" / "work" / "go").touch()
    async with started(plane, data_dir, token=None):
        session = await welcomed(plane)
        session.direct(directive(pb.RunDirective.RUNNING, 1, "/bin/sh", "-c", wait_for_it))
        ended = [r for r in session.hello.runs if r.state == pb.RunReport.EXITED]
        report = ended[0] if ended else await session.next_report(state=pb.RunReport.EXITED)
        assert (report.exit.cause, report.exit.exit_code) == (pb.RunExit.COMPLETED, 0)
        assert text(await plane.until_log(RUN, report.exit.log_end)) == b"one\ntwo\n"
    assert plane.gaps == []


async def test_a_card_is_divided_a_task_holds_a_part_of_it_and_a_new_agent_finds_it_so(
    plane, data_dir
):
    flags = ("--simulate-gpus", "1xH100", "--divide-gpus")
    async with started(plane, data_dir, *flags) as agent:
        session = await welcomed(plane)
        (card,) = session.hello.inventory.mig_cards
        assert (card.may_be_divided, card.divided) == (True, False)
        session.divide(card.uuid, 1, ("3g.40gb", 4), ("1g.10gb", 0))
        inventory = await session.next_inventory()
        assert [gpu.gpu_type for gpu in inventory.gpus] == ["H100-3g.40gb", "H100-1g.10gb"]
        assert (inventory.mig_cards[0].generation, inventory.mig_cards[0].problem) == (1, "")
        part = inventory.gpus[0].uuid
        told = "echo $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES; exec sleep 60"
        session.direct(directive(pb.RunDirective.RUNNING, 1, "/bin/sh", "-c", told, gpus=[part]))
        await session.next_report(state=pb.RunReport.RUNNING)
        assert text(await plane.until_log(RUN, 1)).decode().split() == [part, part]
        batch = await plane.samples.get()
        while not batch.gpu_processes:
            batch = await plane.samples.get()
        assert (batch.gpu_processes[0].gpu_uuid, batch.gpu_processes[0].run_id) == (part, RUN)
        session.divide(card.uuid, 2)
        refused = await session.next_inventory()
        assert refused.gpus == inventory.gpus
        assert refused.mig_cards[0].generation == 2
        assert refused.mig_cards[0].problem == f"{part} is in use"
        await agent.end(signal.SIGKILL)
    async with started(plane, data_dir, *flags, token=None):
        session = await welcomed(plane)
        assert session.hello.inventory.gpus == inventory.gpus
        assert session.hello.inventory.mig_cards[0].generation == 0
        # It knows of the run that an earlier agent has begun.
        session.divide(card.uuid, 3)
        assert (await session.next_inventory()).mig_cards[0].problem == f"{part} is in use"
        session.direct(directive(pb.RunDirective.STOPPED, 2))
        await session.next_report(state=pb.RunReport.EXITED)
        session.divide(card.uuid, 4)
        whole = await session.next_inventory()
        assert [gpu.uuid for gpu in whole.gpus] == [card.uuid]


async def test_a_simulated_gpu_works_while_a_task_holds_it(plane, data_dir):
    async with started(plane, data_dir, "--simulate-gpus", "2xH100"):
        session = await welcomed(plane)
        uuid = session.hello.inventory.gpus[1].uuid
        session.direct(directive(pb.RunDirective.RUNNING, 1, "/bin/sleep", "60", gpus=[uuid]))
        await session.next_report(state=pb.RunReport.RUNNING)
        batch = await plane.samples.get()
        while not batch.gpu_processes:
            batch = await plane.samples.get()
        (process,) = batch.gpu_processes
        assert (process.gpu_uuid, process.run_id) == (uuid, RUN)
        assert process.pid > 0
        session.direct(directive(pb.RunDirective.STOPPED, 2))
        report = await session.next_report(state=pb.RunReport.EXITED)
        assert report.exit.cause == pb.RunExit.STOPPED


async def test_told_to_stop_its_tasks_it_reports_them_and_ends(plane, data_dir):
    async with started(plane, data_dir, "--on-exit", "stop") as agent:
        session = await welcomed(plane)
        session.direct(directive(pb.RunDirective.RUNNING, 1, "/bin/sleep", "60"))
        await session.next_report(state=pb.RunReport.RUNNING)
        ending = asyncio.ensure_future(agent.end(signal.SIGINT))
        report = await session.next_report(state=pb.RunReport.EXITED)
        assert report.exit.cause == pb.RunExit.NODE_SHUTDOWN
        code, errors = await ending
        assert code == 0, errors


async def test_the_identity_is_kept_and_the_token_is_needed_once(plane, data_dir):
    async with started(plane, data_dir) as agent:
        await welcomed(plane)
        code, errors = await agent.end()
        assert code == 0, errors
    async with started(plane, data_dir, token=None):
        session = await welcomed(plane)
        assert session.claims["sub"] == NODE_ID
    assert len(plane.joins) == 1


async def test_a_second_agent_on_the_same_directory_ends_with_one_line(plane, data_dir):
    async with started(plane, data_dir):
        await welcomed(plane)
        second = await start(plane, data_dir)
        code, errors = await second.ended()
    assert code == 2
    assert errors.count("\n") == 1
    assert "already runs on" in errors


@pytest.mark.parametrize(
    ("token", "complaint"),
    [(None, "has no join token"), ("stolen", "refuses to let this node join")],
)
async def test_a_node_that_may_not_join_ends_with_code_2(plane, data_dir, token, complaint):
    agent = await start(plane, data_dir, token=token)
    code, errors = await agent.ended()
    assert code == 2
    assert complaint in errors.splitlines()[-1]
    assert "Traceback" not in errors


async def test_when_its_supervisor_is_killed_the_agent_ends_and_its_tasks_live_on(plane, data_dir):
    supervisor = "import subprocess, sys; subprocess.run(sys.argv[1:], check=False)"
    flags = ("--on-exit", "stop", "--die-with-parent")
    async with started(plane, data_dir, *flags, under=[sys.executable, "-c", supervisor]) as parent:
        session = await welcomed(plane)
        session.direct(directive(pb.RunDirective.RUNNING, 1, "/bin/sleep", "60"))
        await session.next_report(state=pb.RunReport.RUNNING)
        await parent.end(signal.SIGKILL)
        await session.ended.wait()
    # The directory is free only when the first agent is gone: the second may have to try again.
    while True:
        async with started(plane, data_dir, token=None) as agent:
            coming = asyncio.ensure_future(plane.next_session())
            ending = asyncio.ensure_future(agent.process.wait())
            await asyncio.wait([coming, ending], return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            if coming.done():
                assert [r.state for r in coming.result().hello.runs] == [pb.RunReport.RUNNING]
                return
            coming.cancel()
