"""What one caller may hold, and that it gets it back."""

import pytest

from windlass.agents.v1 import agents_service_pb2
from windlass.jobs.v1 import jobs_service_pb2
from windlass_server.access.policy import Caller
from windlass_server.errors import Exhausted
from windlass_server.rpc.call import Call
from windlass_server.rpc.limits import CallerLimits
from windlass_server.rpc.methods import served_methods

JOBS, AGENTS = [
    next(iter(file.DESCRIPTOR.services_by_name.values())).full_name
    for file in (jobs_service_pb2, agents_service_pb2)
]


class Servicer:
    """Has every method, none of which is called here."""

    def __getattr__(self, name: str) -> object:
        return name


METHODS = served_methods({JOBS: Servicer(), AGENTS: Servicer()})
GET, FOLLOW = f"/{JOBS}/GetJob", f"/{JOBS}/StreamJobLogs"
SESSION = f"/{AGENTS}/OpenSession"


def a_call(path: str, user: str = "ada") -> Call:
    return Call(
        method=METHODS[path], metadata={}, authenticated=Caller(user=user) if user else None
    )


def end(call: Call) -> None:
    for finalize in call.finalizers:
        finalize()


async def reason(limits: CallerLimits, call: Call) -> str:
    """Why a call is refused; empty when it is not. A refused one holds nothing."""
    try:
        limits(call, None)
    except Exhausted as refused:
        return f"{refused.reason}{call.finalizers or ''}"
    return ""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (GET, "TOO_MANY_CALLS_OF_CALLER"),
        (FOLLOW, "TOO_MANY_STREAMS"),
        (SESSION, "TOO_MANY_STREAMS"),
    ],
)
async def test_a_principal_has_its_share_and_no_more_until_something_of_it_ends(path, why):
    limits = CallerLimits(2, 2)
    first, second = a_call(path), a_call(path)
    assert [await reason(limits, call) for call in (first, second)] == ["", ""]
    assert await reason(limits, a_call(path)) == why
    assert await reason(limits, a_call(path, "bob")) == ""
    end(first)
    assert await reason(limits, a_call(path)) == ""
    assert await reason(limits, a_call(path)) == why


async def test_calls_and_streams_are_counted_apart():
    limits = CallerLimits(1, 1)
    assert [await reason(limits, a_call(path)) for path in (GET, FOLLOW)] == ["", ""]


async def test_a_call_without_a_caller_is_nobodys():
    limits = CallerLimits(1, 1)
    assert [await reason(limits, a_call(GET, user="")) for _ in range(3)] == ["", "", ""]


async def test_who_has_nothing_open_is_forgotten():
    limits = CallerLimits(9, 9)
    calls = [a_call(path, user) for path in (GET, FOLLOW) for user in ("ada", "bob")]
    for call in calls:
        limits(call, None)
    for call in calls:
        end(call)
    assert (limits._calls, limits._streams) == ({}, {})
