"""What jobs have held and cost so far, as the ledger of usage counts it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from windlass_server.resources.ledger import Amounts, Ledger, Window
from windlass_server.resources.prices import price_book
from windlass_server.resources.usage import span_of
from windlass_server.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class SoFar:
    """What all runs of a job have held.

    Attributes:
        held: the amounts.
        currency: of their cost; empty: there are no prices.
        incomplete: some of it has no price.
        until: up to when it is counted (µs).
    """

    held: Amounts
    currency: str
    incomplete: bool
    until: int


def costs_of(tx: Transaction, job_ids: Sequence[str], now: int) -> Mapping[str, SoFar]:
    """What jobs have cost, by their ids; those that have had no run are not in it."""
    rows = tx.usage.held_by_jobs(job_ids)
    if not rows:
        return {}
    prices = price_book(tx)
    found = {}
    for job_id, runs in groupby(rows, lambda row: str(row.holder_id)):
        spans = [span_of(run, {}) for run in runs]
        ends = [now if span.end is None else span.end for span in spans]
        window = Window(min(span.start for span in spans), max(ends))
        ledger = Ledger(window, (), prices=prices)
        ledger.add_all(spans)
        held = ledger.total().held
        found[job_id] = SoFar(held, prices.currency, bool(ledger.unpriced), window.end)
    return found
