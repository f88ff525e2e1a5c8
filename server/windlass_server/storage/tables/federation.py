"""Other installations that take jobs, and the runs there. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel


class RemoteClusterRow(SQLModel, table=True):
    """What a remote cluster needs beside its row in `clusters`: how to reach it, and how it is."""

    __tablename__ = "remote_clusters"

    cluster_id: str = Field(primary_key=True, foreign_key="clusters.cluster_id")
    # Its API key, encrypted for this installation and this cluster.
    sealed_key: bytes
    # As RemoteStatus.State; why, in a sentence, and since when.
    state: int
    state_message: str = Field(sa_type=Text)
    state_at: int = Field(sa_type=BigInteger)
    # When it last answered; None when it never has.
    contacted_at: int | None = Field(sa_type=BigInteger)
    # Its version of windlass, and what it last said of its nodes: a serialized ListNodesResponse of
    # no more than what placing needs.
    remote_version: str
    nodes: bytes
    # Which server's process works with it at present, and until when unless it says so again.
    lease_holder: str
    lease_until: int = Field(sa_type=BigInteger)


class RemoteRunRow(SQLModel, table=True):
    """One attempt of a job at another cluster; its id names its log here, as any run's does."""

    __tablename__ = "remote_runs"
    __table_args__ = (
        # One active run at another cluster for each job, whatever the code above does.
        Index(
            "remote_runs_one_active",
            "job_id",
            unique=True,
            sqlite_where=text("active"),
            postgresql_where=text("active"),
        ),
        Index("remote_runs_by_job", "job_id", "attempt", unique=True),
        Index(
            "remote_runs_open",
            "cluster_id",
            sqlite_where=text("NOT forgotten"),
            postgresql_where=text("NOT forgotten"),
        ),
        CheckConstraint("state BETWEEN 0 AND 3", name="remote_runs_state_known"),
    )

    run_id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.job_id")
    attempt: int
    cluster_id: str
    # As jobs.remote_states.State.
    state: int
    # The job may still be running there.
    active: bool
    # Somebody wants it stopped.
    stop: bool
    # It has ended, and its log is all here or never will be.
    forgotten: bool
    # The job there; empty until the cluster has said that it has accepted it.
    remote_job_id: str
    # Until when a submission whose answer was lost may still arrive there.
    in_doubt_until: int = Field(sa_type=BigInteger)
    # How much of its log is here: where the cluster's stream goes on, and where that lies here.
    log_cursor: str
    log_position: int = Field(sa_type=BigInteger)
    # How long its log is in the end; None until that is known.
    log_end: int | None = Field(sa_type=BigInteger)
    # Why the rest of the log will never come; empty while it may.
    log_lost: str
    # Why the cluster did not take it, an UPPER_SNAKE word; empty when it did or may.
    refusal: str
    created_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)
