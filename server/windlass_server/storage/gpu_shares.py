"""GPUs that several hold together, each a share of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from windlass_server.errors import Conflict
from windlass_server.storage.hot import Hot
from windlass_server.storage.tables import GpuClaimRow, GpuShareRow

_CLAIMS = GpuClaimRow.__table__  # type: ignore[attr-defined]
_SHARES = GpuShareRow.__table__  # type: ignore[attr-defined]

_OF_CARD = (_CLAIMS.c.node_id == bindparam("node")) & (_CLAIMS.c.gpu_uuid == bindparam("gpu"))
_SHARES_OF_CARD = (_SHARES.c.node_id == bindparam("node")) & (
    _SHARES.c.gpu_uuid == bindparam("gpu")
)
# A card that is held whole has no sum, and no sum of it fits.
_GROW = (
    update(_CLAIMS)
    .where(_OF_CARD, _CLAIMS.c.shared_millis + bindparam("millis") <= 1000)
    .values(shared_millis=_CLAIMS.c.shared_millis + bindparam("millis"))
)
_CLAIMED = select(_CLAIMS.c.gpu_uuid).where(_OF_CARD)
_CLAIM = insert(_CLAIMS)
_COUNT = select(func.count()).select_from(_SHARES).where(_SHARES_OF_CARD)
_ADD = insert(_SHARES)
_HELD_BY = _SHARES.c.holder.in_(bindparam("holders", expanding=True))
_CARDS_OF = (
    select(_SHARES.c.node_id, _SHARES.c.gpu_uuid)
    .where(_HELD_BY)
    .distinct()
    .order_by(_SHARES.c.node_id, _SHARES.c.gpu_uuid)
)
_REMOVE = delete(_SHARES).where(_HELD_BY)
_SUM = select(func.sum(_SHARES.c.millis)).where(_SHARES_OF_CARD)
_SET_SUM = update(_CLAIMS).where(_OF_CARD).values(shared_millis=bindparam("millis"))
_UNCLAIM = delete(_CLAIMS).where(_OF_CARD)
_ALL = Hot(
    select(_SHARES.c.node_id, _SHARES.c.gpu_uuid, _SHARES.c.holder, _SHARES.c.millis).order_by(
        _SHARES.c.node_id, _SHARES.c.gpu_uuid, _SHARES.c.holder
    )
)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of one GPU.

    Attributes:
        millis: in thousandths, 1 to 999.
        most: how many may share the GPU, this one included.
    """

    millis: int
    most: int


class GpuShareStore:
    """Shares of GPUs in the database. Whoever takes one or gives one back has locked the node."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> Sequence[Any]:
        """Every share: rows of node_id, gpu_uuid, holder and millis, in their order."""
        return _ALL.all(self._connection, {})

    def take(self, node_id: str, gpu_uuid: str, holder: str, share: Share) -> None:
        """Give a run or an allocation a share of a GPU that nobody holds, or others share.

        Raises:
            Conflict: GPU_TAKEN, somebody has it alone, has not left so much of it, or too many share it.
        """
        card = {"node": node_id, "gpu": gpu_uuid}
        grown = self._connection.execute(_GROW, card | {"millis": share.millis}).rowcount == 1
        others = int(self._connection.execute(_COUNT, card).scalar_one()) if grown else 0
        claimed = self._connection.execute(_CLAIMED, card).first() is not None
        if others >= share.most or (claimed and not grown):
            message = f"GPU {gpu_uuid} of node {node_id} has no such share left"
            raise Conflict(message, reason="GPU_TAKEN", node_id=node_id, gpu_uuid=gpu_uuid)
        if not grown:
            first = {"node_id": node_id, "gpu_uuid": gpu_uuid, "shared_millis": share.millis}
            self._connection.execute(_CLAIM, first)
        of = {"node_id": node_id, "gpu_uuid": gpu_uuid}
        self._connection.execute(_ADD, of | {"holder": holder, "millis": share.millis})

    def give_back(self, holders: Sequence[str]) -> None:
        """Take what runs or allocations share away from them, once or more often.

        What is taken of a GPU is counted anew from what the others have of it.
        """
        values = {"holders": list(holders)}
        rows = self._connection.execute(_CARDS_OF, values).all()
        if not rows:
            return
        self._connection.execute(_REMOVE, values)
        for row in rows:
            card = {"node": row.node_id, "gpu": row.gpu_uuid}
            left = cast("int | None", self._connection.execute(_SUM, card).scalar_one())
            if left:
                self._connection.execute(_SET_SUM, card | {"millis": left})
            else:
                self._connection.execute(_UNCLAIM, card)
