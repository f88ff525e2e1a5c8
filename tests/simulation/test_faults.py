"""A site in which everything breaks that can, as a seed has it: what must hold, holds after each event.

A failure names its seed; `make test-faults ARGS="--seeds 1 --first-seed N"` plays it again.
"""

import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.charged import require_right
from tests.support.fake_clock import START
from tests.support.held_meter import sums
from tests.support.jobs import add_projects
from tests.support.quotas import require_counted
from tests.support.simulated_site import Site
from tests.support.site_life import MOST_ON_ONE_NODE, Life
from windlass.agents.v1.health_pb2 import NodeHealth
from windlass_server.jobs.states import FINAL, Status
from windlass_server.resources.gpu_health import Health
from windlass_server.resources.maintenance import State
from windlass_server.resources.usage import UsageQuery
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

# Jobs that may share a GPU.
MOST_SHARERS = 3
# Of what owners had lately (µs): some of it is forgotten within a life, and ten of them are longer than that.
HALF_LIFE = 900_000_000
pytestmark = pytest.mark.usefixtures("acting")


async def require_physics(site: Site) -> None:
    """No card gives more than it has, no job runs twice, and no node is called empty that is not."""
    ranks: Counter[tuple[str, int]] = Counter()
    attempts: dict[str, set[int]] = {}
    for node in site.nodes:
        there = {one.uuid for one in node.gpus.devices()}
        cards: Counter[str] = Counter()
        for process in node.living:
            cards.update(dict.fromkeys(process.gpus, process.gpu_millis))
            assert there.issuperset(process.gpus), f"{node.name} has divided a GPU that is in use"
            ranks[process.job_id, process.rank] += 1
            attempts.setdefault(process.job_id, set()).add(process.epoch)
        assert max(cards.values(), default=0) <= 1000, f"{node.name} has given a GPU to too many"
        if (await site.node(node.node_id)).maintenance == State.DRAINED:
            assert not node.living, f"{node.name} is DRAINED, and something runs on it"
    assert max(ranks.values(), default=1) == 1, "a job runs twice"
    assert all(len(those) == 1 for those in attempts.values()), "two attempts of a job run"


def _holders(tx: Transaction, node_id: str) -> list[Any]:
    """What holds a part of a node: active runs and allocations."""
    runs = [tx.runs.get(one.run_id) for one in tx.runs.active_on([node_id])]
    some = [tx.allocations.get(one.allocation_id) for one in tx.allocations.active_on([node_id])]
    return [*runs, *some]


def _alone(holder: Any) -> list[str]:
    """The GPUs that are a holder's alone."""
    return holder.gpu_uuids.split(",") if holder.gpu_uuids and not holder.gpu_millis else []


async def require_books(site: Site) -> None:
    """What the database says is held is what active runs and allocations hold, each once."""
    rows, claims = await site.database.read(lambda tx: (tx.nodes.all(), tx.nodes.all_claims()))
    for node in rows:
        holders = await site.database.read(lambda tx, one=node.node_id: _holders(tx, one))
        wanted = Counter(uuid for one in holders for uuid in _alone(one))
        here = [one for one in claims if one.node_id == node.node_id]
        changing = await site.database.read(lambda tx, one=node.node_id: tx.layouts.pending(one))
        assert {one.layout for one in here if one.layout} <= {one.card_uuid for one in changing}
        here = [one for one in here if not one.layout]
        held = Counter(one.gpu_uuid for one in here if one.shared_millis is None)
        assert wanted == held
        assert max(wanted.values(), default=1) == 1
        shares = Counter({one.gpu_uuid: 0 for one in here if one.shared_millis is not None})
        for one in holders:
            shares.update(dict.fromkeys([one.gpu_uuids], one.gpu_millis) if one.gpu_millis else {})
        assert shares == {one.gpu_uuid: one.shared_millis for one in here if one.shared_millis}
        assert max(shares.values(), default=0) <= 1000
        sharers = Counter(one.gpu_uuids for one in holders if one.gpu_millis)
        assert max(sharers.values(), default=0) <= MOST_SHARERS
        assert node.cpu_held == sum(one.cpu_millis for one in holders) <= node.cpu_millis


async def require_reasons(site: Site) -> None:
    """Every job has ended, has runs that hold its place, or waits with a reason."""
    for job_id in site.jobs:
        job = await site.job(job_id)
        assert job.status_reason, job_id
        assert job.status_message, job_id
        runs = await site.runs_of(job)
        active = any(run.active for run in runs)
        assert active == (job.status in (Status.SCHEDULED, Status.RUNNING, Status.CANCELLING))
        if job.status in FINAL:
            assert job.created_at <= job.ended_at


async def require_all_ranks_or_none(site: Site) -> None:
    """Each attempt has as many runs as its job makes do with, each on a node of its own."""
    for job_id in site.jobs:
        job = await site.job(job_id)
        runs = await site.runs_of(job)
        assert not runs or job.min_nodes <= len(runs) <= job.nodes
        assert [run.rank for run in runs] == [*range(len(runs))]
        assert len({run.node_id for run in runs}) == len(runs)
        if job.status == Status.RUNNING and job.verdict is None:
            assert all(run.started_at is not None for run in runs)


