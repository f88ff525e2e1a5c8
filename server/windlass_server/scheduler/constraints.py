"""What keeps nodes from taking a job: what it asks for, and what is kept of them for others."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from windlass_server.scheduler import wording
from windlass_server.scheduler.explain import Reason
from windlass_server.scheduler.feasibility import node_label
from windlass_server.scheduler.filters import FILTERS, Dimension, Filter, Refusal, fits
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.rooms import Column, Room
from windlass_server.scheduler.snapshot import Demand, Gpu, Kept


@dataclass(frozen=True, slots=True)
class Constraint:
    """On how many nodes one thing keeps a job out.

    Attributes:
        refusal: a filter that refuses, or `RESERVED` or `WOULD_DELAY_EARLIER_JOB`: the node has what it
            takes, and that is kept for others.
        dimension: the field of the job that asks for it; None when no field does.
        empty: nodes that refuse even when nothing runs on them.
        now: nodes that refuse now, those among them.
        message: for whom it is kept, and until when, of the node that comes first; else empty.
    """

    refusal: Refusal | Reason
    dimension: Dimension | None
    empty: int
    now: int
    message: str = ""


def constraints(demand: Demand, ledger: Ledger, unsure: Collection[str]) -> Iterator[Constraint]:
    """What is in the way of a job, in the filters' order, and behind them what is kept for others.

    Args:
        demand: it.
        ledger: the nodes, with what the plan has placed.
        unsure: jobs for which something is kept though nobody knows when they will start.
    """
    for each in FILTERS:
        empty, now = (_refused(each, demand, room) for room in (ledger.full, ledger.free))
        if empty or now:
            yield Constraint(each.refusal, each.dimension, empty, now)
    yield from _kept(demand, ledger, unsure)


def _refused(one: Filter, demand: Demand, room: Room[Column]) -> int:
    available, needed = one.measure(demand, room)
    return int(np.count_nonzero(available < needed))


def _kept(demand: Demand, ledger: Ledger, unsure: Collection[str]) -> Iterator[Constraint]:
    """Nodes with room for it that have none for it when what is kept is left alone."""
    reserved, before = ledger.reserved, fits(demand, ledger.free)
    for promised, reason in ((False, Reason.RESERVED), (True, Reason.WOULD_DELAY_EARLIER_JOB)):
        after = fits(demand, reserved.view(demand, ledger.free, promised=promised))
        places = np.flatnonzero(before & ~after).tolist()
        if places:
            text = _kept_text(demand, ledger, places, unsure, promised=promised)
            yield Constraint(reason, None, 0, len(places), text)
        before = after


def _kept_text(
    demand: Demand,
    ledger: Ledger,
    places: Sequence[int],
    unsure: Collection[str],
    *,
    promised: bool,
) -> str:
    """As in `on node n1 8 H100 are kept for job-1, which is to start there at …`."""
    ways = ledger.reserved.in_the_way(demand, places, promised=promised)
    if not ways:  # what its way through the plan has left of it
        return ""
    index, begins, kept = min(ways, key=lambda each: (each[1], each[0], each[2].reservation_id))
    node = ledger.nodes[index]
    what, holder = _amount_text(kept, node.gpus), kept.reservation_id
    where = f"on {node_label(node)} {what} kept for"
    if not promised:
        until = wording.time_text(kept.until)
        since = f" from {wording.time_text(begins)} on" if begins > ledger.now else ""
        return f"{where} reservation {holder}{since}, until {until}"
    when = "nobody knows when" if holder in unsure else f"at {wording.time_text(begins)}"
    comma = "," if holder in unsure else ""
    return f"{where} {holder}, which is to start there{comma} {when}"


def _amount_text(kept: Kept, gpus: Sequence[Gpu]) -> str:
    if not kept.gpu_count:
        return f"{wording.cpu_text(kept.cpu_millis)} and {wording.memory_text(kept.memory_bytes)} of memory are"
    names = {gpu.gpu_type.casefold(): gpu.gpu_type for gpu in gpus}
    name = names.get(kept.gpu_type.casefold(), kept.gpu_type)
    verb = "is" if kept.gpu_count == 1 else "are"
    return f"{wording.gpus_text(kept.gpu_count, name)} {verb}"
