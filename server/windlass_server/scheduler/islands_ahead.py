"""Which GPUs of a node will reach each other when work that is expected to end has ended.

Counts of GPUs rise as runs end, whichever they are; for a job whose GPUs must reach each other it matters
which. It is found out for the nodes and times that are looked at for such a job alone.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from windlass_server.scheduler.estimates import BEYOND
from windlass_server.scheduler.islands import largest
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.rooms import Column, Room, gpu_key
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Gpu, Running
from windlass_server.scheduler.timeline import Use


class IslandsAhead:
    """The GPUs that are held, and until when.

    Args:
        ledger: the nodes.
        running: what holds parts of them.

    Attributes:
        apart: the nodes on which it matters which GPUs are free: elsewhere all that there are reach each other, or
            none do.
    """

    def __init__(self, ledger: Ledger, running: Sequence[Running]) -> None:
        self._ledger = ledger
        self.apart = np.zeros(len(ledger.nodes), np.bool_)
        for key, most in ledger.full.islands.items():
            self.apart |= (most > 1) & (most < ledger.full.gpus.get(key, ledger.full.none))
        # Of each node until when each of its GPUs is held.
        self._until: dict[int, dict[str, int]] = {}
        places, soon = ledger.free.places, ledger.now + 1
        for one in running:
            end = one.expected_end
            ends = one.started_at + BEYOND if end is None else max(end, soon)
            if one.node_id in places:
                self._hold(places[one.node_id], one.gpu_uuids, ends)

    def add(self, uses: Iterable[Use]) -> None:
        """Take account of more, which begins now."""
        for use in uses:
            ends = self._ledger.now + BEYOND if use.end is None else use.end
            self._hold(use.node, use.gpu_uuids, ends)

    def put(self, room: Room[Column], row: int, index: int, at: int) -> None:
        """Write into a row of a room how many GPUs of a node will reach each other then."""
        if not self.apart[index]:
            return
        by_type: dict[str, list[Gpu]] = {}
        until = self._until.get(index, {})
        idle = {gpu.uuid for gpu in self._ledger.free_gpus(index)}
        for gpu in self._ledger.nodes[index].gpus:
            there = gpu.healthy and not gpu.going
            if there and (gpu.uuid in idle or until.get(gpu.uuid, at + 1) <= at):
                by_type.setdefault(gpu_key(gpu.gpu_type), []).append(gpu)
        most = {key: largest(gpus) for key, gpus in by_type.items()}
        whole = [count for key, count in most.items() if key not in room.parts]
        most[ANY_GPU_TYPE] = max(whole, default=0)
        for key, column in room.islands.items():
            column[row] = most.get(key, 0)

    def _hold(self, index: int, uuids: Iterable[str], until: int) -> None:
        held = self._until.setdefault(index, {})
        for uuid in uuids:
            held[uuid] = max(held.get(uuid, 0), until)
