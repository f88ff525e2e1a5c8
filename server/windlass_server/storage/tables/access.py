"""Who there is and what they may do. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel


class OrganisationRow(SQLModel, table=True):
    """The installation's one organisation."""

    __tablename__ = "organisations"

    organisation_id: str = Field(primary_key=True)
    name: str
    created_at: int = Field(sa_type=BigInteger)


class ProjectRow(SQLModel, table=True):
    """What owns everything else; its name is its id."""

    __tablename__ = "projects"

    project: str = Field(primary_key=True)
    organisation_id: str = Field(foreign_key="organisations.organisation_id")
    display_name: str
    created_at: int = Field(sa_type=BigInteger)


class PrincipalRow(SQLModel, table=True):
    """A user or a service account."""

    __tablename__ = "principals"

    user: str = Field(primary_key=True)
    default_project: str = Field(foreign_key="projects.project")
    created_at: int = Field(sa_type=BigInteger)


class RoleBindingRow(SQLModel, table=True):
    """A principal's role in a project; the empty project means the whole organisation."""

    __tablename__ = "role_bindings"

    user: str = Field(primary_key=True, foreign_key="principals.user")
    project: str = Field(primary_key=True)
    # As access.v1.Role; a principal has one role in a place.
    role: int


class ApiKeyRow(SQLModel, table=True):
    """A long-lived credential. Only a digest of its secret is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("api_keys_by_user", "user"),)

    key_id: str = Field(primary_key=True)
    user: str = Field(foreign_key="principals.user")
    # The role that the key carries, at most its principal's.
    project: str
    role: int
    display_name: str
    secret_digest: bytes
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(sa_type=BigInteger)
    revoked_at: int | None = Field(sa_type=BigInteger)
