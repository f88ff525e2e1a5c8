"""Moves what is reserved off nodes that take no work any more, before its time comes."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from windlass.resources.v1 import reservation_pb2
from windlass_server import actors
from windlass_server.access.policy import ORGANISATION
from windlass_server.clock import Clock
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.reservation_trouble import trouble
from windlass_server.resources.reserved import Clashes, Live, live
from windlass_server.resources.reserving import NotSoMuch, Part, Wanted, parts
from windlass_server.resources.states import Status
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction


class ReservationMoves:
    """Looks for reservations that could not be kept.

    Those of amounts get other nodes while their time, or their next one, is still to come. Nodes that were
    named stay as they are, and so does what is being used.

    Args:
        cluster: what the nodes have.
    """

    def __init__(self, database: Database, cluster: Cluster, clock: Clock) -> None:
        self._database = database
        self._cluster = cluster
        self._clock = clock

    async def cycle(self) -> None:
        """Move what can be moved."""
        now = self._clock.now()

        def read(tx: Transaction) -> tuple[list[Live], list[Live]]:
            every = live(tx, now)
            return every, [one for one in every if _lost(tx, one, now)]

        every, lost = await self._database.read(read)
        for one in lost:
            # What comes again and again takes long to compare: nobody waits for it.
            others = [other.times for other in every if other is not one]
            clashes = await asyncio.to_thread(Clashes, one.times, now, others)
            move = partial(self._move, one.row.reservation_id, clashes, now)
            await self._database.write(move)

    def _move(self, reservation_id: str, clashes: Clashes, now: int, tx: Transaction) -> None:
        # Looked at again under the lock.
        row = tx.reservations.lock(reservation_id)
        every = live(tx, now) if row is not None else []
        mine = next((one for one in every if one.row.reservation_id == reservation_id), None)
        lost = _lost(tx, mine, now) if mine is not None else {}
        if row is None or mine is None or not lost or mine.times != clashes.times:
            return
        kept = {part.node_id for part in mine.parts} - lost.keys()
        others = [
            part
            for one in every
            if one is not mine and clashes.among(one.times)
            for part in one.parts
        ]
        there = [
            node
            for node in tx.nodes.all()
            if node.node_id not in kept and node.status == Status.READY and not trouble(node, now)
        ]
        bad = [part for part in mine.parts if part.node_id in lost]
        try:
            found = parts(_again(mine.spec, bad), self._cluster.look(tx, there), others)
        except NotSoMuch:
            return
        tx.reservations.replace_parts(reservation_id, list(lost), found)
        tx.reservations.change(reservation_id, version=row.version + 1)
        to = ", ".join(part.node_id for part in found)
        tx.events.record(
            project=ORGANISATION,
            object_id=reservation_id,
            at=now,
            actor=actors.RESERVATIONS,
            status=0,
            reason="MOVED",
            message=f"node {'; node '.join(lost.values())}: moved to {to}",
            run_id="",
        )


def _lost(tx: Transaction, one: Live, now: int) -> Mapping[str, str]:
    """What is wrong with the nodes that a reservation should leave, by their ids."""
    window = one.times.next(now)
    if one.spec.node_ids or not one.row.project or window is None or window.start <= now:
        return {}
    words = {part.node_id: trouble(tx.nodes.get(part.node_id), now) for part in one.parts}
    return {node_id: why for node_id, why in words.items() if why}


def _again(spec: reservation_pb2.Reservation, bad: Sequence[Part]) -> Wanted:
    """What is to be found elsewhere, in the terms in which it was asked for."""
    asked = spec.resources
    if asked.node_count:
        return Wanted(node_count=len(bad), gpu_type=asked.gpu_type)
    return Wanted(
        gpu_count=sum(part.gpu_count for part in bad),
        gpu_type=asked.gpu_type,
        cpu_millis=sum(part.cpu_millis for part in bad) if asked.cpu_millis else 0,
        memory_bytes=sum(part.memory_bytes for part in bad) if asked.memory_bytes else 0,
    )
