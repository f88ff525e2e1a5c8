"""Which nodes a list has, on both engines."""

from pathlib import Path

import pytest

from tests.support.resources_world import ADMIN, ResourcesWorld
from windlass.resources.v1.cluster_pb2 import Cluster
from windlass_server.resources.service import NodeFilter
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")

READY, UNREACHABLE = 1, 2


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> ResourcesWorld:
    started = await ResourcesWorld.start(database, tmp_path)
    await started.clusters.create(ADMIN, Cluster(cluster_id="east"))
    await started.joined("a", labels={"zone": "z1", "rack": "7"}, gpus=1)
    await started.joined("b", labels={"zone": "z2", "rack": "7"}, gpus=1, gpu_type="L4")
    await started.joined("c", cluster="east", labels={"zone": "z1", "odd": "x=y"}, connected=False)
    await started.joined("d", cluster="east", labels={"empty": ""}, gpus=2)
    return started


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, "abcd"),
        ({"cluster": "east"}, "cd"),
        ({"cluster": "west"}, ""),
        ({"cluster": "default", "status": READY}, "ab"),
        ({"zone": "z1"}, "ac"),
        ({"zone": "z3"}, ""),
        ({"gpu_type": "h100"}, "ad"),
        ({"gpu_type": "H100", "cluster": "east"}, "d"),
        ({"labels": (("rack", "7"),)}, "ab"),
        ({"labels": (("rack", "7"), ("zone", "z2"))}, "b"),
        ({"labels": (("rack", "7"), ("rack", "8"))}, ""),
        ({"labels": (("rack", ""),)}, ""),
        ({"labels": (("empty", ""),)}, "d"),
        ({"labels": (("odd", "x=y"),)}, "c"),
        ({"status": UNREACHABLE, "zone": "z1"}, "c"),
        ({"labels": (("' OR 1=1 --", "%_"),)}, ""),
    ],
)
async def test_a_list_has_the_nodes_that_are_asked_for(
    world: ResourcesWorld, wanted: dict[str, object], names: str
):
    assert await world.names(**wanted) == list(names)


async def test_a_page_of_a_filtered_list_goes_on_behind_the_one_before(world: ResourcesWorld):
    wanted, seen, token = NodeFilter(zone="z1"), [], ""
    while True:
        page, token = await world.resources.list(ADMIN, wanted, size=1, token=token)
        seen += [view.row.name for view in page]
        if not token:
            break
    assert seen == ["a", "c"]
