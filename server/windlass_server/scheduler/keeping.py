"""Keeps what was made free for jobs from all behind them: until the last has left, and while cards are divided."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from windlass_server.scheduler.divisible import divisible
from windlass_server.scheduler.future import emptied_of
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.preempting import made_free
from windlass_server.scheduler.rooms import gpu_key
from windlass_server.scheduler.snapshot import Demand, NodeState, Running, Snapshot


@dataclass(frozen=True, slots=True)
class KeptCards:
    """What of a node is kept for a job for which its cards are to be divided.

    Attributes:
        index: the node.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        gpus: devices, by the keys of their types.
    """

    index: int
    cpu_millis: int
    memory_bytes: int
    gpus: Mapping[str, int]


class Keeping:
    """What is kept while a plan is made.

    Args:
        snapshot: the world.
        ledger: what is left of the nodes.

    Attributes:
        cards: by the jobs for which all have left that had to, what is kept until their cards are divided.
    """

    def __init__(self, snapshot: Snapshot, ledger: Ledger) -> None:
        self._ledger = ledger
        self._under_way = made_free(snapshot.preemptions, ledger.start.places)
        self._nodes = {one.job_id: one.node_ids for one in snapshot.preemptions.making_room}
        self._leaving: dict[str, list[Running]] = {}
        for run in snapshot.running if self._nodes else ():
            if run.leaving:
                self._leaving.setdefault(run.node_id, []).append(run)
        self.cards: dict[str, KeptCards] = {}

    def keep(self, demand: Demand) -> None:
        """Keep for a job that has found no place what was made free for it."""
        node_ids = self._nodes.get(demand.job_id, ())
        if len(node_ids) == 1 and self._keep_cards(demand, node_ids[0]):
            return
        for index in self._under_way.get(demand.job_id, ()):
            self._ledger.keep(index, demand)

    def _keep_cards(self, demand: Demand, node_id: str) -> bool:
        index = self._ledger.start.places.get(node_id)
        if index is None or not self._ledger.nodes[index].cards:
            return False
        leaving = self._leaving.get(node_id, ())
        found = divisible(emptied_of(self._left(index), leaving), demand, self._ledger.now)
        if found is None:
            return False
        there = [gpu for gpu in self._ledger.free_gpus(index) if gpu.uuid in found.devices]
        cpu_millis, memory_bytes = self._ledger.keep_devices(index, demand, there)
        if demand.job_id not in self._under_way:
            gpus = Counter(gpu_key(gpu.gpu_type) for gpu in there)
            self.cards[demand.job_id] = KeptCards(index, cpu_millis, memory_bytes, gpus)
        return True

    def _left(self, index: int) -> NodeState:
        """A node without what the plan has given away of it."""
        ledger, node = self._ledger, self._ledger.nodes[index]
        free = {gpu.uuid for gpu in ledger.free_gpus(index)}
        gpus = [gpu if gpu.uuid in free else replace(gpu, held=True) for gpu in node.gpus]
        return replace(
            node,
            cpu_free=int(ledger.free.cpu_millis[index]),
            memory_free=int(ledger.free.memory_bytes[index]),
            gpus=tuple(gpus),
        )
