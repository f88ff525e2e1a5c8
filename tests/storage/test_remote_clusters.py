"""Other installations as clusters: what is said of them is kept and shown, but for their keys."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import self_signed
from tests.support.remote_runs import a_job_at
from tests.support.resources_world import ADMIN, ResourcesWorld
from windlass.resources.v1.cluster_pb2 import Cluster
from windlass.resources.v1.remote_cluster_pb2 import RemoteSettings
from windlass_server.access.seals import Seal
from windlass_server.errors import InvalidInput, WrongState
from windlass_server.resources.cluster_message import cluster_message
from windlass_server.resources.remote_clusters import RemoteClusters, key_purpose
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")

KEY = "wlk_secret.of-west"
PEM = self_signed()[1].decode()
GOOD: dict[str, Any] = {"endpoint": "https://west.example:443", "api_key": KEY}


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> ResourcesWorld:
    return await ResourcesWorld.start(database, tmp_path)


def west(kind: int = Cluster.REMOTE, **settings: Any) -> Cluster:
    return Cluster(cluster_id="west", kind=kind, remote=RemoteSettings(**settings))  # type: ignore[arg-type]


async def register(world: ResourcesWorld, **settings: Any) -> Cluster:
    made = await world.clusters.create(ADMIN, west(**(GOOD | settings)))
    return cluster_message(made)


async def update(world: ResourcesWorld, mask: str = "", **settings: Any) -> Cluster:
    paths = [f"remote.{name}" for name in mask.split()]
    return cluster_message(await world.clusters.update(ADMIN, west(**settings), paths))


async def key_of_west(world: ResourcesWorld) -> str:
    row = await world.database.read(lambda tx: tx.remote_clusters.get("west"))
    assert row is not None
    return Seal(b"s" * 32).open(key_purpose("west"), row.sealed_key)


async def test_what_is_said_of_another_installation_is_shown_without_its_key(
    world: ResourcesWorld,
):
    settings: dict[str, Any] = GOOD | {
        "ca_certificates": PEM,
        "server_name": "windlass",
        "project": "guests",
        "spill_over_after": {"seconds": 60},
        "affinity": {"labels": {"site": "west"}, "gpu_types": ["H100"]},
        "weight": 7,
        "max_jobs": 9,
        "projects": ["vision"],
        "paused": True,
    }
    made = await register(world, **settings)
    shown = cluster_message(await world.clusters.get(ADMIN, "west"))
    assert shown == made
    del settings["api_key"]
    assert shown.remote == RemoteSettings(**settings)
    assert shown.remote_status.message == "it has not been tried yet"
    assert await key_of_west(world) == KEY
    (seen,) = await world.database.read(RemoteClusters().load)
    assert KEY not in repr(seen)
    assert (seen.policy.weight, seen.policy.spill_after) == (7, 60_000_000)


@pytest.mark.parametrize(
    ("settings", "field", "reason"),
    [
        ({"api_key": ""}, "api_key", "REQUIRED"),
        ({"endpoint": ""}, "endpoint", "ENDPOINT_INVALID"),
        ({"endpoint": "west"}, "endpoint", "ENDPOINT_INVALID"),
        ({"endpoint": "ftp://west:1"}, "endpoint", "ENDPOINT_INVALID"),
        ({"ca_certificates": "nonsense"}, "ca_certificates", "CERTIFICATES_INVALID"),
        (
            {"endpoint": "http://west.example:1", "ca_certificates": PEM},
            "ca_certificates",
            "NOT_TLS",
        ),
        ({"endpoint": "127.0.0.1:1", "server_name": "west"}, "server_name", "NOT_TLS"),
    ],
)
async def test_what_cannot_be_reached_so_is_refused_and_nothing_is_kept(
    world: ResourcesWorld, settings: dict[str, Any], field: str, reason: str
):
    with pytest.raises(InvalidInput) as refused:
        await register(world, **settings)
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == (f"cluster.remote.{field}", reason)
    assert KEY not in str(refused.value)
    assert await world.database.read(lambda tx: tx.remote_clusters.all()) == []
    assert await world.database.read(lambda tx: tx.clusters.get("west")) is None


async def test_settings_are_for_remote_clusters_alone(world: ResourcesWorld):
    with pytest.raises(InvalidInput) as refused:
        await world.clusters.create(ADMIN, west(kind=Cluster.LOCAL, **GOOD))
    assert refused.value.violations[0].reason == "NOT_REMOTE"
    await world.clusters.create(ADMIN, Cluster(cluster_id="west"))
    for kind, reason in ((Cluster.LOCAL, "NOT_REMOTE"), (Cluster.REMOTE, "FIELD_NOT_CHANGEABLE")):
        with pytest.raises(InvalidInput) as refused:
            await update(world, kind=kind, **GOOD)
        assert refused.value.violations[0].reason == reason


async def test_an_update_changes_what_it_names(world: ResourcesWorld):
    await register(world, weight=5, spill_over_after={"seconds": 9})
    changed = await update(world, paused=True)
    assert (changed.remote.paused, changed.remote.weight) == (True, 5)
    changed = await update(world, "paused spill_over_after")
    assert (changed.remote.paused, changed.remote.weight) == (False, 5)
    assert not changed.remote.HasField("spill_over_after")
    assert (changed.remote.endpoint, changed.etag) == (GOOD["endpoint"], "3")
    assert await key_of_west(world) == KEY


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"endpoint": "https://attacker.example:443"},
        {"endpoint": "http://west.example:443"},
        {"ca_certificates": PEM},
        {"server_name": "attacker"},
    ],
)
async def test_a_key_is_sent_to_nobody_but_whom_it_was_given_for(
    world: ResourcesWorld, elsewhere: dict[str, str]
):
    await register(world)
    with pytest.raises(InvalidInput) as refused:
        await update(world, **elsewhere)
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == ("cluster.remote.api_key", "API_KEY_REQUIRED")
    await update(world, api_key="wlk_new", **elsewhere)
    assert await key_of_west(world) == "wlk_new"


async def test_a_key_that_is_not_named_in_the_mask_is_not_taken(world: ResourcesWorld):
    await register(world)
    await update(world, "paused", api_key="wlk_new", paused=True)
    assert await key_of_west(world) == KEY
    with pytest.raises(InvalidInput):
        await update(world, "endpoint", api_key="wlk_new", endpoint="https://attacker.example:1")


async def test_a_cluster_with_jobs_is_not_removed_and_keeps_its_project(world: ResourcesWorld):
    await register(world)
    run_id = await a_job_at(world.database, "west")
    for refused in (
        world.clusters.delete(ADMIN, "west", ""),
        world.clusters.update(ADMIN, west(project="other"), ["remote.project"]),
    ):
        with pytest.raises(WrongState) as why:
            await refused
        assert why.value.reason == "CLUSTER_HAS_JOBS"
    await world.database.write(lambda tx: tx.remote_runs.change(run_id, forgotten=True))
    await world.clusters.delete(ADMIN, "west", "")
    assert await world.database.read(lambda tx: tx.remote_clusters.all()) == []


async def test_nodes_do_not_join_another_installation_here(world: ResourcesWorld):
    await register(world)
    with pytest.raises(WrongState) as refused:
        await world.access.create_join_token(ADMIN, None, cluster="west")
    assert refused.value.reason == "CLUSTER_IS_REMOTE"


async def test_one_server_at_a_time_works_with_a_cluster(world: ResourcesWorld):
    await register(world)

    async def hold(holder: str, now: int) -> bool:
        return await world.database.write(
            lambda tx: tx.remote_clusters.hold("west", holder, now=now, until=now + 10)
        )

    assert await hold("a", 100)
    assert not await hold("b", 109)
    assert await hold("a", 109)
    assert not await hold("b", 110)
    assert await hold("b", 119)
    assert not await hold("a", 119)
    assert not await world.database.write(
        lambda tx: tx.remote_clusters.hold("no", "a", now=0, until=1)
    )
