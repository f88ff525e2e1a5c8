"""Simulations that a caller asks for: played in a process of their own, one at a time, and not for long."""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from windlass.resources.v1 import resources_service_pb2, simulation_pb2
from windlass_server.access.policy import ORGANISATION, Caller, require
from windlass_server.errors import Exhausted, FieldViolation, InvalidInput
from windlass_server.scheduler.snapshot import NodeState
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

MAX_NODES = 2000
SECONDS = 30.0
"""How long a simulation may take."""

# `-P` keeps the working directory off the import path.
_PROGRAM = (sys.executable, "-P", "-m", "windlass_server.simulation.served")

_log = logging.getLogger(__name__)


class SimulationsService:
    """Plays jobs in virtual time.

    Args:
        database: where the nodes are read.
        nodes: the nodes of the cluster, within a transaction.
        seconds: how long a simulation may take.
    """

    def __init__(
        self,
        database: Database,
        nodes: Callable[[Transaction], Sequence[NodeState]],
        *,
        seconds: float = SECONDS,
    ) -> None:
        self._database = database
        self._nodes = nodes
        self._seconds = seconds
        self._busy = False

    async def simulate(
        self, who: Caller, request: resources_service_pb2.SimulateRequest
    ) -> resources_service_pb2.SimulateResponse:
        """Play a request.

        Raises:
            InvalidInput: there are no nodes, or too many.
            Exhausted: it takes too long, or another one is being played.
        """
        require(who, "simulations.run", ORGANISATION)
        if self._busy:
            message = "this server plays another simulation; try again when it is done"
            raise Exhausted(message, reason="SIMULATION_RUNNING", retry_seconds=self._seconds)
        self._busy = True
        try:
            return await self._played(await self._with_nodes(request))
        finally:
            self._busy = False

    async def _with_nodes(
        self, request: resources_service_pb2.SimulateRequest
    ) -> resources_service_pb2.SimulateRequest:
        """The request with the nodes of the cluster where it names none."""
        asked = resources_service_pb2.SimulateRequest()
        asked.CopyFrom(request)
        if not asked.nodes:
            asked.nodes.extend(_kinds(await self._database.read(self._nodes)))
        count = sum(max(kind.count, 1) for kind in asked.nodes)
        if not count:
            raise _refused("the cluster has no nodes, and the request names none", "NO_NODES")
        if count > MAX_NODES:
            raise _refused(f"{count} nodes; at most {MAX_NODES} are simulated", "TOO_MANY_NODES")
        return asked

    async def _played(
        self, request: resources_service_pb2.SimulateRequest
    ) -> resources_service_pb2.SimulateResponse:
        process = await asyncio.create_subprocess_exec(
            *_PROGRAM,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(self._seconds):
                out, err = await process.communicate(request.SerializeToString())
        except TimeoutError:
            message = (
                f"this takes longer than {self._seconds:g} seconds; ask for fewer jobs or nodes"
            )
            raise Exhausted(message, reason="SIMULATION_TOO_LONG") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            _log.error("a simulation failed: %s", err.decode(errors="replace"))
            raise RuntimeError(f"a simulation ended with {process.returncode}")
        return resources_service_pb2.SimulateResponse.FromString(out)


def _refused(message: str, reason: str) -> InvalidInput:
    return InvalidInput(
        message, reason=reason, violations=(FieldViolation("nodes", message, reason),)
    )


def _kinds(nodes: Sequence[NodeState]) -> Iterator[simulation_pb2.SimulatedNodes]:
    """Nodes as they are when they are empty; those that are alike together."""
    kinds = Counter(_kind(node) for node in sorted(nodes, key=lambda node: node.node_id))
    for (cpu_millis, memory_bytes, gpu_count, gpu_type), count in kinds.items():
        yield simulation_pb2.SimulatedNodes(
            count=count,
            cpu_millis=cpu_millis,
            memory_bytes=memory_bytes,
            gpu_count=gpu_count,
            gpu_type=gpu_type,
        )


def _kind(node: NodeState) -> tuple[int, int, int, str]:
    types = Counter(gpu.gpu_type for gpu in node.gpus if not gpu.part)
    gpu_type, count = max(types.items(), key=lambda each: (each[1], each[0]), default=("", 0))
    return node.cpu_millis, node.memory_bytes, count, gpu_type
