"""In which order waiting jobs are considered. Pure, and the same in whatever order they come.

1. **Band.** A job's priority, raised by its age as far as the policy says, is in a band: of a priority class, or
   each priority is one by itself. A higher band always comes first.
2. **Fair share**, within a band: of the projects the one comes next that has least for its weight, of its
   users the one that has least for his, of his jobs the one of the highest priority, then the oldest.
   What somebody has is what he had lately and holds now (`fair_share.py`), and all his jobs
   that stand in front: as if each of them got its place. So a project with a long queue does not stand in
   front of all others, and nobody waits for more than the others' shares of the plan.
3. **Submission**, then the job's id, where all this is the same.

Everything is sorted by arrays: who has least is who comes first by a key that only grows along each queue, as
in start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), so no step by step choice is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from windlass_server.scheduler.fair_share import (
    GPU,
    Account,
    Integers,
    Shares,
    by_project,
    charges,
    part_of_card,
)
from windlass_server.scheduler.policies import LOWEST_BAND, FairShare, Policies, Settings
from windlass_server.scheduler.snapshot import WHOLE, Demand, Snapshot

Floats: TypeAlias = npt.NDArray[np.float64]

_BY_SUBMISSION = attrgetter("order", "job_id")
_KIND = attrgetter("queue", "pools", "project", "user")


class _Columns(NamedTuple):
    """Of each job, in the order of submission; realms, projects and accounts are numbers.

    Attributes:
        realm: jobs of one realm share by the same rules.
        project: of a realm.
        account: a user of such a project.
        band: the lowest priority of the band.
        priority: with what waiting has added.
        cost: what it would hold, in millionths of a GPU.
    """

    realm: Integers
    project: Integers
    account: Integers
    band: Integers
    priority: Integers
    cost: Integers


@dataclass(slots=True)
class _Level:
    """Those among whom is shared on one level of the tree, by number: what they have, and their weights."""

    had: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    numbers: dict[object, int] = field(default_factory=dict)

    def number(self, of: object, had: float, weight: float) -> int:
        """The number of one of them, who is new with these."""
        found = self.numbers.setdefault(of, len(self.had))
        if found == len(self.had):
            self.had.append(had)
            self.weights.append(weight)
        return found


@dataclass(slots=True)
class _Tree:
    """Realms, their projects, and the users of these, as far as they have jobs that wait."""

    shares: Shares
    realms: _Level = field(default_factory=_Level)
    projects: _Level = field(default_factory=_Level)
    accounts: _Level = field(default_factory=_Level)
    _rules: list[FairShare] = field(default_factory=list)
    _had: dict[int, tuple[dict[Account, float], dict[str, float]]] = field(default_factory=dict)

    def place(self, rules: FairShare, project: str, user: str) -> tuple[int, int, int]:
        """Numbers of the realm, project and account that a job is of."""
        if not rules.enabled:
            rules, project, user = _NOT_SHARED, "", ""
        if rules not in self._rules:
            self._rules.append(rules)
        realm = self.realms.number(self._rules.index(rules), 0.0, 1.0)
        accounts, projects = self._had_by(rules)
        return (
            realm,
            self.projects.number(
                (realm, project), projects.get(project, 0.0), rules.of_project(project)
            ),
            self.accounts.number(
                (realm, project, user),
                accounts.get((project, user), 0.0),
                rules.of_user(project, user),
            ),
        )

    def _had_by(self, rules: FairShare) -> tuple[dict[Account, float], dict[str, float]]:
        known = self._had.get(rules.half_life)
        if known is None:
            accounts = self.shares.of(rules.half_life) if rules.enabled else {}
            known = self._had[rules.half_life] = accounts, by_project(accounts)
        return known


# One queue of everybody's jobs. No time is as short as this, so it shares no memory with others.
_NOT_SHARED = FairShare(enabled=False, half_life=0)


def in_turn(snapshot: Snapshot) -> list[Demand]:
    """The queue in the order in which its jobs are considered."""
    queue = sorted(snapshot.queue, key=_BY_SUBMISSION)
    if len(queue) < 2:
        return queue
    tree = _Tree(snapshot.shares)
    columns = _columns(queue, snapshot, tree)
    turn = _turns(columns, columns.account, -columns.priority, tree.accounts)
    turn = _turns(columns, columns.project, turn, tree.projects)
    if len(tree.realms.had) > 1:
        turn = _turns(columns, columns.realm, turn, tree.realms)
    # Stable, so that the rest is by submission.
    order = np.lexsort((turn, -columns.band))
    return [queue[index] for index in order.tolist()]


def half_lives_of(queue: Sequence[Demand], policies: Policies) -> frozenset[int]:
    """By which half-lives (µs) it has to be known what owners had; none when no two of them share."""
    owners: dict[int, set[Account]] = {}
    for name, pools, project, user in set(map(_KIND, queue)):
        rules = policies.of_job(name, pools).fair_share
        if rules.enabled:
            owners.setdefault(rules.half_life, set()).add((project, user))
    return frozenset(half_life for half_life, those in owners.items() if len(those) > 1)


def _turns(columns: _Columns, whose: Integers, inner: Integers | Floats, level: _Level) -> Floats:
    """What each job's owner has for his weight when its turn comes: the least is next.

    Args:
        columns: of the jobs.
        whose: the number of each job's owner on this level.
        inner: in which order his jobs come within a band.
        level: the owners.
    """
    order = np.lexsort((inner, -columns.band, whose))
    owners, cost = whose[order], columns.cost[order]
    ahead = np.cumsum(cost) - cost
    first = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    ahead -= np.repeat(ahead[first], np.diff(np.r_[first, len(owners)]))
    turns = np.empty(len(order))
    turns[order] = (np.array(level.had)[owners] + ahead) / np.array(level.weights)[owners]
    return turns


def _columns(queue: Sequence[Demand], snapshot: Snapshot, tree: _Tree) -> _Columns:
    numbers: dict[tuple[str, tuple[str, ...] | None, str, str], int] = {}
    kind = np.array(
        [numbers.setdefault(each, len(numbers)) for each in map(_KIND, queue)], np.int64
    )
    settings: dict[tuple[str, tuple[str, ...] | None], tuple[int, Settings]] = {}
    places = np.empty((len(numbers), 4), np.int64)
    for (name, pools, project, user), number in numbers.items():
        if (name, pools) not in settings:
            rules = snapshot.policies.of_job(name, pools)
            settings[name, pools] = len(settings), rules
        index, rules = settings[name, pools]
        places[number] = (index, *tree.place(rules.fair_share, project, user))
    which, realm, project_number, account = places[kind].T
    priority, band = _priorities(
        queue, snapshot.now, which, [each for _, each in settings.values()]
    )
    return _Columns(realm, project_number, account, band, priority, _costs(queue))


def _priorities(
    queue: Sequence[Demand], now: int, which: Integers, settings: Sequence[Settings]
) -> tuple[Integers, Integers]:
    """Each job's priority with what its age adds, and the band that it is in by that."""
    priority = _numbers(queue, "priority")
    since = np.maximum(_numbers(queue, "submitted_at"), _numbers(queue, "start_after"))
    age = np.where(since > 0, np.maximum(now - since, 0), 0)
    band = priority.copy()
    for index, each in enumerate(settings):
        if not each.classes and not each.aging.boost:
            continue
        mine = which == index
        over = each.aging.over
        # As `Aging.gained` and `Settings.band` for one.
        raised = priority[mine] + each.aging.boost * np.minimum(age[mine], over) // over
        priority[mine] = band[mine] = raised
        if each.classes:
            starts = np.array([LOWEST_BAND, *(one.priority for one in each.classes)])
            band[mine] = starts[np.searchsorted(starts, raised, side="right") - 1]
    return priority, band


def _costs(queue: Sequence[Demand]) -> Integers:
    """What each job would hold, as `charge` has it."""
    shared = _numbers(queue, "gpu_millis")
    gpus = _numbers(queue, "gpu_count") * np.where(shared > 0, shared * (GPU // WHOLE), GPU)
    for index, demand in enumerate(queue):
        if demand.mig_profile:
            gpus[index] = demand.gpu_count * part_of_card(demand.mig_profile)
    each = charges(gpus, _numbers(queue, "cpu_millis"), _numbers(queue, "memory_bytes"))
    return each * _numbers(queue, "nodes")


def _numbers(queue: Sequence[Demand], name: str) -> Integers:
    return np.fromiter(map(attrgetter(name), queue), np.int64, len(queue))
