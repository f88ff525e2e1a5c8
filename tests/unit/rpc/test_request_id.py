"""The id of a call."""

import re

import pytest

from tests.unit.rpc.test_limits import GET, METHODS
from windlass_server.rpc.call import Call
from windlass_server.rpc.request_id import RequestId


def id_of(interceptor: RequestId, *given: str) -> str:
    call = Call(method=METHODS[GET], metadata={"x-request-id": given} if given else {})
    interceptor(call, None)
    assert call.response_metadata == {"x-request-id": call.request_id}
    return call.request_id


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 64])
def test_a_harmless_word_of_the_callers_is_taken_over(given: str):
    assert id_of(RequestId(), given) == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\n", "\u00e9", "a;b"])
def test_anything_else_gets_an_id_of_ours(given: str):
    assert re.fullmatch(r"req-[0-9a-f]{24}", id_of(RequestId(), given))


def test_no_two_calls_get_the_same_id_whichever_process_they_come_to():
    processes = [RequestId() for _ in range(10)]
    ids = [id_of(process) for process in processes for _ in range(1000)]
    assert len(set(ids)) == len(ids)
