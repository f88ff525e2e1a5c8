"""Our gateway over calls that are answered from memory: `python -m tests.benchmarks.memory_gateway PORT`."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import uvloop

from tests.benchmarks.memory_jobs import JOBS, PAGE
from windlass.jobs.v1 import jobs_service_pb2
from windlass_server.gateway import collector
from windlass_server.gateway.app import Gateway
from windlass_server.gateway.dispatch import OutgoingCall
from windlass_server.gateway.granian_server import GranianServer
from windlass_server.gateway.serving import Address
from windlass_server.wiring.front_ends import descriptor_set

SERVICE = "windlass.jobs.v1.JobsService"


class FromMemory:
    """Answers GetJob and ListJobs with serialized messages that are there."""

    def __init__(self) -> None:
        self._jobs = {job.job_id: job.SerializeToString() for job in JOBS}
        self._page = PAGE.SerializeToString()

    async def unary(self, call: OutgoingCall, request: bytes) -> bytes:
        if call.method.endswith("/ListJobs"):
            return self._page
        return self._jobs[jobs_service_pb2.GetJobRequest.FromString(request).job_id]

    def stream(self, call: OutgoingCall, request: bytes) -> AsyncIterator[bytes]:
        raise NotImplementedError

    async def client_stream(self, call: OutgoingCall, requests: AsyncIterator[bytes]) -> bytes:
        raise NotImplementedError

    def bidi_stream(
        self, call: OutgoingCall, requests: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        raise NotImplementedError


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    gateway = Gateway(descriptor_set=descriptor_set(), services=[SERVICE], dispatcher=FromMemory())
    server = GranianServer(gateway, Address("127.0.0.1", port))
    await server.start()
    collector.set_for_serving()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.stop(1)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
