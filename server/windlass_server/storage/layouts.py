"""How cards shall be divided, and the devices that are kept free for that."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from windlass_server.errors import Conflict
from windlass_server.storage.hot import Hot
from windlass_server.storage.inserting import insert_new
from windlass_server.storage.tables import GpuClaimRow, GpuLayoutRow

_LAYOUTS = GpuLayoutRow.__table__  # type: ignore[attr-defined]
_CLAIMS = GpuClaimRow.__table__  # type: ignore[attr-defined]

_CHANGING = 1  # as layout_states.State

_ALL = Hot(select(_LAYOUTS).order_by(_LAYOUTS.c.node_id, _LAYOUTS.c.card_uuid))
# Of one node, or of a page of nodes, which is all of a range but for those that a filter left out.
_BETWEEN = Hot(
    select(_LAYOUTS)
    .where(_LAYOUTS.c.node_id.between(bindparam("first"), bindparam("last")))
    .order_by(_LAYOUTS.c.node_id, _LAYOUTS.c.card_uuid)
)
_PENDING = Hot(
    select(_LAYOUTS)
    .where(_LAYOUTS.c.node_id == bindparam("node_id"), _LAYOUTS.c.state == _CHANGING)
    .order_by(_LAYOUTS.c.card_uuid)
)
_OF_CARD = (_LAYOUTS.c.node_id == bindparam("node")) & (_LAYOUTS.c.card_uuid == bindparam("card"))
_GET = select(_LAYOUTS).where(_OF_CARD)
_BEGIN = (
    update(_LAYOUTS)
    .where(_OF_CARD)
    .values(
        generation=bindparam("new_generation"),
        instances=bindparam("new_instances"),
        state=_CHANGING,
        message="",
        changed_at=bindparam("at"),
    )
)
_TAKEN = (
    select(func.min(_CLAIMS.c.gpu_uuid))
    .where(_CLAIMS.c.node_id == bindparam("node_id"))
    .where(_CLAIMS.c.gpu_uuid.in_(bindparam("gpu_uuids", expanding=True)))
)
_CLAIM = insert(_CLAIMS)
_UNCLAIM = delete(_CLAIMS).where(
    _CLAIMS.c.node_id == bindparam("node"), _CLAIMS.c.layout == bindparam("card")
)
_END = (
    update(_LAYOUTS)
    .where(_OF_CARD)
    .values(
        state=bindparam("new_state"), message=bindparam("new_message"), changed_at=bindparam("at")
    )
)
_UNCLAIM_ALL = delete(_CLAIMS).where(
    _CLAIMS.c.node_id == bindparam("node"), _CLAIMS.c.layout.is_not(None)
)
_DROP = delete(_LAYOUTS).where(_LAYOUTS.c.node_id == bindparam("node"))


class LayoutStore:
    """Layouts of cards in the database. Whoever changes one of a node has locked the node."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, node_id: str, card_uuid: str) -> GpuLayoutRow | None:
        """What a card was last told to be, or None."""
        row = self._connection.execute(_GET, {"node": node_id, "card": card_uuid}).first()
        return cast("GpuLayoutRow | None", row)

    def all(self) -> Sequence[GpuLayoutRow]:
        """Every layout, node by node."""
        return cast("Sequence[GpuLayoutRow]", _ALL.all(self._connection, {}))

    def of_nodes(self, node_ids: Sequence[str]) -> Sequence[GpuLayoutRow]:
        """The layouts of the cards of these nodes."""
        if not node_ids:
            return []
        between = {"first": min(node_ids), "last": max(node_ids)}
        wanted = set(node_ids)
        rows = _BETWEEN.all(self._connection, between)
        return [row for row in rows if row.node_id in wanted]

    def pending(self, node_id: str) -> Sequence[GpuLayoutRow]:
        """The layouts that a node has still to carry out."""
        rows = _PENDING.all(self._connection, {"node_id": node_id})
        return cast("Sequence[GpuLayoutRow]", rows)

    def begin(
        self,
        node_id: str,
        card_uuid: str,
        *,
        generation: int,
        instances: str,
        going: Sequence[str],
        at: int,
    ) -> None:
        """Want a card to be divided otherwise, and keep everybody off the devices that will be gone.

        Args:
            node_id: its node.
            card_uuid: the card as a whole.
            generation: higher than that of any layout that the card was told.
            instances: what it shall be divided into, as in the row; empty: it shall be whole.
            going: UUIDs of the devices of the card that will be gone.
            at: now, in microseconds.

        Raises:
            Conflict: GPU_TAKEN, one of those is not free.
        """
        where = {"node_id": node_id, "gpu_uuids": list(going)}
        taken = self._connection.execute(_TAKEN, where).scalar_one()
        if taken is not None:
            message = f"GPU {taken} of node {node_id} is not free any more"
            raise Conflict(message, reason="GPU_TAKEN", node_id=node_id, gpu_uuid=taken)
        first = {
            "node_id": node_id,
            "card_uuid": card_uuid,
            "generation": generation,
            "instances": instances,
            "state": _CHANGING,
            "message": "",
            "changed_at": at,
        }
        if not insert_new(self._connection, _LAYOUTS, first):
            card = {"node": node_id, "card": card_uuid}
            told = {"new_generation": generation, "new_instances": instances, "at": at}
            self._connection.execute(_BEGIN, card | told)
        if going:
            claims = [{"node_id": node_id, "gpu_uuid": gpu, "layout": card_uuid} for gpu in going]
            self._connection.execute(_CLAIM, claims)

    def end(self, node_id: str, card_uuid: str, *, state: int, message: str, at: int) -> None:
        """Note what has become of a layout, and give back what was kept free for it."""
        card = {"node": node_id, "card": card_uuid}
        self._connection.execute(_UNCLAIM, card)
        told = {"new_state": state, "new_message": message, "at": at}
        self._connection.execute(_END, card | told)

    def drop(self, node_id: str) -> None:
        """Forget the layouts of a node."""
        self._connection.execute(_UNCLAIM_ALL, {"node": node_id})
        self._connection.execute(_DROP, {"node": node_id})
