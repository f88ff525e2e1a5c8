"""Reservations: authorise, load, decide, store."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from windlass.resources.v1 import reservation_pb2, resources_service_pb2
from windlass_server.access.policy import ORGANISATION, Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.errors import WrongState
from windlass_server.idempotency import Asked
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens, page_size
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.reservation_asked import (
    CHANGEABLE,
    OWN,
    checked,
    full,
    refused,
    sensible,
    timed,
)
from windlass_server.resources.reservation_times import (
    Status,
    Times,
    Window,
    status,
)
from windlass_server.resources.reservation_trouble import trouble
from windlass_server.resources.reserved import Clashes, Live, live, part_of, times_of
from windlass_server.resources.reserving import NotSoMuch, Part, Wanted, of_nodes, parts
from windlass_server.scheduler.snapshot import NodeState
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import ReservationRow
from windlass_server.storage.transaction import Transaction
from windlass_server.timestamps import from_proto
from windlass_server.updates import merged, require_etag, require_same

_RESERVE = "reservations.create"
_NAMED = 3


@dataclass(frozen=True, slots=True)
class ReservationView:
    """A reservation as callers see it: where it is in its life, and its present or else next time.

    Attributes:
        problem: why it cannot be kept now, in words; empty when it can.
    """

    row: ReservationRow
    spec: reservation_pb2.Reservation
    parts: tuple[Part, ...]
    status: Status
    next: Window | None
    problem: str


class ReservationsService:
    """Keeps which parts of the nodes are reserved, for whom and when.

    Args:
        cluster: what the nodes have.
        page_tokens: makes list tokens.
    """

    def __init__(
        self,
        database: Database,
        cluster: Cluster,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens

    async def create(
        self, who: Caller, request: resources_service_pb2.CreateReservationRequest
    ) -> ReservationView:
        """Reserve parts of nodes.

        Raises:
            InvalidInput: what is asked for makes no sense, or no nodes could ever give it.
            NotFound: there is no such node or project.
            WrongState: too much of it is reserved at that time (`RESERVATION_CONFLICT`).
            Conflict: `request_id` was used for something else.
        """
        require(who, _RESERVE, ORGANISATION)
        now = self._clock.now()
        asked = Asked(who.user, _RESERVE, request.request_id, request.reservation)
        spec = full(request.reservation, who, now)
        times = times_of(spec)
        amounts = sensible(spec, times, now)
        clashes = await self._looked_at(times, now)

        def store(tx: Transaction) -> str:
            if (earlier := asked.earlier(tx)) is not None:
                return earlier
            if spec.project and not tx.access.has_project(spec.project):
                raise absent("project", spec.project)
            chosen = self._choose(tx, amounts, clashes, now)
            reservation_id = self._ids.new("resv")
            columns = {
                "reservation_id": reservation_id,
                "project": spec.project,
                "spec": spec.SerializeToString(),
                "version": 1,
                "user": who.user,
                "starts_at": times.start,
                "ends_at": times.over_by,
                "created_at": now,
                "cancelled_at": None,
            }
            tx.reservations.add(columns, [_part_columns(reservation_id, part) for part in chosen])
            asked.remember(tx, reservation_id, now)
            _record(tx, reservation_id, who.user, "RESERVED", spec.reason, now)
            return reservation_id

        made = await self._database.write(store)
        return await self._view(made)

    async def get(self, who: Caller, reservation_id: str) -> ReservationView:
        """A reservation; NotFound when there is none of that id."""
        require(who, "reservations.get", ORGANISATION)
        return await self._view(reservation_id)

    async def list(
        self,
        who: Caller,
        wanted: resources_service_pb2.ListReservationsRequest,
    ) -> tuple[Sequence[ReservationView], str]:
        """A page of reservations, newest first, and the token of the next one."""
        require(who, "reservations.list", ORGANISATION)
        size = page_size(wanted.page_size)
        query = f"reservations {wanted.status} {wanted.project} {wanted.node_id}"
        token = wanted.page_token
        before = self._page_tokens.read(query, token) if token else ""
        found = await self._database.read(lambda tx: self._page(tx, wanted, before, size + 1))
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].row.reservation_id)

    async def update(
        self, who: Caller, wanted: reservation_pb2.Reservation, mask: Sequence[str]
    ) -> ReservationView:
        """Change when and for whom a reservation is; it keeps its parts. As it was: nothing is.

        Raises:
            InvalidInput: there is no id, the mask names what cannot be changed, or the new time makes
                no sense.
            NotFound: there is none of that id.
            WrongState: it is over, has begun (`RESERVATION_BEGUN`), or another has a part of it then.
            Conflict: it is not as `wanted.etag` says.
        """
        require(who, "reservations.update", ORGANISATION)
        if not wanted.reservation_id:
            raise refused("reservation_id", "says which reservation is meant", "REQUIRED")
        now = self._clock.now()
        read = (await self._view(wanted.reservation_id)).spec
        clashes = await self._looked_at(
            times_of(timed(merged(read, wanted, mask, CHANGEABLE), now)), now
        )

        def store(tx: Transaction) -> None:
            old = _found(tx.reservations.lock(wanted.reservation_id), wanted.reservation_id)
            require_etag("reservation", old.version, wanted.etag)
            before = reservation_pb2.Reservation.FromString(old.spec)
            _require_alive(old, before, now)
            require_same(before, wanted, mask, OWN, "reservation")
            spec = timed(merged(before, wanted, mask, CHANGEABLE), now)
            if spec == before:
                return
            if spec.start_time != before.start_time and from_proto(before.start_time) <= now:
                text = "it has begun: its start_time stays as it is"
                raise WrongState(text, reason="RESERVATION_BEGUN", subject=old.reservation_id)
            times = checked(times_of(spec), now)
            # Who changed it meanwhile has it looked at anew.
            known = clashes if clashes.times == times else Clashes(times, now)
            self._require_free(tx, old.reservation_id, known, now)
            tx.reservations.change(
                old.reservation_id,
                spec=spec.SerializeToString(),
                version=old.version + 1,
                starts_at=times.start,
                ends_at=times.over_by,
            )
            _record(tx, old.reservation_id, who.user, "CHANGED", spec.reason, now)

        await self._database.write(store)
        return await self._view(wanted.reservation_id)

    async def cancel(self, who: Caller, reservation_id: str) -> ReservationView:
        """End a reservation; one that was cancelled stays as it is.

        Raises:
            NotFound: there is none of that id.
            WrongState: its last time is over.
        """
        require(who, "reservations.cancel", ORGANISATION)
        now = self._clock.now()

        def store(tx: Transaction) -> None:
            row = _found(tx.reservations.lock(reservation_id), reservation_id)
            if row.cancelled_at is not None:
                return
            _require_alive(row, reservation_pb2.Reservation.FromString(row.spec), now)
            tx.reservations.change(reservation_id, cancelled_at=now, version=row.version + 1)
            _record(tx, reservation_id, who.user, "CANCELLED", "", now)

        await self._database.write(store)
        return await self._view(reservation_id)

    async def _looked_at(self, times: Times, now: int) -> Clashes:
        """What clashes with these times as it is now; what is new by then, a transaction looks at."""
        others = await self._database.read(lambda tx: {one.times for one in live(tx, now)})
        return await asyncio.to_thread(Clashes, times, now, others)

    def _choose(
        self, tx: Transaction, wanted: Wanted, clashes: Clashes, now: int
    ) -> tuple[Part, ...]:
        """The parts that a new reservation gets."""
        nodes = self._cluster.look(tx, tx.nodes.all())
        known = {node.node_id for node in nodes}
        for node_id in wanted.node_ids:
            if node_id not in known:
                raise absent("node", node_id)
        others = [one for one in live(tx, now) if clashes.among(one.times)]
        try:
            return parts(wanted, nodes, [part for one in others for part in one.parts])
        except NotSoMuch as lack:
            try:
                parts(wanted, nodes, ())
            except NotSoMuch as never:
                raise refused("resources", str(never), "UNSATISFIABLE_RESOURCES") from None
            raise _conflict(str(lack), _with_part_of(others, wanted.node_ids)) from None

    def _require_free(
        self, tx: Transaction, reservation_id: str, clashes: Clashes, now: int
    ) -> None:
        """Do nothing when a reservation's parts are free at its new time."""
        every = live(tx, now)
        (mine,) = [one for one in every if one.row.reservation_id == reservation_id]
        others = [one for one in every if one is not mine and clashes.among(one.times)]
        nodes = {node.node_id: node for node in self._cluster.look(tx, tx.nodes.all())}
        for part in mine.parts:
            node = nodes.get(part.node_id)
            taken = [
                other for one in others for other in one.parts if other.node_id == part.node_id
            ]
            if node is not None and taken and not _fits(part, node, taken):
                ids = _with_part_of(others, [part.node_id])
                raise _conflict(f"others have a part of node {part.node_id} then", ids)

    def _page(
        self,
        tx: Transaction,
        wanted: resources_service_pb2.ListReservationsRequest,
        before: str,
        size: int,
    ) -> Sequence[ReservationView]:
        """Up to `size` reservations; their status is what time has made of them, and no column."""
        found: list[ReservationView] = []
        while len(found) < size:
            rows = tx.reservations.page(
                before=before, size=size, project=wanted.project, node_id=wanted.node_id
            )
            found += [
                view
                for view in _views(tx, rows, self._clock.now())
                if wanted.status in (0, int(view.status))
            ]
            if len(rows) < size:
                break
            before = rows[-1].reservation_id
        return found[:size]

    async def _view(self, reservation_id: str) -> ReservationView:
        def load(tx: Transaction) -> ReservationView:
            row = _found(tx.reservations.get(reservation_id), reservation_id)
            return _views(tx, [row], self._clock.now())[0]

        return await self._database.read(load)


