"""Domain errors become statuses by one table, and nothing unexpected leaves the process."""

import logging

import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode

from windlass_server import errors
from windlass_server.rpc.errors import CODES, code_of, fit_for_trailers, to_status


def details(status, kind):
    found = []
    for packed in status.details:
        detail = kind()
        if packed.Unpack(detail):
            found.append(detail)
    return found


def test_every_domain_error_has_a_code():
    assert set(errors.WindlassError.__subclasses__()) == set(CODES)


def test_an_error_that_refines_another_has_its_code():
    assert code_of(errors.LostRace("", reason="X")) is StatusCode.ABORTED


@pytest.mark.parametrize("kind", [*CODES])
def test_every_status_carries_exactly_one_error_info(kind):
    of = {"subject": "job-1"} if kind is errors.WrongState else {}
    status = to_status(kind("what happened", reason="WHY", thing="job", **of), "req-1")
    (info,) = details(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == ("WHY", "windlass", {"thing": "job"})
    assert status.message == "what happened"
    assert status.code == CODES[kind].value[0]


def test_the_text_of_an_unexpected_exception_stays_in_the_log(caplog):
    with caplog.at_level(logging.ERROR):
        status = to_status(RuntimeError("dsn postgres://u:secret@h/db"), "req-1")
    assert status.code == StatusCode.INTERNAL.value[0]
    assert b"secret" not in status.SerializeToString()
    (info,) = details(status, error_details_pb2.ErrorInfo)
    assert info.metadata["incident"] in caplog.text
    assert "secret" in caplog.text


def test_absent_and_foreign_objects_are_the_same_to_the_byte():
    absent = errors.NotFound("no job", reason="JOB_NOT_FOUND")
    assert to_status(absent, "req-1") == to_status(absent, "req-2")


def test_a_precondition_names_the_object_whose_state_it_is_about():
    error = errors.WrongState("a DONE job cannot go", reason="JOB_WRONG_STATE", subject="job-1")
    (failure,) = details(to_status(error, "r"), error_details_pb2.PreconditionFailure)
    (violation,) = failure.violations
    assert (violation.type, violation.subject) == ("JOB_WRONG_STATE", "job-1")
    assert violation.description == error.message


def test_exhaustion_says_when_to_come_back():
    status = to_status(errors.Exhausted("full", reason="X", retry_seconds=2.5), "r")
    (retry,) = details(status, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 2500


def test_all_field_violations_are_told():
    violations = (errors.FieldViolation("a", "bad a"), errors.FieldViolation("b.c", "bad c"))
    status = to_status(errors.InvalidInput("bad", violations=violations), "r")
    (bad,) = details(status, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in bad.field_violations] == [
        ("a", "bad a"),
        ("b.c", "bad c"),
    ]


def invalid(count: int):
    violations = tuple(
        errors.FieldViolation(f"job.command[{number}]", "must be at most 7 bytes", "STRING_BYTES")
        for number in range(count)
    )
    return to_status(errors.InvalidInput("no", reason="X", violations=violations), "r")


@pytest.mark.parametrize("count", [0, 1, 20])
def test_a_status_that_fits_is_sent_as_it_is(count):
    assert fit_for_trailers(invalid(count)) == invalid(count)


@pytest.mark.parametrize("count", [100, 5000])
def test_of_many_violations_grpc_tells_the_first_and_how_many_are_left(count):
    status = fit_for_trailers(invalid(count))
    assert status.ByteSize() < 4096
    (bad,) = details(status, error_details_pb2.BadRequest)
    *told, rest = bad.field_violations
    assert [one.field for one in told] == [f"job.command[{n}]" for n in range(len(told))]
    assert len(told) > 10
    assert rest.description == f"and {count - len(told)} more violations"
    # And nothing else of it is lost.
    assert details(status, error_details_pb2.ErrorInfo) == details(
        invalid(count), error_details_pb2.ErrorInfo
    )
    assert len(status.details) == len(invalid(count).details)
