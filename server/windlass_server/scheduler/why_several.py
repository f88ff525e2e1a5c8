"""Why a job of several nodes waits where each of its nodes could be had somewhere: how many, and how near."""

from dataclasses import replace

from windlass_server.scheduler import wording
from windlass_server.scheduler.filters import Refusal
from windlass_server.scheduler.gang import Most
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.rooms import Column, Mask, Room
from windlass_server.scheduler.snapshot import Demand, Topology


class WhySeveral:
    """Counts the nodes that would take their part of a job.

    Args:
        demand: the job's.
        ledger: the nodes.
    """

    def __init__(self, demand: Demand, ledger: Ledger) -> None:
        self._demand = demand
        self._ledger = ledger

    def fits(self, room: Room[Column]) -> bool:
        """Whether enough nodes have room, and near enough to each other."""
        return self._most(room).count >= self._demand.min_nodes

    def refusal(self, room: Room[Column]) -> Refusal:
        """What there is too little of in a room that does not do."""
        anywhere = self._ledger.gangs.most(replace(self._demand, topology=Topology()), room)
        enough = anywhere.count >= self._demand.min_nodes
        return Refusal.TOPOLOGY_UNAVAILABLE if enough else Refusal.INSUFFICIENT_NODES

    def never(self) -> str:
        """That too few nodes could hold their part, even empty."""
        most = self._most(self._ledger.full)
        return f"{self._needs()}; {_most_text(self._demand, most, 'could hold that')}"

    def left(self, room: Room[Column], what: str) -> str:
        """That too few of those that could hold their part can be had at all."""
        most = self._most(room)
        could = self._most(self._ledger.full)
        return f"{self._needs()}; of {could.count} that could hold that {most.count} are {what}"

    def reserved(self, room: Room[Column]) -> str:
        """That enough have room, but reservations keep some of it."""
        most = self._most(room)
        return f"{self._needs()}; so many have room, but reservations leave {most.count} of them"

    def not_now(self) -> str:
        """How many have room, of how many that could."""
        most = self._most(self._ledger.free)
        could = self._most(self._ledger.full)
        now = _most_text(self._demand, most, "have room for that now")
        return f"{self._needs()}; {now}; {could.count} could hold it when empty"

    def _needs(self) -> str:
        return f"needs {wording.several_text(self._demand)}"

    def _most(self, room: Room[Column]) -> Most:
        return self._ledger.gangs.most(self._demand, room)


def _most_text(demand: Demand, most: Most, what: str) -> str:
    within = wording.within_text(demand)
    where = f" ({most.name})" if most.name and within else ""
    return f"at most {most.count}{within} {what}{where}"


def only(room: Room[Column], mask: Mask) -> Room[Column]:
    """The room as if the other nodes were away."""
    return replace(room, ready=room.ready * mask)
