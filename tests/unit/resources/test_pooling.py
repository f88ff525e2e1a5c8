"""Which pool a node is in, and how much of it may be handed out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.nodes import GIB
from windlass.resources.v1.pool_pb2 import GpuSharing, Overcommit, Pool, PoolSelector
from windlass_server.errors import InvalidInput, WindlassError
from windlass_server.resources.capacity import Facts
from windlass_server.resources.gpu_sharing import require_sharing
from windlass_server.resources.pooling import (
    Assignment,
    assign,
    require_usable,
    rules_of,
    selects_something,
    usable,
)
from windlass_server.storage.tables import PoolRow


def row(pool_id: str, **said: Any) -> PoolRow:
    spec = Pool(**said).SerializeToString(deterministic=True)
    return PoolRow(pool_id=pool_id, spec=spec, version=1, created_at=1, updated_at=1)


def facts(gpu_types: str = "", zone: str = "", **labels: str) -> Facts:
    gpus = tuple((f"GPU-{n}", one) for n, one in enumerate(gpu_types.split()))
    return Facts(gpus, 3, labels | ({"zone": zone} if zone else {}), 8000, 16 * GIB)


def selecting(**asked: Any) -> dict[str, Any]:
    return {"selector": PoolSelector(**asked)}


DEFAULT = row("default")


@pytest.mark.parametrize(
    ("asked", "node", "taken"),
    [
        ({"labels": {"team": "v"}}, facts(team="v"), True),
        ({"labels": {"team": "v"}}, facts(team="w"), False),
        ({"labels": {"team": "v"}}, facts(), False),
        ({"labels": {"team": ""}}, facts(), False),
        ({"labels": {"team": ""}}, facts(team=""), True),
        ({"labels": {"team": "v", "rack": "7"}}, facts(team="v"), False),
        ({"labels": {"team": "v", "rack": "7"}}, facts(team="v", rack="7", more="x"), True),
        ({"gpu_types": ["h100"]}, facts("H100"), True),
        ({"gpu_types": ["H100", "L4"]}, facts("A100 L4"), True),
        ({"gpu_types": ["H100"]}, facts("A100"), False),
        ({"gpu_types": ["H100"]}, facts(), False),
        ({"zones": ["a", "b"]}, facts(zone="b"), True),
        ({"zones": ["a"]}, facts(zone="b"), False),
        ({"zones": ["a"]}, facts(), False),
        ({"clusters": ["east"]}, facts(), True),
        ({"clusters": ["west"]}, facts(), False),
        ({"zones": ["a"], "gpu_types": ["H100"]}, facts("H100", zone="b"), False),
        ({"zones": ["a"], "gpu_types": ["H100"]}, facts("H100", zone="a"), True),
    ],
)
def test_a_pool_takes_a_node_that_meets_all_that_it_asks_for(
    asked: dict[str, Any], node: Facts, taken: bool
):
    pools = rules_of([DEFAULT, row("mine", **selecting(**asked))])
    assert assign(node, "east", pools).pool == ("mine" if taken else "default")


@pytest.mark.parametrize(
    ("pools", "name"),
    [
        ([], "default"),
        ([DEFAULT], "default"),
        ([row("b", **selecting(zones=["a"])), row("a", **selecting(zones=["a"]))], "a"),
        ([row("a", **selecting(zones=["a"])), row("b", priority=1, **selecting(zones=["a"]))], "b"),
        ([row("a", priority=-1, **selecting(zones=["a"])), DEFAULT], "a"),
        ([row("z", **selecting(zones=["a"])), DEFAULT], "z"),
        ([row("a", priority=9, **selecting(zones=["x"])), row("b", **selecting(zones=["a"]))], "b"),
    ],
)
def test_of_several_pools_the_highest_has_the_node_then_the_first_by_name(
    pools: list[PoolRow], name: str
):
    assert assign(facts(zone="a"), "east", rules_of(pools)).pool == name


@pytest.mark.parametrize(
    ("overcommit", "cpu", "memory"),
    [
        (Overcommit(), 8000, 16 * GIB),
        (Overcommit(cpu_ratio=1, memory_ratio=1), 8000, 16 * GIB),
        (Overcommit(cpu_ratio=1.5), 12000, 16 * GIB),
        (Overcommit(cpu_ratio=1.0001, memory_ratio=2), 8000, 32 * GIB),
        (Overcommit(cpu_ratio=16, memory_ratio=4), 128000, 64 * GIB),
    ],
)
def test_overcommit_is_what_may_be_handed_out(overcommit: Overcommit, cpu: int, memory: int):
    pools = rules_of([row("default", overcommit=overcommit)])
    assert assign(facts("H100"), "east", pools) == Assignment("default", cpu, memory)


def test_what_may_be_handed_out_always_fits_the_database():
    huge = Facts((), 3, {}, 1_000_000_000, 1 << 60)
    pools = rules_of([row("default", overcommit=Overcommit(cpu_ratio=16, memory_ratio=4))])
    assert assign(huge, "east", pools).memory_bytes == 1 << 62


@pytest.mark.parametrize(
    ("projects", "project", "admitted"),
    [([], "vision", True), (["vision"], "vision", True), (["speech"], "vision", False)],
)
def test_a_pool_admits_the_projects_that_it_names_or_all(
    projects: list[str], project: str, admitted: bool
):
    pool = rules_of([row("mine", allowed_projects=projects)])[0]
    assert pool.admits(project) is admitted


OPEN, MINE, THEIRS = (
    row("open", **selecting(zones=["a"])),
    row("mine", allowed_projects=["vision"], **selecting(zones=["a"])),
    row("theirs", allowed_projects=["speech"], **selecting(zones=["a"])),
)


@pytest.mark.parametrize(
    ("pools", "chosen", "found"),
    [
        ([], "", None),
        ([DEFAULT, OPEN], "", None),
        ([DEFAULT, MINE], "", None),
        ([DEFAULT, OPEN, THEIRS], "", ("default", "open")),
        ([DEFAULT, MINE, THEIRS], "", ("default", "mine")),
        ([row("default", allowed_projects=["speech"])], "", ()),
        ([DEFAULT, MINE], "mine", ("mine",)),
        ([DEFAULT, THEIRS], "theirs", ()),
        ([], "default", ("default",)),
        ([DEFAULT], "gone", ("gone",)),
    ],
)
def test_a_project_may_use_the_pools_that_admit_it_or_the_one_that_it_chose(
    pools: list[PoolRow], chosen: str, found: tuple[str, ...] | None
):
    assert usable("vision", chosen, rules_of(pools)) == found


@pytest.mark.parametrize(
    ("pools", "chosen", "reason"),
    [
        ([DEFAULT, THEIRS], "theirs", "POOL_NOT_ALLOWED"),
        ([row("default", allowed_projects=["speech"]), THEIRS], "", "POOL_NOT_ALLOWED"),
        ([DEFAULT], "gone", "POOL_NOT_FOUND"),
    ],
)
def test_what_no_pool_would_ever_admit_is_refused_at_once(
    pools: list[PoolRow], chosen: str, reason: str
):
    with pytest.raises(WindlassError) as refused:
        require_usable("vision", chosen, rules_of(pools), "job.pool")
    assert refused.value.reason == reason
    assert require_usable("speech", "", rules_of(pools), "job.pool") != ()


def test_a_selector_that_asks_for_nothing_is_told():
    assert not selects_something(PoolSelector())
    for asked in ({"labels": {"a": ""}}, {"gpu_types": ["L4"]}, {"zones": ["a"]}):
        assert selects_something(PoolSelector(**asked))  # type: ignore[arg-type]
    assert selects_something(PoolSelector(clusters=["east"]))


WORDS = st.sampled_from("abc")
SELECTORS = st.builds(
    PoolSelector,
    labels=st.dictionaries(WORDS, WORDS, max_size=2),
    gpu_types=st.lists(st.sampled_from(["H100", "L4"]), max_size=2, unique=True),
    zones=st.lists(WORDS, max_size=2, unique=True),
    clusters=st.lists(WORDS, max_size=1),
).filter(selects_something)
POOLS = st.lists(
    st.builds(row, WORDS, selector=SELECTORS, priority=st.integers(-1, 1)),
    max_size=3,
    unique_by=lambda pool: pool.pool_id,
)
NODES = st.builds(
    lambda types, labels: Facts(
        tuple((str(n), one) for n, one in enumerate(types)), 3, labels, 8000, GIB
    ),
    st.lists(st.sampled_from(["H100", "L4"]), max_size=2),
    st.dictionaries(st.sampled_from(["a", "b", "zone"]), WORDS),
)


@given(POOLS, NODES, WORDS)
def test_a_node_is_in_a_pool_that_takes_it_and_in_none_that_is_behind_another(
    rows: list[PoolRow], node: Facts, cluster: str
):
    pools = rules_of([*rows, DEFAULT])
    name = assign(node, cluster, pools).pool
    taking = [pool for pool in pools if pool.pool_id != "default" and pool.takes(node, cluster)]
    if not taking:
        assert name == "default"
        return
    (chosen,) = [pool for pool in taking if pool.pool_id == name]
    assert all(
        (-chosen.priority, chosen.pool_id) <= (-pool.priority, pool.pool_id) for pool in taking
    )
    # However the database orders them.
    assert assign(node, cluster, rules_of([DEFAULT, *reversed(rows)])).pool == name


SHARED = row("shared", **selecting(zones=["a"]), sharing=GpuSharing(enabled=True))
FEW = row("few", **selecting(zones=["b"]), sharing=GpuSharing(enabled=True, max_jobs_per_gpu=2))
OFF = row("off", **selecting(zones=["c"]), sharing=GpuSharing(max_jobs_per_gpu=2))


@pytest.mark.parametrize(("pool", "most"), [(DEFAULT, 0), (SHARED, 1000), (FEW, 2), (OFF, 0)])
def test_as_many_may_share_a_gpu_as_the_pool_says(pool: PoolRow, most: int):
    (found,) = [one for one in rules_of([pool]) if one.pool_id == pool.pool_id]
    assert found.max_sharers == most


@pytest.mark.parametrize(
    ("millis", "usable", "refusal"),
    [
        (0, ("off",), ""),
        (250, None, ""),
        (250, ("default", "few"), ""),
        (250, ("off",), "pool 'off' does not let jobs share GPUs"),
        (
            250,
            ("default", "off"),
            "none of the pools that the project may use lets jobs share GPUs",
        ),
    ],
)
def test_a_share_that_no_pool_would_ever_give_is_refused_at_once(
    millis: int, usable: tuple[str, ...] | None, refusal: str
):
    pools = rules_of([DEFAULT, SHARED, FEW, OFF])
    if not refusal:
        require_sharing(millis, usable, pools, "job.resources.gpu_millis")
        return
    with pytest.raises(InvalidInput) as refused:
        require_sharing(millis, usable, pools, "job.resources.gpu_millis")
    assert (refused.value.reason, refused.value.message) == ("GPU_SHARING_NOT_ALLOWED", refusal)
    assert [one.field for one in refused.value.violations] == ["job.resources.gpu_millis"]
