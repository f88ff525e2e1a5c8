"""How projects and users stand to each other: what `order.py` goes by, to be shown. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

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
    lately = shares.lately.get(rules.half_life, {})
    had = shares.of(rules.half_life)
    accounts = {*had, *waiting}
    projects = {
        project: sorted(user for other, user in accounts if other == project)
        for project in {project for project, _ in accounts}
    }
    totals = by_project({account: had.get(account, 0.0) for account in accounts})
    everything = sum(totals[project] for project in sorted(totals)) or 1.0
    weights = {project: rules.of_project(project) for project in projects}
    found = list[Standing]()
    users_before = 0
    in_turn = _in_turn(totals, weights)
    for rank, project in enumerate(in_turn, 1):
        entitled = weights[project] / sum(weights.values())
        own = [(project, user) for user in projects[project]]
        found.append(
            Standing(
                project,
                "",
                weights[project],
                sum(lately.get(account, 0.0) for account in own),
                sum(shares.now.get(account, 0) for account in own),
                totals[project] / everything,
                entitled,
                rank,
            )
        )
        user_weights = {user: rules.of_user(project, user) for _, user in own}
        of_users = {user: had.get((project, user), 0.0) for _, user in own}
        for place, user in enumerate(_in_turn(of_users, user_weights), 1):
            account = project, user
            found.append(
                Standing(
                    project,
                    user,
                    user_weights[user],
                    lately.get(account, 0.0),
                    shares.now.get(account, 0),
                    of_users[user] / everything,
                    entitled * user_weights[user] / sum(user_weights.values()),
                    users_before + place,
                )
            )
        users_before += len(own)
    evenness = jain_index(totals[project] / weights[project] for project in in_turn)
    return Standings(tuple(found), evenness)


def _in_turn(had: Mapping[str, float], weights: Mapping[str, float]) -> list[str]:
    """Siblings, the one first that has least for its weight; equals by name."""
    return sorted(had, key=lambda name: (had[name] / weights[name], name))
