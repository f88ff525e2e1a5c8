"""All updates of resources are alike (AIP-134), on both engines."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from tests.support.databases import acting
from tests.support.resources_world import ADMIN, ResourcesWorld
from windlass.resources.v1 import (
    cluster_pb2,
    pool_pb2,
    reservation_pb2,
    resources_service_pb2,
)
from windlass_server.errors import InvalidInput
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens
from windlass_server.resources.reservations import ReservationsService
from windlass_server.storage.engine import Database
from windlass_server.timestamps import to_proto

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")


@dataclass(frozen=True)
class Kind:
    """A resource that there is, and how it is changed; `text` is its field that people write."""

    stored: Message
    id_field: str
    text: str
    update: Callable[[Any, list[str]], Awaitable[Any]]

    def like(self, **values: Any) -> Any:
        """The same resource as a caller names it."""
        return type(self.stored)(**{self.id_field: getattr(self.stored, self.id_field)}, **values)


async def a_pool(world: ResourcesWorld) -> Kind:
    made = pool_pb2.Pool(
        pool_id="p", description="old", priority=3, selector=pool_pb2.PoolSelector(zones=["z"])
    )
    await world.pools.create(ADMIN, made)
    return Kind(
        made, "pool_id", "description", lambda one, mask: world.pools.update(ADMIN, one, mask)
    )


async def a_cluster(world: ResourcesWorld) -> Kind:
    made = cluster_pb2.Cluster(cluster_id="c", description="old")
    await world.clusters.create(ADMIN, made)
    return Kind(
        made, "cluster_id", "description", lambda one, mask: world.clusters.update(ADMIN, one, mask)
    )


async def a_remote_cluster(world: ResourcesWorld) -> Kind:
    remote = {"endpoint": "https://there:1", "api_key": "wl_key", "project": "p"}
    made = cluster_pb2.Cluster(
        cluster_id="r", description="old", kind=cluster_pb2.Cluster.REMOTE, remote=remote
    )
    await world.clusters.create(ADMIN, made)
    return Kind(
        made, "cluster_id", "description", lambda one, mask: world.clusters.update(ADMIN, one, mask)
    )


async def a_reservation(world: ResourcesWorld) -> Kind:
    await world.joined("n", gpus=2)
    tokens, ids = PageTokens(b"page"), IdSource(world.clock)
    reservations = ReservationsService(
        world.database, world.scheduled.cluster, world.clock, ids, tokens
    )
    asked = reservation_pb2.Reservation(reason="old", resources={"gpu_count": 1})
    asked.start_time.CopyFrom(to_proto(world.clock.now() + 3_600_000_000))
    asked.end_time.CopyFrom(to_proto(world.clock.now() + 7_200_000_000))
    request = resources_service_pb2.CreateReservationRequest(reservation=asked)
    view = await reservations.create(ADMIN, request)
    asked.reservation_id = view.row.reservation_id
    return Kind(
        asked, "reservation_id", "reason", lambda one, mask: reservations.update(ADMIN, one, mask)
    )


KINDS = {
    "Pool": a_pool,
    "Cluster": a_cluster,
    "Cluster, remote": a_remote_cluster,
    "Reservation": a_reservation,
}


@pytest.fixture(params=KINDS)
async def kind(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, acting: None
) -> Any:
    world = await ResourcesWorld.start(database, tmp_path)
    yield await KINDS[request.param](world)
    await world.scheduled.logs.close()


def test_every_update_of_the_contract_is_here():
    (service,) = resources_service_pb2.DESCRIPTOR.services_by_name.values()
    updates = {rpc.name for rpc in service.methods if rpc.name.startswith("Update")}
    # Policies have a path of their own: tests/storage/test_scheduling_policies.py.
    assert updates - {"UpdateSchedulingPolicy"} == {f"Update{name.split(',')[0]}" for name in KINDS}


async def test_an_update_that_says_nothing_new_changes_nothing(kind: Kind):
    before = (await kind.update(kind.like(), [])).row
    assert before.version == 1
    again = kind.like(**{kind.text: "old"})
    assert (await kind.update(again, [])).row == before
    assert (await kind.update(again, [kind.text])).row == before
    assert (await kind.update(kind.like(**{kind.text: "new"}), [])).row.version == 2


async def test_a_mask_decides_and_without_one_what_has_values(kind: Kind):
    assert getattr((await kind.update(kind.like(), [])).spec, kind.text) == "old"
    new = await kind.update(kind.like(**{kind.text: "new"}), [])
    assert getattr(new.spec, kind.text) == "new"
    emptied = await kind.update(kind.like(), [kind.text])
    assert getattr(emptied.spec, kind.text) == ""
    every = kind.like()
    every.MergeFrom(kind.stored)
    assert getattr((await kind.update(every, ["*"])).spec, kind.text) == "old"


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        ([""], "BAD_UPDATE_MASK"),
        (["", "*"], "BAD_UPDATE_MASK"),
        (["*", "etag"], "BAD_UPDATE_MASK"),
        (["etag"], "FIELD_NOT_CHANGEABLE"),
        (["create_time"], "FIELD_NOT_CHANGEABLE"),
        (["nothing"], "FIELD_NOT_CHANGEABLE"),
    ],
)
async def test_a_mask_that_is_none_is_refused(kind: Kind, mask: list[str], reason: str):
    with pytest.raises(InvalidInput) as refused:
        await kind.update(kind.like(**{kind.text: "new"}), mask)
    assert [one.field for one in refused.value.violations] == ["update_mask"]
    assert refused.value.reason == reason
    with pytest.raises(InvalidInput):
        await kind.update(kind.like(), [kind.id_field])
