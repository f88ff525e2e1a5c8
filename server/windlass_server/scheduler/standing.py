"""How projects and users stand to each other: what `order.py` goes by, to be shown. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from windlass_server.scheduler.fair_share import Account, Shares, by_project, jain_index
from windlass_server.scheduler.policies import FairShare


@dataclass(frozen=True, slots=True)
class Standing:
    """A project, or with a `user` one of its users.

    Attributes:
        weight: among its siblings.
        lately: what it held on average, by the half-life, in millionths of a GPU.
        now: what it holds, in the same.
        share: of what all have, 0 to 1.
        entitled: its part by weight of those that are listed, 0 to 1.
        rank: 1 has its turn first; of projects among projects, of users among all users.
    """

    project: str
    user: str
    weight: float
    lately: float
    now: int
    share: float
    entitled: float
    rank: int


@dataclass(frozen=True, slots=True)
class Standings:
    """Projects by rank, each followed by its users by rank; and how evenly by weight they have, 1 at best."""

    all: tuple[Standing, ...]
    evenness: float


def standings(shares: Shares, rules: FairShare, waiting: Collection[Account]) -> Standings:
    """Everybody who had, has or waits for something.

    Args:
        shares: what they had and have.
        rules: by which they share.
        waiting: whose jobs wait.
    """
    had = shares.of(rules.half_life)
    accounts = sorted({*had, *waiting})
    had = {account: had.get(account, 0.0) for account in accounts}
    own_of = {project: [*own] for project, own in groupby(accounts, key=itemgetter(0))}
    totals = by_project(had)
    everything = sum(totals.values()) or 1.0
    weights = {project: rules.of_project(project) for project in totals}
    all_weights = sum(weights.values())
    found, users = list[Standing](), 0
    in_turn = _in_turn(totals, weights)
    for rank, project in enumerate(in_turn, 1):
        entitled = weights[project] / all_weights
        own = own_of[project]
        found.append(
            _standing(project, "", weights[project], shares, rules, own, everything, entitled, rank)
        )
        of_users = {user: rules.of_user(project, user) for _, user in own}
        for user in _in_turn({user: had[project, user] for _, user in own}, of_users):
            users += 1
            part = entitled * of_users[user] / sum(of_users.values())
            account = [(project, user)]
            found.append(
                _standing(
                    project, user, of_users[user], shares, rules, account, everything, part, users
                )
            )
    evenness = jain_index(totals[project] / weights[project] for project in in_turn)
    return Standings(tuple(found), evenness)


def _in_turn(had: Mapping[str, float], weights: Mapping[str, float]) -> list[str]:
    """Siblings, the one first that has least for its weight; equals by name."""
    return sorted(had, key=lambda name: (had[name] / weights[name], name))


def _standing(
    project: str,
    user: str,
    weight: float,
    shares: Shares,
    rules: FairShare,
    own: Sequence[Account],
    everything: float,
    entitled: float,
    rank: int,
) -> Standing:
    """How somebody stands who has what these accounts have, of everything."""
    lately = shares.lately.get(rules.half_life, {})
    had = sum(lately.get(account, 0.0) for account in own)
    now = sum(shares.now.get(account, 0) for account in own)
    share = (had + now) / everything
    return Standing(project, user, weight, had, now, share, entitled, rank)
