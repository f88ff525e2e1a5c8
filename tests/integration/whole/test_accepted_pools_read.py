"""Whatever is accepted of a pool or a cluster reads as it was said, in every way."""

import itertools
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.cluster import Cluster

REFUSED = {400, 403, 404, 409}
NUMBERS = itertools.count()

WORD = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
RATIO = st.one_of(st.just(0.0), st.floats(1, 4, allow_nan=False))
SELECTORS = st.fixed_dictionaries(
    {"zones": st.lists(TEXT.filter(bool), min_size=1, max_size=3, unique=True)},
    optional={
        "labels": st.dictionaries(TEXT.filter(bool), TEXT, max_size=3),
        "gpu_types": st.lists(st.sampled_from(["H100", "L4", "a.b-c_d"]), max_size=2, unique=True),
        "clusters": st.lists(WORD, max_size=2, unique=True),
    },
)
GOOD = st.fixed_dictionaries(
    {"selector": SELECTORS},
    optional={
        "description": TEXT,
        "priority": st.integers(-1000, 1000),
        "overcommit": st.fixed_dictionaries({"cpu_ratio": RATIO, "memory_ratio": RATIO}),
        "allowed_projects": st.just(["default"]),
    },
)
BAD = st.one_of(
    st.builds(dict, description=ANY),
    st.builds(dict, priority=st.integers(-(2**40), 2**40)),
    st.builds(dict, overcommit=st.builds(dict, cpu_ratio=st.floats(allow_infinity=False))),
    st.builds(dict, allowed_projects=st.lists(ANY, max_size=2)),
    st.builds(dict, selector=st.builds(dict, zones=st.lists(ANY, max_size=2))),
    st.builds(dict, selector=st.builds(dict, labels=st.dictionaries(ANY, ANY, max_size=2))),
    st.builds(dict, etag=ANY),
)
MASK = "description,selector,priority,overcommit,allowed_projects"
PATIENT = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def contains(answer: Any, said: Any) -> bool:
    """Whether an answer has all that was said, as it was said."""
    if isinstance(said, dict):
        return all(contains(answer.get(key), value) for key, value in said.items())
    return bool(answer == said)


async def made(rest: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """What was made; None when it was refused as the caller's mistake."""
    answer = await rest.post(path, json=body)
    assert answer.status_code in {200, *REFUSED}, answer.text
    return answer.json() if answer.status_code == 200 else None


@pytest.mark.asyncio(loop_scope="module")
@PATIENT
@example(good={"selector": {"zones": ["a"]}}, bad={"overcommit": {"cpu_ratio": 1.0000000000000002}})
@given(good=GOOD, bad=st.one_of(st.just({}), BAD))
async def test_a_pool_reads_as_it_was_said(
    server: Cluster, good: dict[str, Any], bad: dict[str, Any]
):
    pool_id = f"p{next(NUMBERS)}"
    said = {"pool_id": pool_id, **good, **finite(bad)}
    path = f"/v1/resources/pools/{pool_id}"
    async with server.rest() as rest:
        pool = await made(rest, "/v1/resources/pools", said)
        if pool is None:
            assert bad, said
            return
        said.pop("etag", None)
        assert contains(pool, said)
        assert (await rest.get(path)).json() == pool
        listed = (await rest.get("/v1/resources/pools", params={"page_size": 1000})).json()
        assert pool in listed["pools"]
        changed = await rest.patch(path, params={"update_mask": MASK}, json=said)
        assert contains(changed.json(), said), changed.text
        gone = await rest.delete(path)
        assert contains(gone.json(), said)


def finite(body: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN; ProtoJSON writes it as text."""
    ratio = body.get("overcommit", {}).get("cpu_ratio", 0.0)
    return {"overcommit": {"cpu_ratio": "NaN"}} if ratio != ratio else body


@pytest.mark.asyncio(loop_scope="module")
@PATIENT
@given(cluster_id=st.one_of(WORD, ANY), description=st.one_of(TEXT, ANY))
async def test_a_cluster_reads_as_it_was_said(server: Cluster, cluster_id: str, description: str):
    said = {"cluster_id": cluster_id, "description": description}
    path = f"/v1/resources/clusters/{cluster_id}"
    async with server.rest() as rest:
        cluster = await made(rest, "/v1/resources/clusters", said)
        if cluster is None:
            return
        assert contains(cluster, said)
        assert (await rest.get(path)).json() == cluster
        token = await rest.post("/v1/resources/joinTokens", json={"cluster": cluster_id})
        assert token.json()["cluster"] == cluster_id
        assert contains((await rest.delete(path)).json(), said)
