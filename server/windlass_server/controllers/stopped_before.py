"""For whom waiting jobs were stopped: said beside why they wait, which takes the place of that at once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from windlass_server.jobs.preemptions import stopped_text
from windlass_server.jobs.world import in_parts
from windlass_server.scheduler.plan import Waiting
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow

_READ_AT_ONCE = 500


class StoppedBefore:
    """Remembers of jobs that have run whether their last run was stopped for another job."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # By the job: its last run, and what is said of that.
        self._known: dict[str, tuple[str, str]] = {}

    async def look(self, rows: Mapping[str, JobRow], *, all_: bool) -> None:
        """Read what is not known yet of jobs that wait; `all_`: no others do."""
        if all_:
            self._known = {one: known for one, known in self._known.items() if one in rows}
        new = [
            row
            for row in rows.values()
            if row.attempt and row.run_id and self._known.get(row.job_id, ("",))[0] != row.run_id
        ]
        for some in in_parts(new, _READ_AT_ONCE):
            ids = [row.run_id for row in some]
            found = await self._database.read(lambda tx, ids=ids: tx.preemptions.of_runs(ids))  # type: ignore[misc]
            told = {one.run_id: stopped_text(one) for one in found}
            self._known |= {row.job_id: (row.run_id, told.get(row.run_id, "")) for row in some}

    def reworded(self, waiting: Sequence[Waiting]) -> list[Waiting]:
        """The same jobs; those that were stopped for others are told so."""
        return [self._reworded(one) for one in waiting]

    def _reworded(self, one: Waiting) -> Waiting:
        _, told = self._known.get(one.job_id, ("", ""))
        return replace(one, message=f"{one.message}; {told}") if told else one
