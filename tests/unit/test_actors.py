"""Who acts in events, and who cannot pose as them."""

import re

import pytest

from buf.validate import validate_pb2
from windlass.access.v1 import access_service_pb2
from windlass_server import actors

USERS = access_service_pb2.CreateApiKeyRequest.DESCRIPTOR.fields_by_name["user"]


@pytest.mark.parametrize(
    "actor",
    [
        actors.SERVER,
        actors.SCHEDULER,
        actors.NODES,
        actors.DRAINS,
        actors.LEASES,
        actors.node("node-01"),
    ],
)
def test_no_user_can_be_called_like_a_part_of_the_server_or_a_node(actor: str) -> None:
    pattern = USERS.GetOptions().Extensions[validate_pb2.field].string.pattern
    assert re.search(pattern, "scheduler")
    assert not re.search(pattern, actor)
