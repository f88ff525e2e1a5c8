"""An agent whose supervisor, with many threads, is killed: it ends, and its tasks do not."""

import asyncio
import sys

import psutil

from tests.support.cluster import Cluster, Process, living_shims
from windlass.jobs.v1 import job_pb2

END_SECONDS = 20
SUPERVISOR = """
import subprocess, sys, threading
for _ in range(200):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
subprocess.run([sys.executable, "-m", "windlass_agent", *sys.argv[1:]])
"""


async def test_tasks_outlive_a_killed_supervisor_of_many_threads(cluster: Cluster):
    await cluster.agent.kill()
    arguments = ["--server", cluster.grpc, "--data-dir", str(cluster.directory / "agent")]
    options = ["--simulate-gpus", cluster.gpus, "--on-exit", "stop", "--die-with-parent"]
    supervisor = await Process.start("-c", SUPERVISOR, *arguments, *options)
    await supervisor.says("connected")
    job = await cluster.submit("sh", "-c", "echo up; sleep 2; echo end")
    await cluster.wait_for_output(job.job_id, "up")
    agents = [
        child
        for child in psutil.Process(supervisor.pid).children()
        if child.cmdline()[:3] == [sys.executable, "-m", "windlass_agent"]
    ]
    assert len(agents) == 1
    psutil.Process(supervisor.pid).kill()
    _, alive = await asyncio.to_thread(psutil.wait_procs, agents, END_SECONDS)
    assert not alive
    assert living_shims(cluster.directory / "agent")
    await supervisor.ended()

    await cluster.start_agent()

    text, end = await cluster.follow(job.job_id)
    assert text == "up\nend\n"
    assert end.status == job_pb2.Job.SUCCEEDED
    assert (await cluster.get(job.job_id)).attempt == 1
