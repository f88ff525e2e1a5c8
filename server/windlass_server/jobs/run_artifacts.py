"""What runs leave in their artifact directories: taken from their nodes, once each.

It is uploaded while the run still counts as running, so that whoever waits for the job finds it.
"""

from collections.abc import AsyncIterator, Sequence

from windlass.agents.v1 import artifact_pb2 as pb
from windlass_server import actors
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import InvalidInput, NotFound, WrongState
from windlass_server.jobs import artifact_rules as rules
from windlass_server.jobs.artifacts import ArtifactsService, NewArtifact
from windlass_server.storage.artifacts import State
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import ArtifactRow, JobRow, RunRow
from windlass_server.storage.transaction import Transaction


class RunArtifacts:
    """Takes what runs have left.

    Args:
        artifacts: keeps it.
        forced: how long a run may take that had to leave its node by force, in microseconds.
    """

    def __init__(
        self, database: Database, artifacts: ArtifactsService, clock: Clock, *, forced: int
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._clock = clock
        self._forced = forced

    async def offer(self, node_id: str, request: pb.OfferArtifactsRequest) -> Sequence[str]:
        """The names of the files that are not artifacts yet.

        Raises:
            NotFound: the run is not this node's.
            WrongState: it comes too late (`ARTIFACTS_TOO_LATE`).
        """

        def load(tx: Transaction) -> Sequence[str]:
            run, _ = self._run(tx, node_id, request.run_id, request.epoch)
            ready = _ready(tx, run.run_id)
            return [one.name for one in request.files if ready.get(one.name) != one.size_bytes]

        return await self._database.read(load)

    async def upload(
        self,
        node_id: str,
        start: pb.ArtifactStart,
        messages: AsyncIterator[pb.UploadArtifactRequest],
    ) -> None:
        """Make a file an artifact, if it is not already; raises as `offer` and `ArtifactsService.fill`."""
        rules.require_name(start.name)

        def begin(tx: Transaction) -> ArtifactRow | None:
            run, job = self._run(tx, node_id, start.run_id, start.epoch)
            if _ready(tx, run.run_id).get(start.name) == start.size_bytes:
                return None
            new = NewArtifact(
                name=start.name,
                size_bytes=start.size_bytes,
                run_id=run.run_id,
                rank=run.rank,
                attempt=run.attempt,
            )
            return self._artifacts.add(tx, job, new, actors.node(node_id))

        row = await self._database.write(begin)
        if row is None:
            return
        sent = _Sent(messages)
        await self._artifacts.fill(row, sent.data(), wanted=lambda: sent.sha256)

    def _run(self, tx: Transaction, node_id: str, run_id: str, epoch: int) -> tuple[RunRow, JobRow]:
        run = tx.runs.get(run_id)
        job = tx.jobs.get(run.job_id) if run is not None and run.node_id == node_id else None
        if run is None or job is None or run.epoch != epoch or not run.active:
            message = f"there is no run {run_id} of this node"
            raise NotFound(message, reason="RUN_NOT_FOUND")
        if run.forced_at is not None and self._clock.now() >= run.forced_at + self._forced:
            seconds = self._forced / MICROS_PER_SECOND
            text = f"the run had to leave its node by force, and had {seconds:g} seconds to save"
            raise WrongState(text, reason="ARTIFACTS_TOO_LATE", subject=run_id)
        return run, job


class _Sent:
    """The messages of one file behind the first."""

    def __init__(self, messages: AsyncIterator[pb.UploadArtifactRequest]) -> None:
        self._messages = messages
        self.sha256 = ""

    async def data(self) -> AsyncIterator[bytes]:
        """The content; InvalidInput when the messages are not in their order."""
        async for message in self._messages:
            if message.HasField("start") or self.sha256:
                raise InvalidInput("a file has one start and one end", reason="START_REPEATED")
            if message.HasField("sha256"):
                self.sha256 = message.sha256.hex()
            else:
                yield message.data
        if not self.sha256:
            raise InvalidInput("the last message is sha256", reason="END_EXPECTED")


def _ready(tx: Transaction, run_id: str) -> dict[str, int]:
    """Bytes of what a run has left already, by its name."""
    rows = tx.artifacts.of_run(run_id)
    return {row.name: row.size_bytes for row in rows if row.status == State.READY}
