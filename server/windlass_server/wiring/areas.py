"""Second stage: the areas, each given the ones that it builds on."""

from dataclasses import dataclass

from windlass_server.wiring.foundation import Foundation
from windlass_server.wiring.identity import Identity, establish_identity
from windlass_server.wiring.inventory import Inventory, take_inventory
from windlass_server.wiring.jobs import Jobs, provide_jobs
from windlass_server.wiring.resources import Capacity, Nodes, admit_nodes, offer_capacity


@dataclass(frozen=True, slots=True)
class Areas:
    """The services, by area."""

    identity: Identity
    inventory: Inventory
    jobs: Jobs
    capacity: Capacity
    nodes: Nodes


async def open_areas(on: Foundation) -> Areas:
    """Who calls, what there is to run on, what runs, what is given out, and the nodes of it all."""
    identity = await establish_identity(on)
    inventory = take_inventory(on)
    jobs = provide_jobs(on, identity, inventory)
    capacity = await offer_capacity(on, identity, inventory)
    nodes = admit_nodes(on, identity, inventory, jobs, capacity)
    return Areas(identity, inventory, jobs, capacity, nodes)
