"""Quotas, and the counting of what their owners have."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import (
    Connection,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    update,
)

from windlass_server.storage.hot import Hot
from windlass_server.storage.inserting import insert_new
from windlass_server.storage.partial_indexes import (
    ARRAY_ACTIVE,
    JOB_LISTED,
    JOB_OF_ARRAY,
    RUN_ACTIVE,
)
from windlass_server.storage.placed_jobs import HAS_PLACE
from windlass_server.storage.tables import (
    AllocationRow,
    ArtifactRow,
    JobArrayRow,
    JobRow,
    QuotaRow,
    RunRow,
)

_QUOTAS: Table = QuotaRow.__table__  # type: ignore[attr-defined]
_JOBS: Table = JobRow.__table__  # type: ignore[attr-defined]
_ARRAYS: Table = JobArrayRow.__table__  # type: ignore[attr-defined]
_RUNS: Table = RunRow.__table__  # type: ignore[attr-defined]
_ALLOCATIONS: Table = AllocationRow.__table__  # type: ignore[attr-defined]
_ARTIFACTS: Table = ArtifactRow.__table__  # type: ignore[attr-defined]

# As jobs.v1.Job.Status: those that wait, and those that may have a place.
_COUNTED_STATUSES = (1, 2, 3, 4, 10, 11)
_COUNTED = (
    "gpu_millis",
    "cpu_millis",
    "memory_bytes",
    "running_jobs",
    "queued_jobs",
    "artifact_bytes",
)
_GUARANTEES = or_(
    *(
        _QUOTAS.c[f"guaranteed_{name}"].is_not(None)
        for name in ("gpu_millis", "cpu_millis", "memory_bytes")
    )
)

_ALL = Hot(select(_QUOTAS).order_by(_QUOTAS.c.quota_id))
_GET = select(_QUOTAS).where(_QUOTAS.c.quota_id == bindparam("quota_id"))
_OF_OWNER = select(_QUOTAS).where(
    _QUOTAS.c.project == bindparam("project"),
    _QUOTAS.c.user == bindparam("user"),
    _QUOTAS.c.gpu_key == bindparam("gpu_key"),
)
_ANY_OF = Hot(select(_QUOTAS.c.quota_id).where(_QUOTAS.c.project == bindparam("project")).limit(1))
# Those that a project counts by, and those that share cohorts with it: always locked in this order.
_COHORTS = select(_QUOTAS.c.cohort).where(
    _QUOTAS.c.project == bindparam("project"), _QUOTAS.c.user == "", _GUARANTEES
)
_FOR = (
    select(_QUOTAS)
    .where(
        or_(
            _QUOTAS.c.project == bindparam("project"),
            and_(_QUOTAS.c.user == "", _GUARANTEES, _QUOTAS.c.cohort.in_(_COHORTS)),
        )
    )
    .order_by(_QUOTAS.c.quota_id)
)
_READ_FOR = Hot(_FOR)
_LOCK_FOR = Hot(_FOR.with_for_update())
_LOCK_OF = Hot(
    select(_QUOTAS)
    .where(_QUOTAS.c.project == bindparam("project"))
    .order_by(_QUOTAS.c.quota_id)
    .with_for_update()
)
_COUNT = Hot(
    update(_QUOTAS)
    .where(_QUOTAS.c.quota_id == bindparam("key"))
    .values(
        lowered=bindparam("below"),
        **{f"used_{name}": bindparam(f"used_{name}") for name in _COUNTED},
    )
)
_HELD_BY_RUNS = (
    select(
        _JOBS.c.user,
        _RUNS.c.cpu_millis,
        _RUNS.c.memory_bytes,
        _RUNS.c.gpu_uuids,
        _RUNS.c.gpu_types,
        _RUNS.c.gpu_millis,
    )
    .join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
    .where(_JOBS.c.project == bindparam("project"), RUN_ACTIVE)
)
_HELD_BY_ALLOCATIONS = select(
    _ALLOCATIONS.c.user,
    _ALLOCATIONS.c.cpu_millis,
    _ALLOCATIONS.c.memory_bytes,
    _ALLOCATIONS.c.gpu_uuids,
    _ALLOCATIONS.c.gpu_types,
    _ALLOCATIONS.c.gpu_millis,
).where(_ALLOCATIONS.c.project == bindparam("project"), _ALLOCATIONS.c.status == 1)
# An array waits until it ends.
_WAITS = or_(_JOBS.c.status == 1, _JOBS.c.array_count > 0)
_JOBS_OF_USERS = (
    select(
        _JOBS.c.user,
        func.sum(case((_WAITS, 1), else_=0)).label("queued"),
        func.sum(case((HAS_PLACE, 1), else_=0)).label("running"),
    )
    .where(
        _JOBS.c.project == bindparam("project"),
        _JOBS.c.status.in_(_COUNTED_STATUSES),
        JOB_LISTED,
    )
    .group_by(_JOBS.c.user)
)
# Of an array's indices those that have a place: for those that wait the array is counted.
_INDICES_OF_USERS = (
    select(_JOBS.c.user, literal(0).label("queued"), func.count().label("running"))
    .select_from(_ARRAYS)
    .join(_JOBS, _JOBS.c.array_job_id == _ARRAYS.c.array_job_id)
    .where(
        ARRAY_ACTIVE,
        JOB_OF_ARRAY,
        _JOBS.c.project == bindparam("project"),
        HAS_PLACE,
    )
    .group_by(_JOBS.c.user)
)
# Of those who uploaded them, or whose jobs left them. As storage.artifacts.State: 3 is removed.
_ARTIFACT_OWNER = case((_ARTIFACTS.c.run_id.is_(None), _ARTIFACTS.c.user), else_=_JOBS.c.user)
_ARTIFACTS_OF_USERS = (
    select(_ARTIFACT_OWNER.label("user"), func.sum(_ARTIFACTS.c.size_bytes).label("size_bytes"))
    .join(_JOBS, _JOBS.c.job_id == _ARTIFACTS.c.job_id)
    .where(_ARTIFACTS.c.project == bindparam("project"), _ARTIFACTS.c.status != 3)
    .group_by(_ARTIFACT_OWNER)
)
# Keeps everybody from writing what quotas count. Whoever counts does so behind its own writing, so that
# a quota which is made meanwhile is either seen by it, or sees what it wrote.
_LOCK_COUNTED = text("LOCK TABLE runs, allocations, jobs, artifacts IN SHARE ROW EXCLUSIVE MODE")


class QuotaStore:
    """Quotas in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, bool] = {}

    def get(self, quota_id: str) -> QuotaRow | None:
        """The quota, or None."""
        found = self._connection.execute(_GET, {"quota_id": quota_id}).first()
        return cast("QuotaRow | None", found)

    def lock(self, quota_id: str) -> QuotaRow | None:
        """The quota, held against other writers until the transaction ends; or None."""
        found = self._connection.execute(_GET.with_for_update(), {"quota_id": quota_id}).first()
        return cast("QuotaRow | None", found)

    def of_owner(self, project: str, user: str, gpu_key: str) -> QuotaRow | None:
        """The quota of a project or a user in it, of everything or of a type of GPU; or None."""
        values = {"project": project, "user": user, "gpu_key": gpu_key}
        return cast("QuotaRow | None", self._connection.execute(_OF_OWNER, values).first())

    def all(self) -> Sequence[QuotaRow]:
        """Every quota, oldest first."""
        return cast("Sequence[QuotaRow]", _ALL.all(self._connection, {}))

    def any_of(self, project: str) -> bool:
        """Whether a project has quotas, or a user in it; asked behind a write of what they count.

        The answer is remembered for the rest of the transaction, which keeps others from making one.
        """
        known = self._known.get(project)
        if known is None:
            known = _ANY_OF.first(self._connection, {"project": project}) is not None
            self._known[project] = known
        return known

    def of(self, project: str) -> Sequence[QuotaRow]:
        """The quotas of a project and of those that it lends to and borrows from, oldest first."""
        return cast("Sequence[QuotaRow]", _READ_FOR.all(self._connection, {"project": project}))

    def lock_for(self, project: str) -> Sequence[QuotaRow]:
        """The same as `of`, held against other writers until the transaction ends."""
        return cast("Sequence[QuotaRow]", _LOCK_FOR.all(self._connection, {"project": project}))

    def lock_of(self, project: str) -> Sequence[QuotaRow]:
        """The quotas of a project alone, held in the same way."""
        return cast("Sequence[QuotaRow]", _LOCK_OF.all(self._connection, {"project": project}))

    def add(self, values: Mapping[str, Any]) -> bool:
        """Add a quota; `values` has every column. False when its owner has one of that type."""
        return insert_new(self._connection, _QUOTAS, values)

    def change(self, quota_id: str, **values: Any) -> None:
        """Set columns of a quota that is locked."""
        self._connection.execute(
            update(_QUOTAS).where(_QUOTAS.c.quota_id == quota_id).values(**values)
        )

    def remove(self, quota_id: str) -> None:
        """Remove a quota."""
        self._connection.execute(delete(_QUOTAS).where(_QUOTAS.c.quota_id == quota_id))

    def count(self, quota_id: str, *, lowered: bool, **used: int) -> None:
        """Set what the owner of a quota has, which is locked: all columns `used_…`."""
        _COUNT.run(self._connection, {"key": quota_id, "below": lowered, **used})

    def hold_counted(self) -> None:
        """Keep others from writing what quotas count until the transaction ends."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(_LOCK_COUNTED)

    def held_in(self, project: str) -> Sequence[Any]:
        """What active runs and allocations of a project hold.

        Rows of user, cpu_millis, memory_bytes, gpu_uuids, gpu_types, and gpu_millis, the share of a GPU.
        """
        values = {"project": project}
        runs = self._connection.execute(_HELD_BY_RUNS, values).all()
        return [*runs, *self._connection.execute(_HELD_BY_ALLOCATIONS, values).all()]

    def jobs_in(self, project: str) -> Sequence[Any]:
        """How many jobs users of a project have: rows of user, `queued`, and `running` here, which add up."""
        return [
            row
            for statement in (_JOBS_OF_USERS, _INDICES_OF_USERS)
            for row in self._connection.execute(statement, {"project": project})
        ]

    def artifacts_in(self, project: str) -> Sequence[Any]:
        """Bytes of the artifacts of each user of a project: rows of user and `size_bytes`."""
        return self._connection.execute(_ARTIFACTS_OF_USERS, {"project": project}).all()
