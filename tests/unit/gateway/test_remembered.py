import pytest

from windlass_server.gateway.remembered import Memory


class Making:
    """Makes text of bytes and notes of which."""

    def __init__(self):
        self.asked = []

    def __call__(self, message):
        self.asked.append(message)
        if message == b"bad":
            raise ValueError("bad")
        return message.decode()


@pytest.fixture
def making():
    return Making()


def test_what_was_made_is_not_made_again(making):
    remembered = Memory(1 << 20).remember(making, len)
    assert [remembered(b"a"), remembered(b"b"), remembered(b"a")] == ["a", "b", "a"]
    assert making.asked == [b"a", b"b"]


def test_what_makes_nothing_is_kept_too():
    making = Making()
    remembered = Memory(1 << 20).remember(making, len)
    assert [remembered(b""), remembered(b"")] == ["", ""]
    assert making.asked == [b""]


def test_what_could_not_be_made_is_tried_again(making):
    remembered = Memory(1 << 20).remember(making, len)
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            remembered(b"bad")
    assert making.asked == [b"bad"] * 2


def test_large_messages_are_not_kept(making):
    remembered = Memory(1 << 20).remember(making, len)
    for _ in range(2):
        remembered(b"x" * 20_000)
    assert len(making.asked) == 2


def test_what_is_asked_for_again_and_again_stays(making):
    remembered = Memory(10_000).remember(making, len)
    for number in range(500):
        remembered(b"hot")
        remembered(b"%d" % number)
    assert making.asked.count(b"hot") == 1


def test_what_is_held_is_bounded_over_all(making):
    memory = Memory(10_000)
    several = [memory.remember(making, len) for _ in range(5)]
    for number in range(2000):
        several[number % 5](b"%d" % number)
    assert sum(len(each._young) + len(each._old) for each in several) <= 10_000 // 256


def test_the_same_bytes_of_different_types_are_different(making):
    memory = Memory(1 << 20)
    one, other = memory.remember(making, len), memory.remember(len, lambda size: size)
    assert (one(b"ab"), other(b"ab")) == ("ab", 2)
