"""Who is told of what has changed, so that nobody waits for an interval. A lost hint costs time alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from windlass_server.controllers.arrays import Arrays
from windlass_server.controllers.federation import Federation
from windlass_server.controllers.loop import Loop
from windlass_server.controllers.node_drains import NodeDrains
from windlass_server.controllers.scheduling import Scheduling


class Sessions(Protocol):
    """The nodes that are connected here."""

    def wake(self, node_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Listeners:
    """The duties, and the nodes' sessions."""

    scheduling: Scheduling
    scheduling_loop: Loop
    outbox_loop: Loop
    waits_loop: Loop
    arrays: Arrays
    arrays_loop: Loop
    drains: NodeDrains
    drains_loop: Loop
    waves_loop: Loop
    sessions: Sessions
    health_loop: Loop
    federation: Federation
    federation_loop: Loop
    matching_loop: Loop
    telling_loop: Loop


class Hints:
    """Passes on what services say has changed; they exist before the duties that want to know."""

    def __init__(self) -> None:
        self._listeners: Listeners | None = None

    def connect(self, listeners: Listeners) -> None:
        """Tell these from now on."""
        self._listeners = listeners

    def job_queued(self, job_id: str) -> None:
        """A job waits that no cycle has looked at."""
        if (to := self._listeners) is not None:
            to.scheduling.job_queued(job_id)
            to.scheduling_loop.wake()
            to.outbox_loop.wake()
            to.federation_loop.wake()

    def job_held(self) -> None:
        """A job waits for others or for its time."""
        if (to := self._listeners) is not None:
            to.outbox_loop.wake()
            to.waits_loop.wake()

    def array_changed(self, job_id: str) -> None:
        """An array is new, or something else is wanted of it."""
        if (to := self._listeners) is not None:
            to.arrays.changed([job_id])
            to.outbox_loop.wake()

    def job_started(self) -> None:
        """The command of a job has begun to run."""
        if (to := self._listeners) is not None:
            to.outbox_loop.wake()

    def world_changed(self) -> None:
        """There is more or less to give out."""
        if (to := self._listeners) is not None:
            to.scheduling.world_changed()
            to.scheduling_loop.wake()

    def maintenance_changed(self) -> None:
        """A node was opened, closed, or found empty."""
        self.world_changed()
        if (to := self._listeners) is not None:
            to.waves_loop.wake()

    def run_ended(self) -> None:
        """A run holds nothing any more; it may have been the last on a node that is drained."""
        self.world_changed()
        if (to := self._listeners) is not None:
            to.outbox_loop.wake()
            if to.drains.some:
                to.drains_loop.wake()

    def runs_changed(self, node_id: str) -> None:
        """The server wants something else of a node's runs."""
        if (to := self._listeners) is not None:
            to.sessions.wake(node_id)
            to.outbox_loop.wake()

    def node_ails(self) -> None:
        """Something is wrong with a node."""
        if (to := self._listeners) is not None:
            to.health_loop.wake()

    def remote_room_changed(self) -> None:
        """A remote cluster can take something, or perhaps can now."""
        if (to := self._listeners) is not None:
            to.federation_loop.wake()

    def remote_runs_changed(self, cluster_id: str) -> None:
        """Something has happened to the jobs of a remote cluster, or is to."""
        if (to := self._listeners) is not None:
            to.federation.runs_changed(cluster_id)
            to.outbox_loop.wake()

    def happened(self, _topics: Sequence[str]) -> None:
        """There are new events."""
        if (to := self._listeners) is not None:
            to.matching_loop.wake()

    def delivery_due(self) -> None:
        """A webhook is to be told something, or may be told more."""
        if (to := self._listeners) is not None:
            to.telling_loop.wake()

    def drain_began(self) -> None:
        """A node is to be emptied."""
        if (to := self._listeners) is not None:
            to.drains_loop.wake()
