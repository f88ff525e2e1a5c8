"""What filters and orders of lists of jobs find, on both engines."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_clock import START
from tests.support.jobs import add_jobs, add_projects, job_columns
from windlass_server.errors import InvalidInput
from windlass_server.filters import parse
from windlass_server.jobs.states import Status
from windlass_server.storage.engine import Database
from windlass_server.storage.job_pages import check, job_order
from windlass_server.storage.jobs import JobFilter, position_of
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")

JOBS: list[dict[str, Any]] = [
    {"name": "one", "user": "ada", "gpu_count": 8, "gpu_type": "H100", "exit_code": 1},
    {"name": "two", "user": "bob", "priority": 5, "queue": "fast", "node_id": "node-1"},
    {"name": "10%_done", "status": int(Status.RUNNING), "preemptible": False, "attempt": 2},
]
LABELS = [{"team": "vision", "app.io/tier": "a"}, {"team": "speech"}, {}]


@pytest.fixture
async def jobs(database: Database) -> list[str]:
    """Their ids, oldest first; another one is of another project."""
    stored = [
        job_columns(created_at=START + number, started_at=started, **values)
        for number, (values, started) in enumerate(
            zip(JOBS, (START + 50, None, START + 40), strict=True)
        )
    ]

    def store(tx: Transaction) -> None:
        add_projects(tx, "default", "other")
        for columns, labels in zip(stored, LABELS, strict=True):
            add_jobs(tx, columns, labels=labels)
        add_jobs(tx, job_columns(project="other", user="ada"))

    await database.write(store)
    return [columns["job_id"] for columns in stored]


async def found(database: Database, text: str = "", order: str = "", **more: Any) -> list[str]:
    """The names of the jobs that a list shows, a page for each."""
    wanted = JobFilter("default", expression=parse(text), order=job_order(order), **more)
    names, before = [], ""
    while True:

        def look(tx: Transaction, before: str = before) -> tuple[list[str], str]:
            heads = tx.jobs.page_of_heads(wanted, before=before, size=1)
            rows = tx.jobs.of_ids([head.job_id for head in heads])
            return [row.name for row in rows], position_of(wanted, heads[-1]) if heads else ""

        page, before = await database.read(look)
        names += page
        if not page:
            return names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("user = ada", ["10%_done", "one"]),
        ("user != ada", ["two"]),
        ("name = t*", ["two"]),
        ("name = *E", ["10%_done", "one"]),
        ("name = *n*", ["10%_done", "one"]),
        ("name = *", ["10%_done", "two", "one"]),
        ("name != t*", ["10%_done", "one"]),
        ("name:W", ["two"]),
        # What SQL's patterns mean something by is meant as it is.
        ("name:%", ["10%_done"]),
        ("name:_", ["10%_done"]),
        ('name:"\\\\"', []),
        ("status = running", ["10%_done"]),
        ("status != QUEUED", ["10%_done"]),
        ("priority >= 5", ["two"]),
        ("priority < -5", []),
        ("priority > 99999999999999999999", []),
        ("resources.gpu_count = 8 AND resources.gpu_type = H100", ["one"]),
        ("placement.node_id = node-1", ["two"]),
        ("exit_code = 1", ["one"]),
        ("exit_code != 1", ["10%_done", "two"]),
        ("NOT exit_code = 1", ["10%_done", "two"]),
        ("exit_code < 1", []),
        ("exit_code:*", ["one"]),
        ("start_time:*", ["10%_done", "one"]),
        ("preemptible = false", ["10%_done"]),
        ("attempt = 2 OR user = bob", ["10%_done", "two"]),
        ("labels.team = vision", ["one"]),
        ("labels.team = *i*", ["one"]),
        ("labels.team:spee", ["two"]),
        ("labels.team != vision", ["10%_done", "two"]),
        ("labels:team", ["two", "one"]),
        ("labels.team:*", ["two", "one"]),
        ("NOT labels:team", ["10%_done"]),
        ('labels."app.io/tier" = a', ["one"]),
        ("labels.app.io/tier = a", ["one"]),
        ('create_time >= "2020-01-01T00:00:00Z"', ["10%_done", "two", "one"]),
        ('create_time < "2020-01-01T00:00:00+02:00"', []),
        ('name = "\' OR 1=1 --"', []),
        ('user = "ada"" OR "1"="1"', None),
    ],
)
async def test_a_filter_finds_what_it_says_newest_first(
    database: Database, jobs: list[str], text: str, names: list[str] | None
) -> None:
    if names is None:
        with pytest.raises(InvalidInput):
            await found(database, text)
    else:
        assert await found(database, text) == names


async def test_a_filter_narrows_what_the_other_fields_ask_for(
    database: Database, jobs: list[str]
) -> None:
    more = {"statuses": (int(Status.QUEUED),), "labels": (("team", "vision"),)}
    assert await found(database, "name != two", **more) == ["one"]
    assert await found(database, "name != one", **more) == []


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("create_time", ["one", "two", "10%_done"]),
        ("create_time desc", ["10%_done", "two", "one"]),
        ("start_time DESC", ["one", "10%_done", "two"]),
        ("start_time asc", ["two", "10%_done", "one"]),
        ("priority desc", ["two", "10%_done", "one"]),
        ("priority", ["one", "10%_done", "two"]),
        ("name", ["10%_done", "one", "two"]),
        ("status desc", ["10%_done", "two", "one"]),
    ],
)
async def test_a_list_is_in_the_order_that_is_asked_for_also_in_pages(
    database: Database, jobs: list[str], order: str, names: list[str]
) -> None:
    assert await found(database, order=order) == names


@pytest.mark.parametrize("order", ["nope", "name up", "name desc, user", "spec", "name;DROP", ","])
def test_an_order_by_what_there_is_not_is_refused(order: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        job_order(order)
    assert refused.value.reason == "ORDER_INVALID"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spec = 1", "asks for spec; what can be asked for: job_id, name"),
        ("train", "says nothing of train: write FIELD = VALUE"),
        ("priority = high", "compares priority with `high`, which is not a whole number"),
        ("priority = 1.5", "which is not a whole number"),
        ("status = SLEEPING", "which is not one of QUEUED, SCHEDULED"),
        ("status > QUEUED", "asks > of status"),
        ("name < b", "asks < of name"),
        ("preemptible = maybe", "which is not true or false"),
        ("create_time > yesterday", "which is not a time in quotes"),
        ('create_time > "2026-01-01"', "which is not a time in quotes"),
        ("name.first = a", "there is nothing within name"),
        ("labels = a", "asks labels for no key"),
        ("labels:*", "asks labels for no key"),
        ("size(name)", "says nothing of size"),
        ("name = a;DROP TABLE jobs", "says nothing of TABLE"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_words(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=r"^the filter ") as refused:
        check(parse(text))
    assert words in str(refused.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            [
                *("user = ada", "exit_code = 1", "labels:team", "priority > 0", "name = t*"),
                *("status = RUNNING", "start_time:*", "preemptible = true"),
            ]
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([" AND ", " OR ", " "]),
)
async def test_what_a_filter_does_not_find_its_negation_does(
    database: Database, terms: list[str], joint: str
) -> None:
    if not await found(database):
        await store_all(database)
    text = joint.join(terms)
    both = await found(database, text) + await found(database, f"NOT ({text})")
    assert sorted(both) == sorted(await found(database))


async def store_all(database: Database) -> None:
    def store(tx: Transaction) -> None:
        add_projects(tx, "default")
        for values, labels in zip(JOBS, LABELS, strict=True):
            add_jobs(tx, job_columns(**values), labels=labels)

    await database.write(store)
