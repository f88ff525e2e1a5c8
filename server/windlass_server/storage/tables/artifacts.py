"""Files that belong to jobs. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel


class ArtifactRow(SQLModel, table=True):
    """One artifact. Its objects exist only while it has a row, so that none is forgotten."""

    __tablename__ = "artifacts"
    __table_args__ = (
        Index("artifacts_by_job", "job_id", "artifact_id"),
        # Of those that are whole: the others have no version.
        Index("artifacts_versions", "job_id", "name", "version", unique=True),
        Index("artifacts_by_project", "project", "user"),
        Index("artifacts_by_status", "status", "changed_at"),
        CheckConstraint("status BETWEEN 1 AND 3", name="artifacts_status_known"),
        CheckConstraint("size_bytes >= 0", name="artifacts_size_not_negative"),
    )

    artifact_id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.job_id")
    project: str
    # As storage.artifacts.State.
    status: int
    name: str
    version: int | None
    # As jobs.v1.Artifact.Type.
    type: int
    # The uploader's words beside these: a serialized jobs.v1.Artifact.
    details: bytes
    # What the content must be in the end; empty and NULL: anything.
    wanted_sha256: str
    wanted_bytes: int | None = Field(sa_type=BigInteger)
    # Of its parts together.
    size_bytes: int = Field(sa_type=BigInteger)
    # Hexadecimal; empty before it is whole.
    sha256: str
    user: str
    # The run that left it, if one did.
    run_id: str | None = Field(foreign_key="runs.run_id", index=True)
    rank: int
    attempt: int
    created_at: int = Field(sa_type=BigInteger)
    changed_at: int = Field(sa_type=BigInteger)
    finished_at: int | None = Field(sa_type=BigInteger)


class ArtifactPartRow(SQLModel, table=True):
    """An object that holds a part of an artifact's content, from a position on."""

    __tablename__ = "artifact_parts"

    artifact_id: str = Field(primary_key=True, foreign_key="artifacts.artifact_id")
    position: int = Field(primary_key=True, sa_type=BigInteger)
    size_bytes: int = Field(sa_type=BigInteger)
    object_name: str
