"""The REST peer: what a good engineer writes in an afternoon with FastAPI and sqlmodel.

The same three calls, fields and promises as windlass: a signed token is verified on each request,
every field is validated, an answered POST is on disk (`synchronous=FULL`, as in windlass), a list
is answered from an index. Run by the benchmarks under one uvicorn worker with uvloop and httptools.
"""

import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, StringConstraints
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlmodel import JSON, Column, Field, Index, SQLModel, col, select

SECRET = os.environ.get("PEER_SECRET", "")
DATABASE = os.environ.get("PEER_DATABASE", "peer.db")

Name = Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
Slug = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
LabelKey = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$"
    ),
]
LabelValue = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
Argument = Annotated[str, StringConstraints(max_length=131_072, pattern=r"^[^\x00]*$")]
VariableName = Annotated[
    str, StringConstraints(max_length=255, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
]
Limit = Annotated[str, StringConstraints(pattern=r"^\d{1,8}(\.\d{1,9})?s$")]


class Environment(BaseModel):
    variables: Annotated[dict[VariableName, Argument], Field(max_length=1024)] = {}
    working_directory: Annotated[str, StringConstraints(max_length=4095)] = ""


class Resources(BaseModel):
    cpu_millis: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0
    memory_bytes: Annotated[int, Field(ge=0, le=2**60)] = 0
    gpu_count: Annotated[int, Field(ge=0, le=1024)] = 0
    gpu_type: Name = ""


class JobSpec(BaseModel):
    project: Slug = "default"
    name: Name = ""
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = {}
    queue: Slug = "default"
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    command: Annotated[list[Argument], Field(min_length=1, max_length=4096)]
    environment: Environment = Environment()
    resources: Resources = Resources()
    time_limit: Limit | None = None


class JobOut(JobSpec):
    job_id: str
    status: str
    status_reason: str
    status_message: str
    user: str
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    exit_code: int | None
    attempt: int
    etag: str


class JobPage(BaseModel):
    jobs: list[JobOut]
    next_page_token: str


class Job(SQLModel, table=True):
    __tablename__ = "jobs"
    __table_args__ = (Index("jobs_by_project", "project", "job_id"),)

    job_id: str = Field(primary_key=True)
    project: str
    name: str
    labels: dict[str, str] = Field(sa_column=Column(JSON))
    queue: str
    priority: int
    command: list[str] = Field(sa_column=Column(JSON))
    environment: dict[str, Any] = Field(sa_column=Column(JSON))
    resources: dict[str, Any] = Field(sa_column=Column(JSON))
    time_limit: str | None
    status: str = "QUEUED"
    status_reason: str = ""
    status_message: str = ""
    user: str
    create_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    exit_code: int | None = None
    attempt: int = 0
    etag: str = "1"


class Caller(BaseModel):
    user: str
    projects: list[str]


engine = create_async_engine(f"sqlite+aiosqlite:///{DATABASE}", connect_args={"timeout": 30})
sessions = async_sessionmaker(engine, expire_on_commit=False)
bearer = HTTPBearer(auto_error=False)


@event.listens_for(engine.sync_engine, "connect")
def set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(title="jobs", lifespan=lifespan)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as one:
        yield one


async def caller(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    if credentials is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "no credential")
    try:
        claims = jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "invalid token") from error
    return Caller(user=claims["sub"], projects=claims["projects"])


Db = Annotated[AsyncSession, Depends(session)]
Who = Annotated[Caller, Depends(caller)]


@app.get("/healthz")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/jobs", response_model=JobOut)
async def submit_job(spec: JobSpec, who: Who, db: Db) -> Job:
    if spec.project not in who.projects:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "not your project")
    job = Job(
        **spec.model_dump(),
        job_id=f"job-{time.time_ns():016x}{secrets.token_hex(5)}",
        user=who.user,
        create_time=datetime.now(UTC),
    )
    db.add(job)
    await db.commit()
    return job


@app.get("/v1/jobs/{job_id}", response_model=JobOut)
async def get_job(job_id: str, who: Who, db: Db) -> Job:
    job = await db.get(Job, job_id)
    if job is None or job.project not in who.projects:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no such job")
    return job


@app.get("/v1/jobs", response_model=JobPage)
async def list_jobs(
    who: Who,
    db: Db,
    project: str = "default",
    page_size: Annotated[int, Query(ge=1, le=1000)] = 50,
    page_token: str = "",
) -> dict[str, Any]:
    if project not in who.projects:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "not your project")
    query = select(Job).where(Job.project == project)
    if page_token:
        query = query.where(col(Job.job_id) < page_token)
    query = query.order_by(col(Job.job_id).desc()).limit(page_size)
    jobs = (await db.execute(query)).scalars().all()
    return {"jobs": jobs, "next_page_token": jobs[-1].job_id if len(jobs) == page_size else ""}
