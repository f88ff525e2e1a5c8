"""Jobs behave the same on both engines."""

import pytest

from tests.support.fake_clock import START
from tests.support.jobs import add_jobs, add_projects, job_columns
from windlass_server.errors import LostRace
from windlass_server.jobs.states import Status
from windlass_server.storage.jobs import JobFilter

pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def jobs(database):
    """Three jobs of `default`, oldest first, and one of `other`."""
    stored = [
        job_columns(name="one", user="ada", priority=0),
        job_columns(name="two", user="bob", priority=5, queue="fast", created_at=START + 10),
        job_columns(name="three", status=int(Status.RUNNING), created_at=START + 20),
    ]
    foreign = job_columns(project="other")

    def store(tx):
        add_projects(tx, "default", "other")
        add_jobs(tx, stored[0], labels={"team": "vision", "tier": "a"})
        add_jobs(tx, *stored[1:], labels={"team": "speech"})
        add_jobs(tx, foreign)

    await database.write(store)
    return stored


def page_of_names(tx, wanted, *, before="", size=10):
    """The names of the jobs of a page, and the last one's id."""
    heads = tx.jobs.page_of_heads(wanted, before=before, size=size)
    names = {row.job_id: row.name for row in tx.jobs.of_ids([head.job_id for head in heads])}
    return [names[head.job_id] for head in heads], heads[-1].job_id if heads else ""


async def test_a_job_is_read_as_it_was_stored(database, jobs):
    row = await database.read(lambda tx: tx.jobs.get(jobs[0]["job_id"]))
    assert row._asdict() == jobs[0]


async def test_an_unknown_job_is_none(database, jobs):
    assert await database.read(lambda tx: tx.jobs.get("job-nope")) is None


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["three", "two", "one"]),
        ({"statuses": (1,)}, ["two", "one"]),
        ({"statuses": (1, 3)}, ["three", "two", "one"]),
        ({"statuses": (5,)}, []),
        ({"queue": "fast"}, ["two"]),
        ({"user": "bob"}, ["two"]),
        ({"name": "one"}, ["one"]),
        ({"labels": (("team", "vision"),)}, ["one"]),
        ({"labels": (("team", "vision"), ("tier", "a"))}, ["one"]),
        ({"labels": (("team", "speech"), ("tier", "a"))}, []),
        ({"labels": (("team", "vision"), ("team", "speech"))}, []),
        ({"created_after": START + 10}, ["three", "two"]),
        ({"created_before": START + 10}, ["one"]),
    ],
)
async def test_a_list_shows_the_projects_jobs_newest_first(database, jobs, wanted, names):
    found = JobFilter("default", **wanted)
    assert await database.read(lambda tx: page_of_names(tx, found)[0]) == names


async def test_pages_follow_each_other_also_when_jobs_are_added_between(database, jobs):
    wanted = JobFilter("default")
    first, last = await database.read(lambda tx: page_of_names(tx, wanted, size=2))
    await database.write(lambda tx: add_jobs(tx, job_columns(name="four")))
    rest, _ = await database.read(lambda tx: page_of_names(tx, wanted, before=last, size=2))
    assert first + rest == ["three", "two", "one"]


async def test_a_change_is_refused_to_whoever_saw_an_older_version(database, jobs):
    job_id = jobs[0]["job_id"]
    await database.write(lambda tx: tx.jobs.change(job_id, 1, status=2))
    with pytest.raises(LostRace):
        await database.write(lambda tx: tx.jobs.change(job_id, 1, status=7))
    row = await database.read(lambda tx: tx.jobs.get(job_id))
    assert (row.status, row.version) == (2, 2)


async def test_the_queue_is_by_priority_then_by_age(database, jobs):
    queued = await database.read(lambda tx: tx.jobs.queued(10))
    assert [job.job_id for job in queued if job.project == "default"] == [
        jobs[1]["job_id"],
        jobs[0]["job_id"],
    ]


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_the_queue_in_pages_is_the_queue_in_one(database, size):
    stored = [job_columns(priority=priority) for priority in (0, 5, 0, 5, 5, -1, 0)]

    def store(tx):
        add_projects(tx, "default")
        add_jobs(tx, *stored)

    await database.write(store)
    whole = [job.job_id for job in await database.read(lambda tx: tx.jobs.queued(100))]
    in_turn = sorted(stored, key=lambda job: (-job["priority"], job["job_id"]))
    assert whole == [job["job_id"] for job in in_turn]
    pages, last = [], None
    while page := await database.read(lambda tx, last=last: tx.jobs.queued(size, last)):
        pages += [job.job_id for job in page]
        last = page[-1]
    assert pages == whole


async def test_the_queue_of_an_owner_is_in_the_order_of_the_whole(database):
    stored = [
        job_columns(project=project, user=user, priority=priority)
        for priority in (0, 5, 0)
        for project, user in (("default", "ada"), ("default", "bob"), ("other", "ada"))
    ]

    def store(tx):
        add_projects(tx, "default", "other")
        add_jobs(tx, *stored)
        tx.jobs.change(stored[1]["job_id"], 1, status=9)

    await database.write(store)
    owners = await database.read(lambda tx: tx.jobs.owners_of_queued(10))
    assert owners == [("default", "ada"), ("default", "bob"), ("other", "ada")]
    assert await database.read(lambda tx: tx.jobs.owners_of_queued(2)) == owners[:2]
    whole = await database.read(lambda tx: tx.jobs.queued(100))
    for owner in owners:
        own = [job.job_id for job in whole if (job.project, job.user) == owner]
        for size in (2, 100):
            found = await database.read(lambda tx, o=owner, n=size: tx.jobs.queued_by(*o, n))
            assert [job.job_id for job in found] == own[:size]


async def test_the_queue_of_given_jobs_leaves_out_those_that_wait_no_longer(database, jobs):
    ids = [job["job_id"] for job in jobs]
    queued = await database.read(lambda tx: tx.jobs.queued_of(ids))
    assert [job.job_id for job in queued] == [ids[1], ids[0]]


async def test_an_explanation_does_not_touch_a_job_that_waits_no_longer(database, jobs):
    news = [(job["job_id"], "WHY", "because") for job in jobs]
    await database.write(lambda tx: tx.jobs.explain(news))
    rows = await database.read(lambda tx: [tx.jobs.get(job["job_id"]) for job in jobs])
    assert [row.status_reason for row in rows] == ["WHY", "WHY", "NO_NODES"]
    assert [row.version for row in rows] == [2, 2, 1]