def _fits(part: Part, node: NodeState, taken: Sequence[Part]) -> bool:
    """Whether a node has a part beside those that others have."""
    every = [part, *taken]
    key = part.gpu_type.casefold()
    there = sum(gpu.gpu_type.casefold() == key for gpu in node.gpus)
    return (
        sum(one.cpu_millis for one in every) <= node.cpu_millis
        and sum(one.memory_bytes for one in every) <= node.memory_bytes
        and sum(one.gpu_count for one in every if one.gpu_type.casefold() == key) <= there
    )


def _with_part_of(others: Sequence[Live], node_ids: Sequence[str]) -> list[str]:
    """Those of the reservations that have a part of these nodes; of all when none are named."""
    by_id = {one.row.reservation_id: one.parts for one in others}
    return sorted(of_nodes(by_id, node_ids)) if node_ids else sorted(by_id)


def _conflict(why: str, reservation_ids: Sequence[str]) -> WrongState:
    named = ", ".join(reservation_ids[:_NAMED])
    more = f" and {len(reservation_ids) - _NAMED} more" if len(reservation_ids) > _NAMED else ""
    text = f"{why} at that time, beside {named}{more}"
    return WrongState(
        text,
        reason="RESERVATION_CONFLICT",
        subject=next(iter(reservation_ids), "nodes"),
        reservation_ids=",".join(reservation_ids[:100]),
    )


