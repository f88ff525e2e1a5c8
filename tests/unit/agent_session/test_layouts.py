"""What the server wants of cards is carried out, each will once, and its end is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest

from tests.support.fake_agent_clock import FakeAgentClock
from tests.support.fake_runner import FakeRunner
from windlass.agents.v1 import agent_pb2 as pb
from windlass.agents.v1 import agents_service_pb2 as service_pb
from windlass.agents.v1 import mig_pb2
from windlass_agent.config import load_config
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.inventory import inventory_of, with_devices
from windlass_agent.layouts import Layouts, held_by
from windlass_agent.option_values import simulated_gpus
from windlass_agent.run_types import Isolation, RunRequest
from windlass_agent.session import ControlSession, Outbox
from windlass_server.rpc.validation import Validation

T = TypeVar("T")
RULES = Validation()
RUN = "run-01jh0000000000000000000001"


class Node:
    """Two simulated cards; orders are carried out while `may_go` is set."""

    def __init__(self, *, allowed: bool = True) -> None:
        self.gpus = SimulatedGpus(simulated_gpus("2xH100"), b"n", FakeAgentClock().monotonic)
        self.card = self.gpus.devices()[0].uuid
        self.held: set[str] = set()
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.told = 0
        self.layouts = Layouts(
            self.gpus, lambda: self.held, self.on_thread, self.tell, allowed=allowed
        )

    async def on_thread(self, work: Callable[[], T]) -> T:
        await self.may_go.wait()
        return work()

    def tell(self) -> None:
        self.told += 1

    def want(self, generation: int, *places: tuple[str, int]) -> None:
        instances = [mig_pb2.MigPlacement(profile=name, memory_start=at) for name, at in places]
        order = mig_pb2.LayoutDirective(
            card_uuid=self.card, generation=generation, instances=instances
        )
        self.layouts.want(order)

    async def rest(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def types(self) -> list[str]:
        return [device.gpu_type for device in self.gpus.devices()]


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node()
    yield made
    await made.layouts.close()


async def test_an_order_is_carried_out_and_told(node: Node) -> None:
    node.want(1, ("3g.40gb", 4), ("1g.10gb", 0))
    await node.rest()
    assert node.types() == ["H100-3g.40gb", "H100-1g.10gb", "H100"]
    assert (node.layouts.outcome(node.card), node.told) == ((1, ""), 1)
    node.want(2)
    await node.rest()
    assert node.types() == ["H100", "H100"]
    assert (node.layouts.outcome(node.card), node.told) == ((2, ""), 2)


async def test_an_order_that_was_carried_out_is_answered_again_and_an_older_one_is_not(
    node: Node,
) -> None:
    node.want(5, ("1g.10gb", 0))
    await node.rest()
    node.held = {gpu.uuid for gpu in node.gpus.devices()}
    node.want(5)  # the same will: it is not looked at what it says
    node.want(4)
    await node.rest()
    assert (node.types(), node.told) == (["H100-1g.10gb", "H100"], 2)
    assert node.layouts.outcome(node.card) == (5, "")


async def test_of_orders_that_wait_only_the_newest_counts(node: Node) -> None:
    node.may_go.clear()
    node.want(1, ("1g.10gb", 0))
    await node.rest()
    node.want(2, ("7g.80gb", 0))
    node.want(3, ("2g.20gb", 0))
    node.want(1, ("1g.10gb", 0))  # heard again while it is being done
    node.may_go.set()
    await node.rest()
    assert node.types() == ["H100-2g.20gb", "H100"]
    assert (node.layouts.outcome(node.card), node.told) == ((3, ""), 2)


async def test_what_cannot_be_done_is_told_and_a_later_order_is_tried(node: Node) -> None:
    node.held = {node.card}
    node.want(1, ("1g.10gb", 0))
    await node.rest()
    assert node.layouts.outcome(node.card) == (1, f"{node.card} is in use")
    node.held = set()
    node.want(2, ("1g.10gb", 0))
    await node.rest()
    assert node.layouts.outcome(node.card) == (2, "")


async def test_an_agent_that_may_not_divide_says_so() -> None:
    node = Node(allowed=False)
    node.want(1, ("1g.10gb", 0))
    await node.rest()
    assert node.types() == ["H100", "H100"]
    assert "--divide-gpus" in node.layouts.outcome(node.card)[1]


async def test_nothing_is_begun_after_the_end(node: Node) -> None:
    node.may_go.clear()
    node.want(1, ("1g.10gb", 0))
    await node.rest()
    await node.layouts.close()
    node.may_go.set()
    await node.rest()
    assert (node.types(), node.told) == (["H100", "H100"], 0)


async def test_an_inventory_tells_the_cards_and_keeps_to_the_rules(node: Node) -> None:
    config = load_config(["--server", "a:1", "--divide-gpus"], {})
    made = inventory_of(config, node.gpus, Isolation(), "1")
    assert [(card.may_be_divided, card.generation) for card in made.mig_cards] == [(True, 0)] * 2
    node.want(3, ("4g.40gb", 0), ("1g.20gb", 6))
    await node.rest()
    node.held = {node.gpus.devices()[0].uuid}
    node.want(4)
    await node.rest()
    now = with_devices(made, node.gpus, may_divide=True, outcome=node.layouts.outcome)
    first, second = now.mig_cards
    assert (first.divided, first.generation, second.generation) == (True, 4, 0)
    assert first.problem.endswith("is in use")
    assert [gpu.gpu_type for gpu in now.gpus] == ["H100-4g.40gb", "H100-1g.20gb", "H100"]
    assert now.cpu_millis == made.cpu_millis
    profile = {one.name: one for one in first.profiles}["1g.20gb"]
    assert (profile.compute_slices, profile.memory_slices) == (1, 2)
    assert list(profile.memory_starts) == [6, 4, 2, 0]
    for inventory in (made, now):
        message = pb.AgentMessage(inventory=inventory)
        RULES.check(service_pb.OpenSessionRequest(message=message))
    plain = load_config(["--server", "a:1"], {})
    shown = inventory_of(plain, node.gpus, Isolation(), "1").mig_cards
    assert [card.may_be_divided for card in shown] == [False, False]


async def test_a_session_hands_the_orders_on_and_tells_the_devices_before_what_is_said_of_them(
    node: Node,
) -> None:
    session = ControlSession(desired=None, divider=node.layouts)  # type: ignore[arg-type]
    order = mig_pb2.LayoutDirective(card_uuid=node.card, generation=1)
    session.on(pb.ServerMessage(layout=order), 0.0)
    await node.rest()
    assert node.layouts.outcome(node.card) == (1, "")
    outbox = Outbox()
    outbox.put(pb.RunReport(run_id=RUN))
    for name in ("before", "now"):
        outbox.put_inventory(pb.Inventory(hostname=name))
    first, second = outbox.take()
    assert (first.inventory.hostname, second.run_report.run_id) == ("now", RUN)
    assert outbox.take() == []


async def test_a_run_holds_its_devices_until_it_has_ended() -> None:
    runner = FakeRunner()
    await runner.run(RunRequest(RUN, 1, ("true",), gpu_uuids=("SIM-1", "SIM-2")))
    assert held_by(runner) == {"SIM-1", "SIM-2"}
    runner.end(RUN)
    assert held_by(runner) == frozenset()
