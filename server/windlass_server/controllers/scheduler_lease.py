"""Which of several servers is the scheduler: one plans, and what others still commit is refused."""

import logging
from collections.abc import Callable

from windlass_server.clock import Clock
from windlass_server.errors import Unavailable
from windlass_server.storage.duties import SCHEDULER
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import DutyRow
from windlass_server.storage.transaction import Transaction

_log = logging.getLogger(__name__)

# A scheduler that has shown nothing of itself for so long is taken for dead.
LEASE_SECONDS = 10.0
# How often it shows that it lives, and how often each server looks.
BEAT_SECONDS = 3.0
LOOK_SECONDS = 0.5


class SchedulerLease:
    """This server's claim to be the scheduler.

    The lease only says who should plan; it is the epoch that keeps two from doing so. It rises
    whenever a server takes over, each commit of a plan names the one that it was made in, and is
    refused in its own transaction when there is a newer one. So a server that was asleep, or is
    taken for dead too early, does no harm. Time is each server's monotonic clock.

    Args:
        holder: this server, by a name that it has again when it is started again.
        alone: no other server can be on this database, so that nobody has to be shown anything.
        look: called when the scheduler has something to look at: this server has become it, or
            another one knows of news.

    Attributes:
        epoch: in which this server may plan; None while another one is the scheduler.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        holder: str,
        *,
        alone: bool,
        look: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._holder = holder
        self._alone = alone
        self._look = look
        self.epoch: int | None = None
        # What was last seen of whoever is the scheduler, and since when that is all.
        self._seen = (-1, -1)
        self._seen_at = 0.0
        self._beaten_at = 0.0
        self._asked = 0
        self._asking = False
        self._begun = False

    def ask(self) -> None:
        """Let the scheduler know, with the next cycle here, that there is news."""
        self._asking = True

    async def cycle(self) -> None:
        """Look who is the scheduler; stay it, become it, or tell it of news."""
        if self._alone and self.epoch is not None:
            return
        row = await self._database.read(lambda tx: tx.duties.get(SCHEDULER))
        if row is None:
            row = await self._database.write(_added)
        if self.epoch is not None:
            await self._stay(row)
        elif self._is_free(row):
            await self._become(row)
        if self.epoch is None and self._asking:
            self._asking = False
            await self._database.write(lambda tx: tx.duties.ask(SCHEDULER))

    async def give_back(self) -> None:
        """Let another server take over at once; nothing is planned here any more."""
        epoch, self.epoch = self.epoch, None
        if epoch is None:
            return
        try:
            await self._database.write(lambda tx: tx.duties.give_back(SCHEDULER, epoch))
        except Unavailable as error:
            _log.warning("another server plans when this one's lease has run out: %s", error)

    def _is_free(self, row: DutyRow) -> bool:
        """Whether nobody is the scheduler, as far as can be told."""
        now = self._clock.monotonic()
        if self._seen != (row.epoch, row.beat):
            self._seen, self._seen_at = (row.epoch, row.beat), now
        # What an earlier process of this server had is this one's.
        mine = row.holder == self._holder and not self._begun
        self._begun = True
        return self._alone or not row.holder or mine or now - self._seen_at >= LEASE_SECONDS

    async def _become(self, row: DutyRow) -> None:
        if await self._database.write(lambda tx: tx.duties.take_over(row, self._holder)):
            self.epoch = row.epoch + 1
            self._asked, self._asking = row.asked, False
            self._beaten_at = self._clock.monotonic()
            self._look()

    async def _stay(self, row: DutyRow) -> None:
        epoch, now = self.epoch, self._clock.monotonic()
        assert epoch is not None
        if now - self._beaten_at >= BEAT_SECONDS and row.epoch == epoch:
            self._beaten_at = now
            if not await self._database.write(lambda tx: tx.duties.beat(SCHEDULER, epoch)):
                self.epoch = None
        elif row.epoch != epoch:
            self.epoch = None
        if self.epoch is not None and row.asked != self._asked:
            self._asked = row.asked
            self._look()


def _added(tx: Transaction) -> DutyRow:
    tx.duties.add(SCHEDULER)
    row = tx.duties.get(SCHEDULER)
    assert row is not None
    return row
