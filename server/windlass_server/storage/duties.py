"""Which server does what only one of several may do at a time, and the fence around what it commits."""

from typing import cast

from sqlalchemy import Connection, bindparam, select, update

from windlass_server.errors import Conflict
from windlass_server.storage.hot import Hot
from windlass_server.storage.inserting import insert_new
from windlass_server.storage.tables import DutyRow

SCHEDULER = "scheduler"

_DUTIES = DutyRow.__table__  # type: ignore[attr-defined]
_THIS = _DUTIES.c.duty == bindparam("key")
_OF_EPOCH = _THIS & (_DUTIES.c.epoch == bindparam("epoch_seen"))
_GET = Hot(select(_DUTIES).where(_THIS))
_BEAT = update(_DUTIES).where(_OF_EPOCH).values(beat=_DUTIES.c.beat + 1)
_GIVE_BACK = update(_DUTIES).where(_OF_EPOCH).values(holder="")
# Guarded by what was seen: of several that take it over at once, one changes the row; and none does
# when its holder has shown meanwhile that it lives.
_TAKE_OVER = (
    update(_DUTIES)
    .where(_OF_EPOCH, _DUTIES.c.beat == bindparam("beat_seen"))
    .values(holder=bindparam("by"), epoch=_DUTIES.c.epoch + 1)
)
_ASK = update(_DUTIES).where(_THIS).values(asked=_DUTIES.c.asked + 1)
# Shared, so that commits of one epoch do not wait for each other, and whoever takes over waits for them.
_FENCE = Hot(select(_DUTIES.c.epoch).where(_OF_EPOCH).with_for_update(read=True))


class DutyStore:
    """Duties in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, duty: str) -> DutyRow | None:
        """The duty, or None when nobody has ever had it."""
        return cast("DutyRow | None", _GET.first(self._connection, {"key": duty}))

    def add(self, duty: str) -> None:
        """Add a duty that nobody has, unless it is there."""
        free = {"duty": duty, "holder": "", "epoch": 0, "beat": 0, "asked": 0}
        insert_new(self._connection, _DUTIES, free)

    def take_over(self, seen: DutyRow, holder: str) -> bool:
        """Give a duty to another holder, in the next epoch; False when it is not as it was `seen`."""
        values = {
            "key": seen.duty,
            "epoch_seen": seen.epoch,
            "beat_seen": seen.beat,
            "by": holder,
        }
        return self._connection.execute(_TAKE_OVER, values).rowcount == 1

    def beat(self, duty: str, epoch: int) -> bool:
        """Show that the holder of this epoch lives; False when somebody has taken the duty over."""
        values = {"key": duty, "epoch_seen": epoch}
        return self._connection.execute(_BEAT, values).rowcount == 1

    def give_back(self, duty: str, epoch: int) -> None:
        """Let anybody have the duty at once, if it still is of this epoch."""
        self._connection.execute(_GIVE_BACK, {"key": duty, "epoch_seen": epoch})

    def ask(self, duty: str) -> None:
        """Tell whoever has a duty that there is something to do."""
        self._connection.execute(_ASK, {"key": duty})

    def require(self, duty: str, epoch: int) -> None:
        """Let a transaction go on only while a duty's epoch is this one; it then stays so until its end.

        Raises:
            Conflict: somebody else has taken the duty over (`DUTY_TAKEN_OVER`).
        """
        if not self.is_in(duty, epoch):
            text = f"another server is {duty} now; this was to be done in epoch {epoch}"
            raise Conflict(text, reason="DUTY_TAKEN_OVER", duty=duty)

    def is_in(self, duty: str, epoch: int) -> bool:
        """Whether a duty's epoch is this one; if so, it stays so until the transaction's end."""
        return _FENCE.first(self._connection, {"key": duty, "epoch_seen": epoch}) is not None
