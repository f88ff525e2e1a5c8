"""Requests are checked against the rules, and what was good is remembered."""

import pytest

from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.errors import InvalidInput
from windlass_server.rpc import validation as validation_module
from windlass_server.rpc.validation import Validation

GET, CANCEL = "/jobs/GetJob", "/jobs/CancelJob"
GOOD = pb.GetJobRequest(job_id="job-1")
BAD = pb.GetJobRequest(job_id="\0")


def judged(validation: Validation, method: str, message: pb.GetJobRequest) -> bool:
    """Whether a request is taken."""
    try:
        validation.check_request(method, message.SerializeToString(), message)
    except InvalidInput:
        return False
    return True


def test_a_request_is_judged_the_same_however_often_it_comes() -> None:
    validation = Validation()
    assert [judged(validation, GET, GOOD) for _ in range(3)] == [True] * 3
    assert [judged(validation, GET, BAD) for _ in range(3)] == [False] * 3


def test_a_field_that_breaks_two_rules_counts_once_and_is_told_both() -> None:
    with pytest.raises(InvalidInput, match="has 1 invalid field") as refused:
        Validation().check(pb.GetJobRequest(job_id="\0" * 129))
    assert [violation.field for violation in refused.value.violations] == ["job_id", "job_id"]


def test_a_pattern_is_told_in_words() -> None:
    with pytest.raises(InvalidInput) as refused:
        Validation().check(pb.GetJobRequest(job_id="a\0b"))
    (violation,) = refused.value.violations
    assert violation.description == "must not contain the character NUL"


def test_bytes_that_are_good_for_one_method_are_not_for_another() -> None:
    validation = Validation()
    assert judged(validation, GET, GOOD)
    with pytest.raises(InvalidInput):
        validation.check_request(CANCEL, GOOD.SerializeToString(), BAD)


def test_only_so_many_short_requests_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation_module, "_REMEMBERED", 10)
    validation = Validation()
    for number in range(100):
        assert judged(validation, GET, pb.GetJobRequest(job_id=f"job-{number}"))
        assert judged(validation, GET, pb.GetJobRequest(job_id="j" * 128))
        assert 0 < len(validation._good) <= 10
    assert all(len(request) <= 128 for _, request in validation._good)
