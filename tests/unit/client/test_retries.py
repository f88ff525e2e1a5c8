import pytest

from windlass_client import errors
from windlass_client.retries import Deadline, RetryPolicy, is_resumable, is_transient


def policy(random: float, **values) -> RetryPolicy:
    return RetryPolicy(random=lambda: random, **values)


@pytest.mark.parametrize(
    ("failures", "lowest", "highest"),
    [(1, 0.05, 0.1), (2, 0.1, 0.2), (3, 0.2, 0.4), (10, 2.5, 5.0), (10_000, 2.5, 5.0)],
)
def test_the_wait_doubles_up_to_its_bound_with_jitter_over_its_upper_half(
    failures, lowest, highest
):
    assert policy(0.0).delay(failures) == pytest.approx(lowest)
    assert policy(1.0).delay(failures) == pytest.approx(highest)


def test_the_server_may_ask_for_a_longer_wait_but_not_for_a_shorter_one():
    assert policy(0.0).delay(1, errors.Unavailable("", retry_after=9.0)) == 9.0
    assert policy(0.0).delay(1, errors.Unavailable("", retry_after=0.01)) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("error", "transient", "resumable"),
    [
        (errors.Unavailable(""), True, True),
        (errors.ResourceExhausted("", retry_after=1), True, True),
        (errors.ResourceExhausted(""), False, False),
        (errors.Internal(""), False, True),
        (errors.Cancelled(""), False, True),
        (errors.WindlassError(""), False, True),
        (errors.NotFound(""), False, False),
        (errors.PermissionDenied(""), False, False),
        (errors.InvalidArgument(""), False, False),
        (errors.DeadlineExceeded(""), False, False),
        (ValueError(), False, False),
    ],
)
def test_what_is_tried_again(error, transient, resumable):
    assert is_transient(error) is transient
    assert is_resumable(error) is resumable


def test_a_wait_that_would_outlast_the_deadline_is_not_begun():
    deadline = Deadline(at=1.0, clock=lambda: 0.0)
    calls = []

    def fails() -> None:
        calls.append(1)
        raise errors.Unavailable("", retry_after=5.0)

    with pytest.raises(errors.Unavailable):
        policy(0.0).sync(deadline)(fails)
    assert len(calls) == 1
