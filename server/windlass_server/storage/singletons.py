"""Whose turn it is of the jobs of one name and user that run one at a time."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from windlass_server.storage.inserting import insert_new
from windlass_server.storage.partial_indexes import JOB_LISTED, JOB_NOT_ENDED
from windlass_server.storage.tables import JobRow, SingletonTurnRow

_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_TURNS = SingletonTurnRow.__table__  # type: ignore[attr-defined]


class SingletonKey(NamedTuple):
    """Of what jobs only one runs at a time."""

    project: str
    user: str
    name: str


_BEFORE = (
    select(_JOBS.c.job_id)
    .where(
        JOB_NOT_ENDED,
        # An array ends with the last of its indices.
        JOB_LISTED,
        _JOBS.c.project == bindparam("project"),
        _JOBS.c.user == bindparam("user"),
        _JOBS.c.name == bindparam("name"),
        _JOBS.c.job_id < bindparam("job_id"),
    )
    .order_by(_JOBS.c.job_id.desc())
    .limit(1)
)
_OF_KEY = (
    _TURNS.c.project == bindparam("of_project"),
    _TURNS.c.user == bindparam("of_user"),
    _TURNS.c.name == bindparam("of_name"),
)
_LOCK = select(_TURNS.c.job_id).where(*_OF_KEY).with_for_update()
_HAS = select(_TURNS.c.job_id).where(*_OF_KEY)
_GIVE = update(_TURNS).where(*_OF_KEY).values(job_id=bindparam("to"))


class SingletonStore:
    """Turns in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self, keys: Sequence[SingletonKey]) -> None:
        """Keep others from deciding on these turns until the transaction ends; always in one order."""
        for key in sorted(set(keys)):
            insert_new(self._connection, _TURNS, {**key._asdict(), "job_id": ""})
            self._connection.execute(_LOCK, _values(key)).first()

    def holder(self, key: SingletonKey) -> str:
        """The last job that had the turn; empty for none."""
        return self._connection.execute(_HAS, _values(key)).scalar() or ""

    def give(self, key: SingletonKey, job_id: str) -> None:
        """Say that a job has the turn, which is locked."""
        self._connection.execute(_GIVE, {**_values(key), "to": job_id})

    def before(self, key: SingletonKey, job_id: str) -> str:
        """The last job of the key before this one that has not ended; empty for none."""
        values = {**key._asdict(), "job_id": job_id}
        return self._connection.execute(_BEFORE, values).scalar() or ""


def _values(key: SingletonKey) -> dict[str, str]:
    return {"of_project": key.project, "of_user": key.user, "of_name": key.name}
