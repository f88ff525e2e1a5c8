"""Gives up nodes that nobody hears any more: those whose server ended before it could do so."""

from dataclasses import dataclass

from windlass_server.clock import Clock
from windlass_server.resources.membership import Membership


@dataclass(slots=True)
class _Silence:
    """What was last stored of when a node was heard, and for how long (s) that has not changed."""

    heard: int
    seconds: float = 0.0


class NodeLiveness:
    """Looks at all nodes, whichever server has their sessions.

    Each server stores that it hears its nodes, so what is stored changes as long as a node lives. Only
    that it changes counts, and for how long it has not by this server's monotonic clock: a wall clock
    that jumps, here or at another server, makes nobody silent.

    Args:
        membership: keeps when each node was heard.
        clock: measures silence.
        patience_seconds: a node that was silent for so long is not connected.
    """

    def __init__(self, membership: Membership, clock: Clock, patience_seconds: float) -> None:
        self._membership = membership
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._looked_at: float | None = None
        self._silences: dict[str, _Silence] = {}

    async def cycle(self) -> None:
        """Store which nodes have been silent for too long."""
        heard = await self._membership.heard()
        passed = self._passed()
        before, self._silences = self._silences, {}
        for node_id, at in heard.items():
            silence = before.get(node_id)
            if silence is None or silence.heard != at:
                silence = _Silence(at)
            else:
                silence.seconds += passed
            self._silences[node_id] = silence
        silent = {
            node_id: silence.heard
            for node_id, silence in self._silences.items()
            if silence.seconds >= self._patience_seconds
        }
        if silent:
            await self._membership.give_up(silent)

    def _passed(self) -> float:
        """Seconds since the last look; at most a third of the patience.

        A server that stood still for long has not stored what it heard meanwhile either.
        """
        now = self._clock.monotonic()
        looked_at, self._looked_at = self._looked_at, now
        return 0.0 if looked_at is None else min(now - looked_at, self._patience_seconds / 3)
