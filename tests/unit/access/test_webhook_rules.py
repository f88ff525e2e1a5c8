"""What webhooks are told of, and when they are tried again."""

import pytest

from windlass.access.v1.webhook_pb2 import Webhook
from windlass_server.access.webhook_rules import (
    Happened,
    is_given_up,
    is_told,
    pause_seconds,
    retry_seconds,
    type_of,
)

DAY = 86_400


@pytest.mark.parametrize(
    ("object_id", "status", "before", "reason", "named"),
    [
        ("job-1", 1, None, "SUBMITTED", "job.queued"),
        ("job-1", 6, 3, "NONZERO_EXIT", "job.failed"),
        ("job-1", 9, 3, "OUT_OF_MEMORY", "job.out_of_memory"),
        ("job-1", 6, 6, "RETRIED", "job.retried"),
        ("job-1", 6, 6, "JOB_RETRIED", "job.retried"),
        ("job-1", 99, 3, "NEWER", "job.newer"),
        ("quota-1", 0, None, "QUOTA_UPDATED", "quota.updated"),
        ("policy/x", 0, None, "POLICY_CHANGED", "policy.changed"),
    ],
)
def test_the_type_says_what_changed(object_id, status, before, reason, named):
    assert type_of(object_id, status, before, reason) == named


def happened(type_="job.failed", reason="NONZERO_EXIT", labels=None, named=False) -> Happened:
    return Happened(type_, reason, labels or {}, named)


@pytest.mark.parametrize(
    ("asked", "event", "told"),
    [
        (Webhook(), happened(), True),
        (Webhook(types=["job.failed"]), happened(), True),
        (Webhook(types=["job.fail"]), happened(), False),
        (Webhook(types=["quota.*", "job.*"]), happened(), True),
        (Webhook(types=["quota.*"]), happened(), False),
        (Webhook(reasons=["KILLED"]), happened(), False),
        (Webhook(types=["job.*"], reasons=["NONZERO_EXIT"]), happened(), True),
        (Webhook(labels={"a": "b"}), happened(labels={"a": "b", "c": "d"}), True),
        (Webhook(labels={"a": "b"}), happened(labels={"a": "c"}), False),
        (Webhook(labels={"a": ""}), happened(), False),
        (Webhook(notifications_only=True), happened(), False),
        (Webhook(notifications_only=True), happened(named=True), True),
        (Webhook(types=["quota.*"]), happened(named=True), True),
        (Webhook(), happened("webhook.tested", "WEBHOOK_TESTED"), False),
    ],
)
def test_a_webhook_is_told_of_what_it_asks_for(asked, event, told):
    assert is_told(asked, event) is told


def test_waits_grow_over_a_day_within_a_fifth_of_each():
    middle = [retry_seconds(tries, None, 0.5) for tries in range(1, 10)]
    assert middle == [5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200]
    assert retry_seconds(10, None, 0.5) is None
    assert retry_seconds(10, 5.0, 0.5) is None
    for tries, delay in enumerate(middle, 1):
        assert retry_seconds(tries, None, 0.0) == pytest.approx(0.8 * delay)
        assert retry_seconds(tries, None, 1.0) == pytest.approx(1.2 * delay)


@pytest.mark.parametrize(
    ("asked", "waits"), [(None, 5), (0.0, 5), (3.0, 5), (900.0, 900), (1e12, DAY)]
)
def test_a_receiver_can_ask_for_more_time_up_to_a_day(asked, waits):
    assert retry_seconds(1, asked, 0.5) == waits


def test_one_that_fails_is_left_alone_for_longer_and_longer_up_to_a_minute():
    assert [pause_seconds(failures, None) for failures in (1, 2, 3, 7, 1000)] == [1, 2, 4, 60, 60]
    assert [pause_seconds(1, asked) for asked in (0.0, 90.0, 1e9)] == [1, 90, 3600]


@pytest.mark.parametrize(
    ("failures", "seconds", "given_up"),
    [(19, 30 * DAY, False), (20, 3 * DAY - 1, False), (20, 3 * DAY, True)],
)
def test_one_is_given_up_after_days_and_many_attempts(failures, seconds, given_up):
    assert is_given_up(failures, seconds) is given_up
