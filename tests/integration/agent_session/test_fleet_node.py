"""A simulated node of a fleet, against a scripted server."""

import asyncio

import pytest

from tests.support.fake_control_plane import FakeControlPlane
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.channel import channel_to
from windlass_agent.clock import SystemClock
from windlass_agent.fleet.config import load_config
from windlass_agent.fleet.identities import node_key
from windlass_agent.fleet.node import FleetNode

RUN = "run-01jh0000000000000000000001"


@pytest.mark.parametrize("flags", [["--divide-gpus"], []])
async def test_a_node_of_a_fleet_divides_its_cards_when_it_may(
    plane: FakeControlPlane, flags: list[str]
) -> None:
    argv = ["--server", plane.address, "--gpus", "1xH100", "--tasks", "sleep:1h", *flags]
    config = load_config(argv, {})
    node = FleetNode(
        0, config, node_key(b"seed", 0), lambda: channel_to(config.agent()), SystemClock()
    )
    task = asyncio.ensure_future(node.run(await node.join("join-me")))
    try:
        session = await plane.next_session()
        session.welcome()
        (card,) = session.hello.inventory.mig_cards
        assert card.may_be_divided is bool(flags)
        session.divide(card.uuid, 1, ("3g.40gb", 4), ("3g.40gb", 0))
        inventory = await session.next_inventory()
        assert inventory.hostname == "sim-00000"
        if not flags:
            assert "--divide-gpus" in inventory.mig_cards[0].problem
            return
        assert [gpu.gpu_type for gpu in inventory.gpus] == ["H100-3g.40gb"] * 2
        part = inventory.gpus[0].uuid
        run = pb.RunDirective(run_id=RUN, epoch=1, generation=1, want=pb.RunDirective.RUNNING)
        run.spec.command.append("train")
        run.spec.gpu_uuids.append(part)
        session.direct(run)
        await session.next_report(state=pb.RunReport.RUNNING)
        session.divide(card.uuid, 2)
        assert (await session.next_inventory()).mig_cards[0].problem == f"{part} is in use"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
