"""Templates of jobs. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, Boolean
from sqlmodel import Field, SQLModel


class JobTemplateRow(SQLModel, table=True):
    """A template that there is, or was: the number of its newest version is not given out again."""

    __tablename__ = "job_templates"

    project: str = Field(primary_key=True, foreign_key="projects.project")
    name: str = Field(primary_key=True)
    version: int
    removed: bool = Field(sa_type=Boolean)


class JobTemplateVersionRow(SQLModel, table=True):
    """A version of a template, which never changes."""

    __tablename__ = "job_template_versions"

    project: str = Field(primary_key=True, foreign_key="projects.project")
    name: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    # What callers said of it: a serialized jobs.v1.JobTemplate.
    spec: bytes
    user: str
    created_at: int = Field(sa_type=BigInteger)
