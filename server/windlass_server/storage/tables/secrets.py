"""Secrets of projects, encrypted. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel


class SecretRow(SQLModel, table=True):
    """A secret by its name; one that was deleted stays, so that its versions go on counting."""

    __tablename__ = "secrets"
    __table_args__ = (
        Index("secrets_by_id", "secret_id", unique=True),
        CheckConstraint("version > 0", name="secrets_version_positive"),
    )

    project: str = Field(primary_key=True, foreign_key="projects.project")
    name: str = Field(primary_key=True)
    secret_id: str
    # The newest.
    version: int
    size_bytes: int
    user: str
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    deleted: bool


class SecretVersionRow(SQLModel, table=True):
    """A value that is kept. Never changed but to be encrypted anew under another key."""

    __tablename__ = "secret_versions"

    project: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    # Which key it is encrypted under.
    key_id: str = Field(index=True)
    # A nonce and what it encrypts, bound to project, name and version.
    sealed: bytes
    size_bytes: int
    # It has no NUL, so that a variable can hold it.
    is_text: bool
    user: str
    created_at: int = Field(sa_type=BigInteger)