async def require_alone(site: Site) -> None:
    """Nothing is beside a job that has its node alone."""
    for node in await site.database.read(lambda tx: tx.nodes.all()):
        holders = await site.database.read(lambda tx, one=node.node_id: _holders(tx, one))
        jobs = [await site.job(one.job_id) for one in holders if hasattr(one, "job_id")]
        alone = any(job.exclusive for job in jobs)
        assert node.exclusive == alone
        assert not alone or len(holders) == 1


async def require_apart(site: Site) -> None:
    """Of those that are spread together no more are on one node than may be."""
    group = f"apart {MOST_ON_ONE_NODE}"
    counts = await site.database.read(lambda tx: tx.runs.in_groups([group]))
    assert max(counts.get(group, {}).values(), default=0) <= MOST_ON_ONE_NODE


async def require_order(site: Site) -> None:
    """Nothing has begun before its time, or before what it waits for had come."""
    for job_id in site.jobs:
        job = await site.job(job_id)
        if not job.attempt:
            continue
        unmet = await site.database.read(lambda tx, one=job_id: tx.dependencies.unmet([one]))
        assert not unmet, job_id
        (first, *_) = await site.database.read(lambda tx, one=job_id: tx.runs.of_job(one))
        assert first.created_at >= job.start_after


async def require_promises(site: Site) -> None:
    """Who is held back for another is told for whom, and that is a job that was submitted too."""
    for job_id in site.jobs:
        job = await site.job(job_id)
        if job.status == Status.QUEUED and job.status_reason == "WOULD_DELAY_EARLIER_JOB":
            # Behind it may stand for whom it was stopped before.
            other, *_ = re.findall(r"job-\w+", job.status_message)
            assert other != job_id
            assert other in site.jobs


async def require_right_preemptions(site: Site) -> None:
    """Who was stopped for another had a lower priority, or had borrowed, and let it be done with him."""
    rows = await site.database.read(lambda tx: tx.preemptions.since(0))
    for row in rows:
        job = await site.job(row.job_id)
        assert job.preemptible
        asked = job.priority if job.asked_priority is None else job.asked_priority
        assert asked <= row.for_priority


async def require_kept_places(site: Site) -> None:
    """Nodes are kept for jobs of several alone for which others were stopped: as many as it makes do with."""
    places = await site.database.read(lambda tx: tx.preemptions.places())
    rows = await site.database.read(lambda tx: tx.preemptions.kept())
    assert places.keys() <= {row.for_job_id for row in rows}
    for job_id, nodes in places.items():
        assert 1 < len(nodes) == (await site.job(job_id)).min_nodes


async def require_no_place_is_kept(site: Site) -> None:
    """When nobody waits any more, nothing is kept for anybody."""
    assert await site.database.read(lambda tx: tx.preemptions.kept()) == []
    assert await site.database.read(lambda tx: tx.preemptions.places()) == {}


async def require_progress(site: Site) -> None:
    """What begins with a checkpoint begins where one was saved, and never before an older one."""
    for node in site.nodes:
        for process in node.living:
            saved = site.saved.get(process.job_id, [])
            if (await site.job(process.job_id)).nodes == 1:
                assert process.restored_at == (saved[-1] if saved else 0.0)


async def require_new_runs_are_well(site: Site, before: set[str]) -> set[str]:
    """No GPU is given away that is known to be broken; returns the runs that there are."""
    runs = set()
    for node in await site.database.read(lambda tx: tx.nodes.all()):
        cards = NodeHealth.FromString(node.health).gpus
        bad = {card.uuid for card in cards if card.health != Health.HEALTHY}
        for one in await site.database.read(lambda tx, one=node.node_id: _holders(tx, one)):
            if hasattr(one, "run_id"):
                runs.add(one.run_id)
                if one.run_id not in before:
                    assert not bad.intersection(one.gpu_uuids.split(","))
    return runs


async def require_ledger(site: Site) -> None:
    """The ledger says of each node what was held of it."""
    rows = (await site.usage.get(ADMIN, UsageQuery(group_by=("node_id",), start=START))).rows()
    assert sums(rows) == +site.meter.sums


async def test_whatever_breaks_nothing_is_lost_doubled_or_left_without_a_reason(
    database: Database, tmp_path: Path, seed: int, steps: int
) -> None:
    random = Random(seed)
    site = await Site.start(database, tmp_path)
    site.open(tmp_path, random)
    await database.write(lambda tx: add_projects(tx, "other"))
    await site.share_gpus(MOST_SHARERS)
    for number, gpus in enumerate([4, 4, 2]):
        await site.add_machine(f"n{number}", gpus)
    life = Life(site, random)
    await life.policy()
    try:
        runs: set[str] = set()
        for _ in range(steps):
            await life.next()
            runs = await require_new_runs_are_well(site, runs)
            await require_physics(site)
            await require_books(site)
            await require_reasons(site)
            await require_all_ranks_or_none(site)
            await require_alone(site)
            await require_apart(site)
            await require_order(site)
            await require_promises(site)
            await require_right_preemptions(site)
            await require_kept_places(site)
            await require_counted(site.database)
            await require_progress(site)
            await require_right(site, site.recent, HALF_LIFE)
        await require_ledger(site)
        await life.settle()
        assert await life.unfinished() == {}
        await require_physics(site)
        await require_ledger(site)
        await site.duties()
        await require_no_place_is_kept(site)
    except AssertionError as error:
        error.add_note(f"seed {seed}; what happened: {', '.join(life.happened)}")
        raise
    finally:
        await site.close()
