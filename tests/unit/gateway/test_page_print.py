"""A page printed element by element is the page printed at once."""

import asyncio
import random

import pytest
from protobuf.wkt import FileDescriptorSet

from tests.support.gateway import windlass_descriptors
from tests.support.random_messages import fill
from windlass.jobs.v1 import jobs_service_pb2
from windlass_server.gateway.json_print import DEFAULT_STYLE, print_message
from windlass_server.gateway.page_print import page_elements, split
from windlass_server.gateway.printers import Printers
from windlass_server.gateway.schema import Schema

REGISTRY = FileDescriptorSet.from_binary(windlass_descriptors()).to_registry()
SCHEMA = Schema(REGISTRY)
JOBS_TAG = 1 << 3 | 2


def printers():
    return Printers(REGISTRY, SCHEMA, DEFAULT_STYLE)


def described(name):
    return REGISTRY.message(f"windlass.{name}")


@pytest.mark.parametrize("seed", range(30))
def test_a_page_is_printed_as_it_is_at_once_first_and_again(seed):
    page = jobs_service_pb2.ListJobsResponse()
    fill(page, random.Random(seed))
    page.next_page_token = '"jobs":[]'
    message = page.SerializeToString()
    type_ = described("jobs.v1.ListJobsResponse")
    expected = print_message(type_.type.from_binary(message), REGISTRY).encode()
    printer = printers().whole(type_)
    assert printer(message) == expected
    assert printer(message) == expected


async def test_a_page_that_is_printed_in_turns_is_the_same_page():
    for jobs in (0, 1, 2000):
        message = a_page(jobs).SerializeToString()
        printer = printers().whole(described("jobs.v1.ListJobsResponse"))
        assert await printer.in_turns(message) == printer(message)


async def test_while_a_long_page_is_printed_others_get_their_turns(monkeypatch):
    # As if each element took as long as others can wait.
    monkeypatch.setattr("windlass_server.turns._SLICE_S", 0)
    message = a_page(20).SerializeToString()
    printer = printers().whole(described("jobs.v1.ListJobsResponse"))
    printing = asyncio.create_task(printer.in_turns(message))
    turns = 0
    while not printing.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 20


def a_page(jobs):
    page = jobs_service_pb2.ListJobsResponse(next_page_token="more")
    for number in range(jobs):
        page.jobs.add(job_id=f"job-{number}", name="n" * 2500)
    return page


def test_an_empty_page_is_printed_too():
    printer = printers().whole(described("jobs.v1.ListJobsResponse"))
    assert printer(b"") == b'{"jobs":[],"next_page_token":""}'


@pytest.mark.parametrize(
    ("name", "is_page"),
    [
        ("jobs.v1.ListJobsResponse", True),
        ("jobs.v1.ListJobEventsResponse", True),
        ("resources.v1.ListNodesResponse", True),
        ("resources.v1.ListNodeEventsResponse", True),
        ("jobs.v1.Job", False),
        ("access.v1.CallerInfo", True),
        ("system.v1.SystemInfo", False),
        ("access.v1.CreateApiKeyResponse", False),
    ],
)
def test_only_a_list_of_messages_beside_scalars_is_a_page(name, is_page):
    assert (page_elements(described(name), SCHEMA) is not None) == is_page


@pytest.mark.parametrize(
    ("message", "values", "rest"),
    [
        (b"", [], b""),
        (b"\x0a\x01a\x0a\x00\x12\x01t", [b"a", b""], b"\x12\x01t"),
        (b"\x12\x01t\x0a\x01a", [], b"\x12\x01t\x0a\x01a"),
        (b"\x0a\x05a", [], b"\x0a\x05a"),
        (b"\x0a", [], b"\x0a"),
        (b"\x0a\xff\xff\xff\xff\xff\x01", [], b"\x0a\xff\xff\xff\xff\xff\x01"),
        (b"\x0a\x80\x01" + b"x" * 128, [b"x" * 128], b""),
    ],
)
def test_what_does_not_look_like_an_element_is_left_to_the_decoder(message, values, rest):
    assert split(message, JOBS_TAG) == (values, rest)


def test_bytes_that_are_no_page_are_refused():
    printer = printers().whole(described("jobs.v1.ListJobsResponse"))
    for message in (b"\x0a\x05a", b"\x0a\x01\xff", b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            printer(message)
