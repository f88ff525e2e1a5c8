"""The server does not start with a method of which the contract leaves open who may call it."""

import itertools

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2
from google.rpc import status_pb2

from windlass.options.v1.options_pb2 import Authz, authz, limits
from windlass_server.rpc.methods import BadContract, served_methods

pool = descriptor_pool.Default()
_numbers = itertools.count()


class Servicer:
    async def Do(self, request: object, call: object) -> empty_pb2.Empty:  # noqa: N802 - an RPC
        return empty_pb2.Empty()


def a_service(decision: Authz | None, *, server_streaming: bool = False, seconds: int = 0) -> str:
    """A service of one method `Do` that takes a `google.rpc.Status`; its full name."""
    package = f"unfit.v{next(_numbers)}"
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    file.dependency.extend([empty_pb2.DESCRIPTOR.name, status_pb2.DESCRIPTOR.name])
    method = file.service.add(name="Service").method.add(
        name="Do",
        input_type=".google.rpc.Status",
        output_type=".google.protobuf.Empty",
        server_streaming=server_streaming,
    )
    if decision is not None:
        method.options.Extensions[authz].CopyFrom(decision)
    method.options.Extensions[limits].max_duration.seconds = seconds
    pool.AddSerializedFile(file.SerializeToString())
    return f"{package}.Service"


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (None, "has no authz option"),
        (Authz(permission="jobs.get"), "has no authz option"),
        (Authz(scope=Authz.ORGANISATION), "names no permission"),
        (Authz(scope=Authz.OBJECT), "names no permission"),
        (Authz(scope=Authz.PROJECT, permission="a.b"), "'' is not a field"),
        (Authz(scope=Authz.PROJECT, permission="a.b", project_field="no"), "'no' is not a field"),
        (
            Authz(scope=Authz.PROJECT, permission="a.b", project_field="message.no"),
            "'message.no' is not a field",
        ),
    ],
)
def test_a_method_that_says_not_enough_is_refused(decision: Authz | None, words: str):
    with pytest.raises(BadContract, match=words):
        served_methods({a_service(decision): Servicer()})


@pytest.mark.parametrize(
    "decision",
    [
        Authz(public=True),
        Authz(scope=Authz.SELF),
        Authz(scope=Authz.OBJECT, permission="a.b"),
        Authz(scope=Authz.PROJECT, permission="a.b", project_field="message"),
    ],
)
def test_a_method_that_says_enough_is_served(decision: Authz):
    service = a_service(decision)
    (method,) = served_methods({service: Servicer()}).values()
    assert (method.path, method.authz) == (f"/{service}/Do", decision)


def test_a_method_without_a_handler_is_refused():
    service = a_service(Authz(public=True))
    with pytest.raises(BadContract, match="has no handler in object"):
        served_methods({service: object()})


@pytest.mark.parametrize(
    ("server_streaming", "seconds", "cap"),
    [(False, 0, 60), (False, 5, 5), (True, 0, None), (True, 5, 5)],
)
def test_a_unary_call_has_a_minute_unless_the_contract_says_otherwise(
    server_streaming: bool, seconds: int, cap: float | None
):
    service = a_service(Authz(public=True), server_streaming=server_streaming, seconds=seconds)
    (method,) = served_methods({service: Servicer()}).values()
    assert method.max_seconds == cap
