"""The peer without a database: FastAPI with pydantic models that answer the same JSON from memory.

Run by the benchmarks under one uvicorn worker with uvloop and httptools. The models have the fields and
types of windlass's JSON; what is answered is validated once, at the start, and serialized by FastAPI.
"""

import json
from datetime import datetime

from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel

from tests.benchmarks.memory_jobs import PAGE
from windlass_client.cli.output import to_json


class Environment(BaseModel):
    variables: dict[str, str]
    working_directory: str


class Resources(BaseModel):
    cpu_millis: str
    memory_bytes: str
    gpu_count: int
    gpu_type: str


class Job(BaseModel):
    job_id: str
    project: str
    name: str
    labels: dict[str, str]
    queue: str
    priority: int
    command: list[str]
    environment: Environment
    resources: Resources
    time_limit: str
    grace_period: str
    min_isolation: str
    status: str
    status_reason: str
    status_message: str
    user: str
    create_time: datetime
    start_time: datetime
    attempt: int
    etag: str


class Page(BaseModel):
    jobs: list[Job]
    next_page_token: str


page = Page.model_validate(json.loads(to_json(PAGE, indent=None)))
jobs = {job.job_id: job for job in page.jobs}
app = FastAPI(title="jobs from memory")


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/v1/jobs/{job_id}")
async def get_job(job_id: str) -> Job:
    if job_id not in jobs:
        raise HTTPException(404, "there is no such job")
    return jobs[job_id]


@app.get("/v1/jobs")
async def list_jobs(project: str = "default", page_size: int = Query(50, ge=0)) -> Page:
    return page