def _require_alive(row: ReservationRow, spec: reservation_pb2.Reservation, now: int) -> None:
    if row.cancelled_at is not None or times_of(spec).next(now) is None:
        text = f"reservation {row.reservation_id} is over"
        raise WrongState(text, reason="RESERVATION_ENDED", subject=row.reservation_id)


def _found(row: ReservationRow | None, reservation_id: str) -> ReservationRow:
    if row is None:
        raise absent("reservation", reservation_id)
    return row


def _part_columns(reservation_id: str, part: Part) -> dict[str, Any]:
    return {
        "reservation_id": reservation_id,
        "node_id": part.node_id,
        "cpu_millis": part.cpu_millis,
        "memory_bytes": part.memory_bytes,
        "gpu_count": part.gpu_count,
        "gpu_type": part.gpu_type,
    }


def _record(
    tx: Transaction, reservation_id: str, actor: str, reason: str, message: str, at: int
) -> None:
    tx.events.record(
        project=ORGANISATION,
        object_id=reservation_id,
        at=at,
        actor=actor,
        status=0,
        reason=reason,
        message=message,
        run_id="",
    )


def _problem(tx: Transaction, kept: Sequence[Part], now: int) -> str:
    """What is wrong with the nodes of a reservation."""
    words = [why for part in kept if (why := trouble(tx.nodes.get(part.node_id), now))]
    named = "; node ".join(words[:_NAMED])
    more = f"; and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return f"node {named}{more}" if words else ""


def _views(tx: Transaction, rows: Sequence[ReservationRow], now: int) -> list[ReservationView]:
    """Reservations as callers see them at a time."""
    kept: dict[str, list[Part]] = {row.reservation_id: [] for row in rows}
    for part in tx.reservations.parts(list(kept)):
        kept[part.reservation_id].append(part_of(part))
    views = []
    for row in rows:
        spec = reservation_pb2.Reservation.FromString(row.spec)
        times = times_of(spec)
        at = status(times, row.cancelled_at, now)
        window = times.next(now) if row.cancelled_at is None else None
        mine = tuple(kept[row.reservation_id])
        problem = "" if window is None or not row.project else _problem(tx, mine, now)
        views.append(ReservationView(row, spec, mine, at, window, problem))
    return views
