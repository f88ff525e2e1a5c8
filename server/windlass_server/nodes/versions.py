"""Which agents a server takes: by the protocol that they speak, and by their release.

Within one minor release the server and its agents may be upgraded one after the other, in any order.
Beyond that nobody has tried whether they understand each other, and they are told so.
"""

import re

from windlass_server.errors import WrongState

PROTOCOLS = range(1, 2)
"""The versions of the agents' protocol that this server speaks."""
MINORS_APART = 1
_RELEASE = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\D.*)?", re.ASCII)


def agreed_protocol(newest: int, oldest: int, ours: range = PROTOCOLS) -> int:
    """The newest version that both speak.

    Args:
        newest: what the agent speaks at most.
        oldest: and at least; 0 for nothing older.
        ours: what the server speaks.

    Raises:
        WrongState: PROTOCOL_VERSION_UNSUPPORTED: there is none.
    """
    theirs = range(min(oldest or newest, newest), newest + 1)
    version = min(newest, ours[-1])
    if version in ours and version in theirs:
        return version
    text = (
        f"the agent speaks {_words(theirs)} of the protocol, the server {_words(ours)}; "
        f"upgrade {'the server' if newest > ours[-1] else 'the agent'}"
    )
    supported = ",".join(map(str, ours))
    reason = "PROTOCOL_VERSION_UNSUPPORTED"
    raise WrongState(text, reason=reason, subject="agent", supported=supported)


def check_release(agent: str, server: str) -> None:
    """Refuse an agent whose release is too far from the server's; one that tells none is taken.

    Raises:
        WrongState: AGENT_VERSION_UNSUPPORTED.
    """
    theirs, ours = _release(agent), _release(server)
    if theirs is None or ours is None:
        return
    if theirs[0] == ours[0] and abs(theirs[1] - ours[1]) <= MINORS_APART:
        return
    older = "agent" if theirs < ours else "server"
    text = (
        f"the agent is windlass {agent[:64]}, the server {server}: they may be one minor release "
        f"apart; upgrade the {older}"
    )
    reason = "AGENT_VERSION_UNSUPPORTED"
    raise WrongState(text, reason=reason, subject="agent", server_version=server)


def _release(version: str) -> tuple[int, int] | None:
    found = _RELEASE.fullmatch(version)
    return None if found is None else (int(found[1]), int(found[2]))


def _words(versions: range) -> str:
    first, last = versions[0], versions[-1]
    return f"version {last}" if first == last else f"versions {first} to {last}"
