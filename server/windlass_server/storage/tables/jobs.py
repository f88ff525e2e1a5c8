"""Jobs and their runs. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    false,
    text,
    true,
)
from sqlmodel import Field, SQLModel


class JobRow(SQLModel, table=True):
    """A job: columns for what is queried, guarded or changed, and its immutable spec beside them."""

    __tablename__ = "jobs"
    __table_args__ = (
        # Lists show arrays and not the jobs of their indices, of which one array may have a hundred thousand.
        *(
            Index(
                name,
                *columns,
                sqlite_where=text("array_job_id IS NULL"),
                postgresql_where=text("array_job_id IS NULL"),
            )
            for name, columns in (
                ("jobs_by_project", ("project", "job_id")),
                ("jobs_by_status", ("project", "status", "job_id")),
                ("jobs_by_user", ("project", "user", "job_id")),
            )
        ),
        # The jobs of an array's indices: each index once, whatever the code above does.
        *(
            Index(
                name,
                "array_job_id",
                *columns,
                unique=unique,
                sqlite_where=text("array_job_id IS NOT NULL"),
                postgresql_where=text("array_job_id IS NOT NULL"),
            )
            for name, columns, unique in (
                ("jobs_of_array", ("array_index",), True),
                ("jobs_of_array_newest", ("job_id",), False),
                ("jobs_of_array_by_status", ("status", "array_index"), False),
            )
        ),
        # The scheduler's queue: highest priority first, then the order of submission. Those that wait for
        # other jobs or for their time are not in it.
        Index(
            "jobs_waiting",
            text("priority DESC"),
            "job_id",
            sqlite_where=text("status = 1 AND held = 0"),
            postgresql_where=text("status = 1 AND held = 0"),
        ),
        # The same of each owner.
        Index(
            "jobs_waiting_by_owner",
            "project",
            "user",
            text("priority DESC"),
            "job_id",
            sqlite_where=text("status = 1 AND held = 0"),
            postgresql_where=text("status = 1 AND held = 0"),
        ),
        Index(
            "jobs_by_start",
            "start_after",
            "job_id",
            sqlite_where=text("status = 1 AND held = 2"),
            postgresql_where=text("status = 1 AND held = 2"),
        ),
        Index(
            "jobs_by_deadline",
            "end_by",
            "job_id",
            sqlite_where=text("ended_at IS NULL AND end_by IS NOT NULL"),
            postgresql_where=text("ended_at IS NULL AND end_by IS NOT NULL"),
        ),
        # The retries of a job; and who, of those that have not ended, begins with a checkpoint of one.
        Index(
            "jobs_by_retry",
            "retry_of",
            "job_id",
            sqlite_where=text("retry_of IS NOT NULL"),
            postgresql_where=text("retry_of IS NOT NULL"),
        ),
        Index(
            "jobs_by_checkpoint",
            "checkpoint_of",
            sqlite_where=text("checkpoint_of IS NOT NULL"),
            postgresql_where=text("checkpoint_of IS NOT NULL"),
        ),
        # Those of a name and user that singletons wait for.
        Index(
            "jobs_by_name",
            "project",
            "user",
            "name",
            "job_id",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        # Those of each queue that have not ended.
        Index(
            "jobs_of_queue",
            "queue",
            "status",
            "user",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        CheckConstraint("status BETWEEN 1 AND 12", name="jobs_status_known"),
    )

    job_id: str = Field(primary_key=True)
    project: str = Field(foreign_key="projects.project")
    name: str
    user: str
    queue: str
    # What it is served by: its own, or of one that waits for it.
    priority: int
    # Its own, where that is lower; None: it has no other.
    asked_priority: int | None = None
    status: int
    status_reason: str
    status_message: str = Field(sa_type=Text)
    version: int
    spec: bytes
    cpu_millis: int = Field(sa_type=BigInteger)
    memory_bytes: int = Field(sa_type=BigInteger)
    gpu_count: int
    gpu_type: str
    # Of which profile its GPUs are instances, or how much memory each of them has; empty and 0: neither.
    mig_profile: str = Field(
        default="", sa_column=Column(String, nullable=False, server_default="")
    )
    gpu_memory_bytes: int = Field(
        default=0, sa_column=Column(BigInteger, nullable=False, server_default="0")
    )
    # The share of a GPU that it asks for, in thousandths; 0: whole ones.
    gpu_millis: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default="0")
    )
    # Types of GPUs that will do, with commas between, the best first; empty: `gpu_type`.
    gpu_types: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    # It has its nodes alone.
    exclusive: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    # Which nodes it may run on, as jobs.v1.Constraints; None: any.
    constraints: bytes | None = None
    # Inside which reservation alone it may run; empty: wherever it may.
    reservation_id: str = Field(
        default="", sa_column=Column(String, nullable=False, server_default="")
    )
    # How it is spread, as jobs.v1.Spread, and the name of those with whom; None: it is not, and empty: with nobody.
    spread: bytes | None = None
    spread_group: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    min_isolation: int
    # Of how many nodes, with how many it makes do, and within one domain of which levels: as types.v1.Topology.
    nodes: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1"))
    min_nodes: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1"))
    topology_required: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default="0")
    )
    topology_preferred: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default="0")
    )
    # It may be stopped for a job of higher priority, where a policy lets that be.
    preemptible: bool = Field(
        default=True, sa_column=Column(Boolean, nullable=False, server_default=true())
    )
    # The pool that it asks for; empty for any.
    pool: str
    # How long a run of it may last, with its grace (µs); None: for ever.
    longest_run: int | None = Field(default=None, sa_type=BigInteger)
    # It does not start before (µs); 0: at once.
    start_after: int = Field(
        default=0, sa_column=Column(BigInteger, nullable=False, server_default="0")
    )
    # When it is stopped so that it has ended at its deadline (µs); None: it has none.
    end_by: int | None = Field(default=None, sa_type=BigInteger)
    # It is suspended where it is, and keeps its place.
    frozen: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    # What keeps it out of the queue while it is QUEUED, as dependency_rules.Held; 0: nothing.
    held: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    # Since when it is in the queue, if it was kept out of it first (µs).
    eligible_at: int | None = Field(default=None, sa_type=BigInteger)
    # The job that it retries, and the first one of its lineage; None: it retries none.
    retry_of: str | None = None
    root_job_id: str | None = None
    # The job whose checkpoint it begins with; None: it has its own, or none.
    checkpoint_of: str | None = None
    # The array of which it is an index, and which one; None: of none. It is an array itself of so many indices; 0: none.
    array_job_id: str | None = None
    array_index: int | None = None
    array_count: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default="0")
    )
    # How many of its runs have failed and were tried again by its retry policy.
    retries: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    # How many runs it has had, and those that it retries.
    attempt: int
    run_id: str
    node_id: str
    gpu_uuids: str = Field(sa_type=Text)
    # Of several nodes, where each rank is, as a jobs.v1.Job of its placements; and what it comes to when the
    # last rank has ended, as such a Job of its status. None for one node, and while that is not known.
    ranks: bytes | None = None
    verdict: bytes | None = None
    # The remote cluster that its present or last run is at, and its id there; else empty.
    cluster: str
    remote_job_id: str
    isolation: bytes
    # The newest checkpoint, as jobs.v1.Checkpoint; None while there is none.
    checkpoint: bytes | None
    exit_code: int | None
    exit_signal: int | None
    created_at: int = Field(sa_type=BigInteger)
    started_at: int | None = Field(sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)


class JobLabelRow(SQLModel, table=True):
    """A label of a job, for selecting."""

    __tablename__ = "job_labels"
    __table_args__ = (Index("job_labels_by_value", "key", "value", "job_id"),)

    job_id: str = Field(
        sa_column=Column(ForeignKey("jobs.job_id", ondelete="CASCADE"), primary_key=True)
    )
    key: str = Field(primary_key=True)
    value: str


class JobDependencyRow(SQLModel, table=True):
    """That a job waits for another one."""

    __tablename__ = "job_dependencies"
    __table_args__ = (
        # Who waits for a job; and, of one that waits, for whom: its primary key.
        Index(
            "job_dependencies_open",
            "awaited_id",
            "job_id",
            sqlite_where=text("state = 0"),
            postgresql_where=text("state = 0"),
        ),
        # Who waits for a retry of a job.
        Index(
            "job_dependencies_stalled",
            "awaited_id",
            "job_id",
            sqlite_where=text("state = 4"),
            postgresql_where=text("state = 4"),
        ),
        CheckConstraint("kind BETWEEN 1 AND 5", name="job_dependencies_kind_known"),
        CheckConstraint("job_id <> awaited_id", name="job_dependencies_not_itself"),
    )

    job_id: str = Field(primary_key=True, foreign_key="jobs.job_id")
    awaited_id: str = Field(primary_key=True, foreign_key="jobs.job_id")
    # As jobs.v1.Dependency.Type.
    kind: int = Field(primary_key=True)
    # As dependency_rules.State; 0 while it is not decided.
    state: int
    # It waits for a retry when the awaited job ends otherwise than it waits for.
    follows: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )


class SingletonTurnRow(SQLModel, table=True):
    """Which job has the turn of those of one name and user that run one at a time: never two."""

    __tablename__ = "singleton_turns"

    project: str = Field(primary_key=True, foreign_key="projects.project")
    user: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    # The last that had it: the next one has it when this has ended. Empty before the first.
    job_id: str


class RunRow(SQLModel, table=True):
    """One rank of one attempt of a job on a node, and what the server wants of it."""

    __tablename__ = "runs"
    __table_args__ = (
        # One active run for each rank of a job, whatever the code above does.
        Index(
            "runs_one_active",
            "job_id",
            "rank",
            unique=True,
            sqlite_where=text("active"),
            postgresql_where=text("active"),
        ),
        Index("runs_by_job", "job_id", "attempt", "rank", unique=True),
        # One job for each port on which first ranks gather the others.
        Index(
            "runs_master_port",
            "node_id",
            "master_port",
            unique=True,
            sqlite_where=text("active AND master_port > 0"),
            postgresql_where=text("active AND master_port > 0"),
        ),
        Index(
            "runs_by_node",
            "node_id",
            sqlite_where=text("NOT forgotten"),
            postgresql_where=text("NOT forgotten"),
        ),
        # Runs that could not be started, or were lost.
        Index(
            "runs_failed_by_nodes",
            "end_noted_at",
            sqlite_where=text("end_cause IN (5, 7)"),
            postgresql_where=text("end_cause IN (5, 7)"),
        ),
        # The runs that held something since some time.
        Index("runs_by_end", "end_noted_at"),
    )

    run_id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.job_id")
    attempt: int
    # Which of the job's nodes it is on, from 0; and of the first of several the port for the others.
    rank: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    master_port: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default="0")
    )
    epoch: int = Field(sa_type=BigInteger)
    node_id: str = Field(foreign_key="nodes.node_id")
    # As RunDirective.Want and its generation.
    want: int
    generation: int = Field(sa_type=BigInteger)
    # Whether its processes are wanted stopped where they are; and whether they are, as its node said last.
    want_frozen: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    frozen: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    # As RunReport.State; 0 while the node has not reported it.
    state: int
    # It holds its resources.
    active: bool
    # The node was told that it may drop it, and its log is complete.
    forgotten: bool
    cpu_millis: int = Field(sa_type=BigInteger)
    memory_bytes: int = Field(sa_type=BigInteger)
    gpu_uuids: str = Field(sa_type=Text)
    # The type of each of its GPUs, in the order of `gpu_uuids`; and its node's pool when it was placed.
    gpu_types: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    pool_id: str = Field(
        default="default", sa_column=Column(String, nullable=False, server_default="default")
    )
    # Its share of its GPU, in thousandths; 0: they are whole.
    gpu_millis: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default="0")
    )
    # How long it may run (None: for ever), and from SIGTERM to SIGKILL, in microseconds.
    time_limit: int | None = Field(sa_type=BigInteger)
    grace: int = Field(sa_type=BigInteger)
    # Since when its node is asked to stop it.
    stopping_since: int | None = Field(sa_type=BigInteger)
    log_end: int | None = Field(sa_type=BigInteger)
    # Why the rest of the log up to `log_end` will never come; empty while it may.
    log_lost: str
    # What was wrong with a GPU that it held, so that it is no fault of the job's; empty for nothing.
    device_fault: str
    # As RunExit.Cause; 0 while it has not ended.
    end_cause: int
    created_at: int = Field(sa_type=BigInteger)
    # When its command started: as the node says, but between its placing and the server's note of it.
    started_at: int | None = Field(default=None, sa_type=BigInteger)
    # Up to when what it did is in a checkpoint; None without one.
    saved_at: int | None = Field(default=None, sa_type=BigInteger)
    # When it was made to leave by force (µs): what it saves it saves soon, or not at all.
    forced_at: int | None = Field(default=None, sa_type=BigInteger)
    # By the node's clock, for people; and when the server noted it, by its own.
    ended_at: int | None = Field(sa_type=BigInteger)
    end_noted_at: int | None = Field(sa_type=BigInteger)
