"""Clusters are made, changed and removed, and nodes join them, on both engines."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import GIB, an_inventory
from tests.support.resources_world import ADMIN, VIEWER, ResourcesWorld
from windlass.resources.v1.cluster_pb2 import Cluster
from windlass_server.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    InvalidInput,
    NotFound,
    Unauthenticated,
    WindlassError,
    WrongState,
)
from windlass_server.resources.cluster_message import cluster_message
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> ResourcesWorld:
    return await ResourcesWorld.start(database, tmp_path)


async def shown(world: ResourcesWorld, cluster_id: str) -> Cluster:
    return cluster_message(await world.clusters.get(ADMIN, cluster_id))


async def test_the_default_cluster_is_there_however_often_a_server_starts(world: ResourcesWorld):
    made = await shown(world, "default")
    world.clock.advance(5)
    await world.clusters.ensure_default()
    assert await shown(world, "default") == made
    assert (made.kind, made.etag, made.node_count) == (Cluster.LOCAL, "1", 0)


async def test_what_was_said_of_a_cluster_is_shown(world: ResourcesWorld):
    said = Cluster(cluster_id="east", description="the hall in the east", node_count=77)
    made = cluster_message(await world.clusters.create(ADMIN, said))
    assert await shown(world, "east") == made
    assert (made.description, made.node_count) == ("the hall in the east", 0)
    with pytest.raises(AlreadyExists) as refused:
        await world.clusters.create(ADMIN, said)
    assert refused.value.reason == "CLUSTER_EXISTS"


async def test_a_list_goes_by_name_and_by_pages(world: ResourcesWorld):
    for name in ("west", "east", "north"):
        await world.clusters.create(ADMIN, Cluster(cluster_id=name))
    first, token = await world.clusters.list(VIEWER, size=3, token="")
    second, end = await world.clusters.list(VIEWER, size=3, token=token)
    assert [one.row.cluster_id for one in first] == ["default", "east", "north"]
    assert ([one.row.cluster_id for one in second], end) == (["west"], "")
    with pytest.raises(InvalidInput):
        await world.clusters.list(VIEWER, size=3, token="forged")


@pytest.mark.parametrize(
    ("said", "mask", "description"),
    [
        (Cluster(description="new"), [], "new"),
        (Cluster(description="new"), ["description"], "new"),
        (Cluster(description="new"), ["*"], "new"),
        (Cluster(), ["description"], ""),
        (Cluster(), ["*"], ""),
        (Cluster(), [], "old"),
    ],
)
async def test_an_update_changes_what_its_mask_names(
    world: ResourcesWorld, said: Cluster, mask: list[str], description: str
):
    await world.clusters.create(ADMIN, Cluster(cluster_id="east", description="old"))
    said.cluster_id = "east"
    assert (await world.clusters.update(ADMIN, said, mask)).spec.description == description
    found = await shown(world, "east")
    etag = "1" if description == "old" else "2"
    assert (found.description, found.etag) == (description, etag)


async def test_of_two_who_change_a_cluster_that_they_read_one_is_told(world: ResourcesWorld):
    await world.clusters.create(ADMIN, Cluster(cluster_id="east"))
    for description, etag in (("first", "1"), ("second", "1")):
        said = Cluster(cluster_id="east", description=description, etag=etag)
        if description == "second":
            with pytest.raises(Conflict) as refused:
                await world.clusters.update(ADMIN, said, [])
            assert refused.value.reason == "ETAG_MISMATCH"
            with pytest.raises(Conflict):
                await world.clusters.delete(ADMIN, "east", etag)
        else:
            await world.clusters.update(ADMIN, said, [])
    assert (await shown(world, "east")).description == "first"


async def test_a_node_belongs_to_the_cluster_of_its_token(world: ResourcesWorld):
    await world.clusters.create(ADMIN, Cluster(cluster_id="east"))
    node_id = await world.joined("e1", cluster="east", gpus=2)
    await world.joined("e2", cluster="east", gpus=1, connected=False)
    await world.joined("d1")
    await world.running(node_id)

    east = await shown(world, "east")
    assert (east.node_count, east.connected_node_count) == (2, 1)
    assert (east.capacity.cpu_millis, east.capacity.gpu_count) == (16000, 3)
    assert (east.allocated.cpu_millis, east.allocated.memory_bytes) == (1000, GIB)
    assert await world.names(cluster="east") == ["e1", "e2"]
    with pytest.raises(NotFound):
        await world.resources.create_join_token(ADMIN, None, cluster="west")


async def test_a_node_that_joins_again_with_a_token_of_another_cluster_moves_there(
    world: ResourcesWorld,
):
    await world.clusters.create(ADMIN, Cluster(cluster_id="east"))
    node_id = await world.joined("n1")
    assert await world.joined("n1", cluster="east") == node_id
    assert await world.names(cluster="east") == ["n1"]


async def test_a_cluster_goes_when_its_nodes_have_gone_and_its_tokens_with_it(
    world: ResourcesWorld,
):
    await world.clusters.create(ADMIN, Cluster(cluster_id="east"))
    node_id = await world.joined("e1", cluster="east", connected=False)
    token = await world.resources.create_join_token(ADMIN, None, cluster="east")
    with pytest.raises(WrongState) as refused:
        await world.clusters.delete(ADMIN, "east", "")
    assert refused.value.reason == "CLUSTER_HAS_NODES"

    await world.removal.delete(ADMIN, node_id, force=False)
    await world.clusters.delete(ADMIN, "east", "")
    with pytest.raises(NotFound):
        await shown(world, "east")
    # Also when there is another one of its name.
    await world.clusters.create(ADMIN, Cluster(cluster_id="east"))
    with pytest.raises(Unauthenticated):
        await world.membership.join(token.text, b"n" * 32, an_inventory())


async def test_no_node_joins_a_cluster_that_is_removed_meanwhile(world: ResourcesWorld):
    for number in range(10):
        await world.clusters.create(ADMIN, Cluster(cluster_id="east"))
        token = await world.resources.create_join_token(ADMIN, None, cluster="east")
        key = f"key {number}".encode().ljust(32)
        joined, _ = await asyncio.gather(
            world.membership.join(token.text, key, an_inventory()),
            world.clusters.delete(ADMIN, "east", ""),
            return_exceptions=True,
        )
        is_there = await world.database.read(lambda tx: tx.clusters.get("east")) is not None
        assert is_there == isinstance(joined, str), joined
        if isinstance(joined, str):
            await world.removal.delete(ADMIN, joined, force=False)
            await world.clusters.delete(ADMIN, "east", "")


CALLS: list[tuple[str, Callable[[ResourcesWorld, Any], Any], type[WindlassError], str]] = [
    ("get", lambda w, who: w.clusters.get(who, "no"), NotFound, "CLUSTER_NOT_FOUND"),
    (
        "update",
        lambda w, who: w.clusters.update(who, Cluster(cluster_id="no"), []),
        NotFound,
        "CLUSTER_NOT_FOUND",
    ),
    ("delete", lambda w, who: w.clusters.delete(who, "no", ""), NotFound, "CLUSTER_NOT_FOUND"),
    (
        "delete the default one",
        lambda w, who: w.clusters.delete(who, "default", ""),
        WrongState,
        "DEFAULT_CLUSTER",
    ),
    (
        "change its name",
        lambda w, who: w.clusters.update(who, Cluster(cluster_id="default"), ["cluster_id"]),
        InvalidInput,
        "FIELD_NOT_CHANGEABLE",
    ),
]


@pytest.mark.parametrize(("call", "error", "reason"), [each[1:] for each in CALLS])
async def test_what_cannot_be_done_is_refused(
    world: ResourcesWorld, call: Any, error: type[WindlassError], reason: str
):
    with pytest.raises(error) as refused:
        await call(world, ADMIN)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "call",
    [
        lambda w: w.clusters.create(VIEWER, Cluster(cluster_id="mine")),
        lambda w: w.clusters.update(VIEWER, Cluster(cluster_id="default"), []),
        lambda w: w.clusters.delete(VIEWER, "default", ""),
        lambda w: w.removal.delete(VIEWER, "node-1", force=True),
    ],
)
async def test_who_only_looks_changes_nothing(world: ResourcesWorld, call: Any):
    with pytest.raises(Denied):
        await call(world)
