"""Templates of jobs: what is kept of them, and the jobs that they make, on both engines."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from tests.support.databases import acting
from tests.support.jobs import add_projects
from tests.support.nodes import GIB, an_inventory
from tests.support.queues import add_queue
from tests.support.remote_runs import nowhere_else
from tests.support.scheduled_world import ScheduledWorld
from windlass.jobs.v1 import job_pb2, job_template_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    InvalidInput,
    NotFound,
    WindlassError,
)
from windlass_server.ids import IdSource
from windlass_server.jobs.batches import JobBatches
from windlass_server.jobs.job_templates import JobTemplatesService
from windlass_server.jobs.job_templates_rpc import template_message
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.retrying import RetriesService, Retry
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.templated_jobs import Known, TemplatedJobs
from windlass_server.paging import PageTokens
from windlass_server.rpc.validation import Validation
from windlass_server.storage.engine import Database
from windlass_server.storage.job_templates import JobTemplateStore
from windlass_server.storage.tables import JobRow

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

ADA = Caller("ada", default_project="default", roles={"default": Role.DEVELOPER})
VIC = Caller("vic", default_project="default", roles={"default": Role.VIEWER})
EVE = Caller("eve", default_project="other", roles={"other": Role.ADMIN})
Template = job_template_pb2.JobTemplate

FINETUNE: dict[str, Any] = {
    "name": "finetune",
    "description": "one GPU",
    "parameters": [
        {"name": "lr", "type": "NUMBER", "default": 0.1, "minimum": 0},
        {"name": "data", "type": "STRING"},
        {"name": "cores", "type": "INTEGER", "default": 2},
    ],
    "job": {
        "command": ["train", "--lr={{ lr }}", "{{ data }}"],
        "labels": {"data": "{{data}}", "team": "vision"},
        "environment": {"variables": {"A": "1", "B": "2"}},
        "resources": {"cpu_millis": "{{cores}}000", "gpu_count": 1},
    },
}


def a_template(**said: Any) -> Template:
    return ParseDict(FINETUNE | said, Template())


class World(ScheduledWorld):
    """What keeps and uses templates."""

    templates: JobTemplatesService
    templated: TemplatedJobs
    jobs: JobsService
    retries: RetriesService
    batches: JobBatches

    async def made(self, **said: Any) -> Template:
        return template_message(await self.templates.create(ADA, "", a_template(**said)))

    async def submit(self, request_id: str = "", **job: Any) -> JobRow:
        spec, lineage = await self.templated.asked(ADA, asked(**job), request_id)
        return await self.jobs.submit(ADA, spec, request_id=request_id, lineage=lineage)


def asked(
    parameters: dict[str, Any] | None = None, version: int = 0, name: str = "finetune", **job: Any
) -> job_pb2.Job:
    """A job of a template."""
    values = {"data": "d"} if parameters is None else parameters
    use = {"name": name, "version": version, "parameters": values}
    return ParseDict({"template": use, **job}, job_pb2.Job())


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "other"))
    clock, check = world.clock, Validation().check
    tokens, ids = PageTokens(b"k" * 32), IdSource(world.clock)
    world.templates = JobTemplatesService(database, clock, tokens, check)
    world.templated = TemplatedJobs(database, check)
    world.jobs = JobsService(
        database,
        world.cluster,
        clock,
        ids,
        tokens,
        JobHints(lambda _job_id: None, lambda _node_id: None),
        nowhere_else(database, world.logs, clock, ids),
    )
    world.retries = RetriesService(database, world.jobs, check)
    world.batches = JobBatches(database, world.jobs, world.templated)
    inventory = an_inventory(gpus=8, cpu_millis=64_000, memory_bytes=99 * GIB)
    await world.add_node("n", inventory=inventory.SerializeToString())
    yield world
    await world.logs.close()


async def test_a_template_is_read_as_it_was_said_and_each_change_is_a_version(world: World):
    one = await world.made()
    assert MessageToDict(one, preserving_proto_field_name=True)["job"] == FINETUNE["job"]
    assert (one.project, one.version, one.user) == ("default", 1, "ada")
    second = template_message(
        await world.templates.update(
            ADA, "", Template(name="finetune", description="two", etag=one.etag), []
        )
    )
    assert (second.version, second.description, second.job) == (2, "two", one.job)
    same = await world.templates.update(ADA, "", second, ["*"])
    assert same.version == 2
    read = [
        template_message(await world.templates.get(VIC, "", "finetune", version))
        for version in (0, 1, 2)
    ]
    assert read == [second, one, second]
    found, token = await world.templates.versions(VIC, "", "finetune", size=1, token="")
    more, last = await world.templates.versions(VIC, "", "finetune", size=1, token=token)
    assert ([one.version for one in (*found, *more)], last) == ([2, 1], "")
    events = await world.database.read(
        lambda tx: tx.events.page("template/default/finetune", after=0, size=9)
    )
    assert [(each.reason, each.project) for each in events] == [
        ("TEMPLATE_CREATED", "default"),
        ("TEMPLATE_UPDATED", "default"),
    ]
    assert events[1].message == 'version 2: description: "one GPU" -> "two"'


async def test_events_do_not_tell_what_is_in_a_job_or_its_parameters(world: World):
    await world.made()
    changed = a_template(
        parameters=[
            *FINETUNE["parameters"][:2],
            {"name": "cores", "type": "INTEGER", "default": 77},
        ],
        job=FINETUNE["job"] | {"environment": {"variables": {"KEY": "hunter2"}}},
    )
    await world.templates.update(ADA, "", changed, ["*"])
    await world.templates.delete(ADA, "", "finetune", "")
    events = await world.database.read(
        lambda tx: tx.events.page("template/default/finetune", after=0, size=9)
    )
    assert [each.message for each in events] == [
        'version 1: description: unset -> "one GPU"; parameters changed; job changed',
        "version 2: parameters changed; job changed",
        'version 2: description: "one GPU" -> unset; parameters changed; job changed',
    ]


async def test_templates_are_listed_by_name_page_by_page(world: World):
    for name in ("b", "a-b", "ab", "a"):
        await world.made(name=name)
    found, token = [], ""
    while True:
        page, token = await world.templates.list(VIC, "", size=2, token=token)
        found += [one.name for one in page]
        if not token:
            break
    assert found == ["a", "a-b", "ab", "b"]
    large = "x" * (200 << 10)
    for name in ("large-1", "large-2"):
        await world.made(name=name, job={"command": [large, "{{lr}}{{data}}{{cores}}"]})
    page, token = await world.templates.list(VIC, "", size=9, token="")
    assert ([one.name for one in page][-1], token) == ("large-2", "")


async def test_a_page_of_large_templates_is_shorter(world: World):
    for number in range(16):
        job = {"command": ["x" * (240 << 10), "{{lr}}{{data}}{{cores}}"]}
        await world.made(name=f"t{number:02}", job=job)
    page, token = await world.templates.list(VIC, "", size=50, token="")
    rest, last = await world.templates.list(VIC, "", size=50, token=token)
    assert len(page) < 16
    assert ([one.name for one in (*page, *rest)], last) == ([f"t{n:02}" for n in range(16)], "")


async def test_what_was_removed_is_gone_and_its_numbers_are_not_given_out_again(world: World):
    await world.made()
    job = to_proto(await world.submit())
    assert (await world.templates.delete(ADA, "", "finetune", "1")).version == 1
    for version in (0, 1):
        with pytest.raises(NotFound):
            await world.templates.get(VIC, "", "finetune", version)
    with pytest.raises(NotFound):
        await world.submit()
    assert (await world.templates.list(VIC, "", size=9, token=""))[0] == []
    assert (await world.made()).version == 2
    assert job.template.version == 1
    assert (await world.templates.get(VIC, "", "finetune", 1)).version == 1


async def test_a_job_says_which_template_made_it_and_what_it_was_given(world: World):
    await world.made()
    row = await world.submit(parameters={"data": "s3://b/{{ lr }}", "lr": "0.5"})
    job = to_proto(row)
    assert list(job.command) == ["train", "--lr=0.5", "s3://b/{{ lr }}"]
    assert job.resources.cpu_millis == 2000
    assert (job.name, job.labels["data"]) == ("train", "s3://b/{{ lr }}")
    use = MessageToDict(job.template)
    assert use == {
        "name": "finetune",
        "version": 1,
        "parameters": {"lr": 0.5, "data": "s3://b/{{ lr }}", "cores": 2.0},
    }
    (event,) = await world.database.read(lambda tx: tx.events.page(row.job_id, after=0, size=9))
    assert event.message == "the job was accepted, made by template finetune version 1"


async def test_what_is_said_beside_a_template_replaces_what_it_says(world: World):
    await add_queue(world.database, "nightly")
    await world.made()
    job = to_proto(
        await world.submit(
            queue="nightly",
            labels={"team": "speech"},
            environment={"variables": {"B": "3"}},
            resources={"gpuCount": 2},
        )
    )
    assert job.queue == "nightly"
    assert dict(job.labels) == {"data": "d", "team": "speech"}
    assert dict(job.environment.variables) == {"A": "1", "B": "3"}
    assert (job.resources.gpu_count, job.resources.cpu_millis) == (2, 2000)
    job = to_proto(await world.submit(command=["other"]))
    assert list(job.command) == ["other"]


async def test_the_same_request_has_the_same_answer_when_the_template_has_changed(world: World):
    await world.made()
    first = await world.submit(request_id="r")
    changed = Template(name="finetune", job={"command": ["x", "{{lr}}{{data}}{{cores}}"]})  # type: ignore[arg-type]
    await world.templates.update(ADA, "", changed, [])
    assert (await world.submit(request_id="r")).job_id == first.job_id
    assert to_proto(await world.submit()).template.version == 2
    assert to_proto(await world.submit(version=1)).command[0] == "train"
    with pytest.raises(Conflict):
        await world.submit(request_id="r", priority=1)


async def _lower_a_maximum(world: World) -> None:
    lr, *others = FINETUNE["parameters"]
    changed = a_template(parameters=[lr | {"maximum": 0.2}, *others])
    await world.templates.update(ADA, "", changed, ["parameters"])


async def _remove(world: World) -> None:
    await world.templates.delete(ADA, "", "finetune", "")


@pytest.mark.parametrize("change", [_lower_a_maximum, _remove])
async def test_the_same_request_has_the_same_answer_when_the_template_would_not_make_it_any_more(
    world: World, change: Callable[[World], Awaitable[None]]
):
    await world.made()
    said = {"parameters": {"data": "d", "lr": 0.5}}
    first = await world.submit("r", **said)
    specs = [asked(**said), asked(**said, priority=1)]
    batch = await world.batches.submit(ADA, specs, request_id="b", check=lambda _: None)
    await change(world)
    again = await world.submit("r", **said)
    assert to_proto(again) == to_proto(first)
    answers = await world.batches.submit(ADA, specs, request_id="b", check=lambda _: None)
    assert [one.job_id for one in answers] == [one.job_id for one in batch]  # type: ignore[union-attr]
    for request_id in ("r", "b 0"):
        with pytest.raises(Conflict) as refused:
            await world.submit(request_id, **said, priority=2)
        assert refused.value.reason == "REQUEST_ID_REUSED"
    with pytest.raises((NotFound, InvalidInput)):
        await world.submit("new", **said)


async def test_a_retry_is_of_the_job_that_was_made_and_not_made_anew(world: World):
    await world.made()
    job = await world.submit()
    await world.jobs.cancel(ADA, job.job_id, reason="")
    await world.templates.delete(ADA, "", "finetune", "")
    again = to_proto(await world.retries.retry(ADA, Retry(job.job_id)))
    assert (list(again.command), again.template) == (
        list(to_proto(job).command),
        to_proto(job).template,
    )
    other = job_pb2.Job(template=job_template_pb2.TemplateUse(name="x"))
    for mask in ([], ["template"]):
        with pytest.raises(InvalidInput):
            await world.retries.retry(ADA, Retry(job.job_id, overrides=other, mask=mask))
    with pytest.raises(InvalidInput):
        await world.retries.retry(ADA, Retry(job.job_id, mask=["template"]))


async def test_each_job_of_a_batch_may_be_of_a_template(world: World):
    await world.made()
    specs = [
        asked({"data": "a"}),
        asked({}),
        asked(name="finetun"),
        job_pb2.Job(command=["true"]),
        asked(project="other"),
    ]
    answers = await world.batches.submit(ADA, specs, check=lambda _: None)
    told = [
        one.reason if isinstance(one, WindlassError) else list(to_proto(one).command)[-1]  # type: ignore[arg-type]
        for one in answers
    ]
    assert told == [
        "a",
        "PARAMETER_REQUIRED",
        "JOB_TEMPLATE_NOT_FOUND",
        "true",
        "PERMISSION_DENIED",
    ]


async def test_a_batch_reads_each_template_once(world: World, monkeypatch: pytest.MonkeyPatch):
    await world.made()
    await world.made(name="other")
    read = list[tuple[str, str, int]]()
    get = JobTemplateStore.get

    def counted(self: JobTemplateStore, project: str, name: str, version: int = 0) -> Any:
        read.append((project, name, version))
        return get(self, project, name, version)

    monkeypatch.setattr(JobTemplateStore, "get", counted)
    specs = [
        asked({"data": f"d{number}"}, name=name, version=version)
        for number in range(3)
        for name, version in (("finetune", 0), ("other", 0), ("finetune", 1), ("no", 0))
    ]
    answers = await world.batches.submit(ADA, specs, request_id="b", check=lambda _: None)
    told = [
        one.reason if isinstance(one, WindlassError) else to_proto(one).labels["data"]  # type: ignore[arg-type]
        for one in answers
    ]
    assert told == [what for n in range(3) for what in (*[f"d{n}"] * 3, "JOB_TEMPLATE_NOT_FOUND")]
    assert sorted(read) == [
        ("default", "finetune", 0),
        ("default", "finetune", 1),
        ("default", "no", 0),
        ("default", "other", 0),
    ]


async def test_a_batch_keeps_few_templates_at_a_time(world: World):
    for number in range(12):
        await world.made(name=f"t{number}")
    known: Known = {}
    for number in range(12):
        await world.templated.asked(ADA, asked(name=f"t{number}"), known=known)
        assert 1 <= len(known) <= 8


USES: list[tuple[str, dict[str, Any], type[WindlassError], list[str] | None]] = [
    ("no such template", {"name": "finetun"}, NotFound, None),
    ("no such version", {"version": 2}, NotFound, None),
    ("no such parameter", {"parameters": {"data": "d", "x": 1}}, InvalidInput, ["job.template.parameters[x]"]),
    ("several bad values", {"parameters": {"lr": -1, "cores": "a"}}, InvalidInput, ["job.template.parameters[lr]", "job.template.parameters[data]", "job.template.parameters[cores]"]),
    ("no valid job", {"parameters": {"data": "x\n"}}, InvalidInput, ["job.labels[data]"]),
    ("too much", {"parameters": {"data": "d", "cores": 99999999999}}, InvalidInput, ["job.resources.cpu_millis"]),
]  # fmt: skip


@pytest.mark.parametrize(("use", "error", "fields"), [case[1:] for case in USES], ids=[case[0] for case in USES])  # fmt: skip
async def test_what_makes_no_job_is_refused_with_everything_that_is_wrong(
    world: World, use: dict[str, Any], error: type[WindlassError], fields: list[str] | None
):
    await world.made()
    with pytest.raises(error) as refused:
        await world.submit(**use)
    if fields is None:
        assert refused.value.reason == "JOB_TEMPLATE_NOT_FOUND"
    else:
        assert isinstance(refused.value, InvalidInput)
        assert [one.field for one in refused.value.violations] == fields


CALLS: list[tuple[str, Any, type[WindlassError], str]] = [
    ("one of that name", lambda t: t.create(ADA, "", a_template()), AlreadyExists, "JOB_TEMPLATE_EXISTS"),
    ("no such project", lambda t: t.create(Caller("r", organisation_role=Role.ADMIN), "no", a_template()), NotFound, "PROJECT_NOT_FOUND"),
    ("a foreign project", lambda t: t.create(EVE, "default", a_template(name="x")), Denied, "PERMISSION_DENIED"),
    ("a viewer makes", lambda t: t.create(VIC, "", a_template(name="x")), Denied, "PERMISSION_DENIED"),
    ("a viewer changes", lambda t: t.update(VIC, "", a_template(), []), Denied, "PERMISSION_DENIED"),
    ("a viewer removes", lambda t: t.delete(VIC, "", "finetune", ""), Denied, "PERMISSION_DENIED"),
    ("foreign reads", lambda t: t.get(EVE, "default", "finetune"), Denied, "PERMISSION_DENIED"),
    ("foreign lists", lambda t: t.list(EVE, "default", size=1, token=""), Denied, "PERMISSION_DENIED"),
    ("of another project", lambda t: t.get(EVE, "", "finetune"), NotFound, "JOB_TEMPLATE_NOT_FOUND"),
    ("update none", lambda t: t.update(ADA, "", a_template(name="no"), []), NotFound, "JOB_TEMPLATE_NOT_FOUND"),
    ("delete none", lambda t: t.delete(ADA, "", "no", ""), NotFound, "JOB_TEMPLATE_NOT_FOUND"),
    ("versions of none", lambda t: t.versions(ADA, "", "no", size=1, token=""), NotFound, "JOB_TEMPLATE_NOT_FOUND"),
    ("changed meanwhile", lambda t: t.update(ADA, "", a_template(etag="9"), []), Conflict, "ETAG_MISMATCH"),
    ("deleted late", lambda t: t.delete(ADA, "", "finetune", "9"), Conflict, "ETAG_MISMATCH"),
    ("no job", lambda t: t.create(ADA, "", Template(name="x")), InvalidInput, "JOB_COMMAND_OR_SCRIPT"),
    ("defaults that make none", lambda t: t.create(ADA, "", ParseDict({"name": "x", "job": {"command": ["a"], "priority": 5000}}, Template())), InvalidInput, "INT32_GTE_LTE"),
    ("a broken change", lambda t: t.update(ADA, "", Template(name="finetune", job={"command": []}), []), InvalidInput, "UNUSED_PARAMETER"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "reason"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])  # fmt: skip
async def test_what_cannot_be_is_refused(
    world: World, call: Any, error: type[WindlassError], reason: str
):
    await world.made()
    with pytest.raises(error) as refused:
        await call(world.templates)
    assert refused.value.reason == reason
    assert (await world.templates.get(VIC, "", "finetune")).version == 1
