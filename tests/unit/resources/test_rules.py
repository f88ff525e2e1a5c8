"""What of a node is free."""

from hypothesis import given
from hypothesis import strategies as st

from windlass_server.resources.rules import free


@given(st.integers(0, 100), st.integers(0, 100))
def test_what_is_free_is_never_negative(has: int, held: int) -> None:
    assert free(has, held) == (has - held if held < has else 0)
