"""Which agents are taken."""

import pytest

from windlass_server.errors import WrongState
from windlass_server.nodes.versions import agreed_protocol, check_release


@pytest.mark.parametrize(
    ("newest", "oldest", "ours", "agreed"),
    [
        (1, 0, range(1, 2), 1),
        (1, 1, range(1, 2), 1),
        (2, 1, range(1, 2), 1),  # a newer agent that still speaks ours
        (1, 0, range(1, 3), 1),  # an older agent that we still understand
        (3, 2, range(1, 3), 2),
        (3, 1, range(2, 4), 3),
    ],
)
def test_the_newest_protocol_that_both_speak_is_agreed_on(
    newest: int, oldest: int, ours: range, agreed: int
) -> None:
    assert agreed_protocol(newest, oldest, ours) == agreed


@pytest.mark.parametrize(
    ("newest", "oldest", "ours", "words"),
    [
        (
            2,
            0,
            range(1, 2),
            "speaks version 2 of the protocol, the server version 1; upgrade the server",
        ),
        (
            1,
            1,
            range(2, 4),
            "speaks version 1 of the protocol, the server versions 2 to 3; upgrade the agent",
        ),
        (9, 4, range(1, 3), "speaks versions 4 to 9"),
        (0, 0, range(1, 2), "upgrade the agent"),
        (2, 7, range(1, 2), "speaks version 2 "),  # nonsense: older than its newest
    ],
)
def test_without_a_common_protocol_both_are_named_and_who_must_be_upgraded(
    newest: int, oldest: int, ours: range, words: str
) -> None:
    with pytest.raises(WrongState, match=words) as refused:
        agreed_protocol(newest, oldest, ours)
    assert refused.value.reason == "PROTOCOL_VERSION_UNSUPPORTED"


@pytest.mark.parametrize("agent", ["1.4.0", "1.3.9", "1.5.0", "1.5.0rc1", "1.4", "1.5.dev3+g1", ""])
def test_an_agent_of_a_release_beside_ours_is_taken(agent: str) -> None:
    check_release(agent, "1.4.2")


@pytest.mark.parametrize("version", ["", "unknown", "v1", "1", "٣.٤"])
def test_a_release_that_cannot_be_read_is_left_to_the_protocol(version: str) -> None:
    check_release(version, "9.9.9")
    check_release("9.9.9", version)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("1.2.9", "agent is windlass 1.2.9, the server 1.4.2.* upgrade the agent"),
        ("1.6.0", "upgrade the server"),
        ("2.4.0", "upgrade the server"),
        ("0.4.2", "upgrade the agent"),
    ],
)
def test_an_agent_further_away_is_told_who_must_be_upgraded(agent: str, words: str) -> None:
    with pytest.raises(WrongState, match=words) as refused:
        check_release(agent, "1.4.2")
    assert refused.value.reason == "AGENT_VERSION_UNSUPPORTED"
