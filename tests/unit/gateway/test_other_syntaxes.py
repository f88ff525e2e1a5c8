"""Contracts in proto2 and in editions are served as well: presence, defaults, closed enums, groups."""

import json

import pytest

from tests.support.gateway import AsgiClient, FakeDispatcher, compile_protos
from windlass_server.gateway.app import Gateway

PROTO2 = """
syntax = "proto2";
package old.v1;
import "google/api/annotations.proto";
service OldService {
  rpc Get(Old) returns (Old) {
    option (google.api.http) = {
      get: "/v1/olds/{id}"
      additional_bindings {put: "/v1/olds/{id}" body: "*"}
      additional_bindings {get: "/v1/sizes/{size}"}
    };
  }
}
message Old {
  required string id = 1;
  optional int32 size = 2 [default = 7];
  optional Color color = 3 [default = GREEN];
  repeated Color colors = 4;
  optional group Part = 5 { optional string text = 1; }
  enum Color { RED = 1; GREEN = 2; }
}
"""
EDITION = """
edition = "2023";
package new.v1;
import "google/api/annotations.proto";
service NewService {
  rpc Get(New) returns (New) {
    option (google.api.http) = {
      get: "/v1/news/{id}" additional_bindings {put: "/v1/news/{id}" body: "*"}
    };
  }
}
message New {
  string id = 1;
  int32 implicit = 2 [features.field_presence = IMPLICIT];
  int32 explicit = 3;
  Part part = 4 [features.message_encoding = DELIMITED];
  Color color = 5;
  message Part { string text = 1; }
  enum Color { option features.enum_type = CLOSED; RED = 0; GREEN = 1; }
}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A client of a gateway over a contract, which echoes."""

    def serve(text, service):
        directory = tmp_path_factory.mktemp("protos")
        (directory / "one.proto").write_text(text)
        descriptors = compile_protos(directory, "one.proto", path=directory)
        gateway = Gateway(
            descriptor_set=descriptors, services=[service], dispatcher=FakeDispatcher()
        )
        return AsgiClient(gateway)

    return serve(PROTO2, "old.v1.OldService"), serve(EDITION, "new.v1.NewService")


@pytest.mark.parametrize(
    ("method", "target", "body", "shown"),
    [
        ("GET", "/v1/olds/a", None, {"id": "a", "colors": []}),
        ("GET", "/v1/olds/a?size=0", None, {"id": "a", "size": 0, "colors": []}),
        ("PUT", "/v1/olds/a", {"color": "red"}, {"id": "a", "color": "RED", "colors": []}),
        ("GET", "/v1/olds/a?part.text=t", None, {"id": "a", "part": {"text": "t"}, "colors": []}),
        ("GET", "/v1/sizes/5?id=a", None, {"id": "a", "size": 5, "colors": []}),
        ("GET", "/v1/news/a?explicit=0", None, {"id": "a", "implicit": 0, "explicit": 0}),
        (
            "PUT",
            "/v1/news/a",
            {"part": {"text": "t"}, "color": "green"},
            {"id": "a", "implicit": 0, "part": {"text": "t"}, "color": "GREEN"},
        ),
    ],
)
async def test_a_message_is_read_and_shown_by_its_own_rules(served, method, target, body, shown):
    answer = await request(served, method, target, body)
    assert (answer.status, answer.json) == (200, shown)


@pytest.mark.parametrize(
    ("method", "target", "body", "fields"),
    [
        # a closed enum has no other numbers
        ("GET", "/v1/olds/a?color=9", None, {"color"}),
        ("PUT", "/v1/olds/a", {"color": 9}, {"color"}),
        ("PUT", "/v1/news/a", {"color": 9}, {"color"}),
        # what the path requires is not missed in the body beside what is wrong there
        ("PUT", "/v1/olds/a", {"color": "green", "colors": ["RED", 9]}, {"colors[1]"}),
        ("GET", "/v1/sizes/x", None, {"size"}),
        ("GET", "/v1/sizes/5", None, {"id"}),
    ],
)
async def test_what_they_refuse_is_refused_by_its_field(served, method, target, body, fields):
    answer = await request(served, method, target, body)
    assert (answer.status, set(answer.violations)) == (400, fields)


async def request(served, method, target, body):
    old, new = served
    client = new if "/news/" in target else old
    return await client.request(method, target, None if body is None else json.dumps(body))
