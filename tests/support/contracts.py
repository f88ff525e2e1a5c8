"""Descriptor sets as users make them: by protoc, with and without what they import."""

from pathlib import Path

import grpc_tools
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_tools import protoc

HEALTH_RULES = """\
type: google.api.Service
config_version: 3
http:
  rules:
    - selector: grpc.health.v1.Health.Check
      get: /v1/health/{service}
      additional_bindings:
        - get: /v1/health
    - selector: grpc.health.v1.Health.Watch
      get: /v1/health/{service}:watch
"""


def compile_text(directory: Path, *, imports: bool = True, **sources: str) -> Path:
    """The descriptor set of the last of these protos, by name and text without `syntax`."""
    for name, text in sources.items():
        (directory / f"{name}.proto").write_text('syntax = "proto3";\n' + text)
    out = directory / "made.binpb"
    command = [
        "protoc",
        f"--proto_path={directory}",
        f"--proto_path={Path(annotations_pb2.__file__).parents[2]}",
        f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
        f"--descriptor_set_out={out}",
        *(["--include_imports"] if imports else []),
        f"{list(sources)[-1]}.proto",
    ]
    assert protoc.main(command) == 0, command
    return out


def health_contract(directory: Path) -> Path:
    """The descriptor set of gRPC's health service, which has no HTTP rules."""
    file = descriptor_pb2.FileDescriptorProto()
    health_pb2.DESCRIPTOR.CopyToProto(file)
    out = directory / "health.binpb"
    out.write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    return out
