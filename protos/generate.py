"""Generate `gen/` from `protos/`, offline, from installed packages only.

Writes for each proto its Python module, its type stub and its gRPC stubs, plus
`gen/windlass.binpb`: the descriptor set with comments that configures the gateway.

Run as `python protos/generate.py`; with `--check` it writes nothing and exits 1 when `gen/` is not
what the protos say.
"""

import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GEN = ROOT / "gen"


def validate_descriptors() -> descriptor_pb2.FileDescriptorSet:
    """Descriptors of `buf/validate/validate.proto`, which the wheel carries only compiled."""
    from protovalidate._gen.buf.validate import validate_pb

    descriptor = validate_pb.desc()
    return descriptor_pb2.FileDescriptorSet(
        file=[descriptor_pb2.FileDescriptorProto.FromString(descriptor.proto.to_binary())]
    )


def generate(out: Path) -> None:
    """Generate everything into the empty directory `out`; raises SystemExit when protoc refuses."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    includes = [
        PROTOS,
        Path(annotations_pb2.__file__).parents[2],  # googleapis-common-protos ships its sources
        Path(grpc_tools.__file__).parent / "_proto",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        third_party = Path(scratch) / "third_party.binpb"
        third_party.write_bytes(third_party_descriptors(includes[1:]))
        inputs = ["protoc", f"--proto_path={PROTOS}", f"--descriptor_set_in={third_party}"]
        run_protoc(
            *inputs,
            f"--python_out={out}",
            f"--pyi_out={out}",
            f"--descriptor_set_out={out / 'windlass.binpb'}",
            "--include_imports",
            "--include_source_info",
            *sources,
            # No installed package carries this module, and ours import it.
            "buf/validate/validate.proto",
            # Details that errors carry; the gateway prints them from the descriptor set.
            "google/rpc/error_details.proto",
            "google/rpc/status.proto",
        )
        shutil.rmtree(out / "google")  # installed packages carry these modules
        run_protoc(
            *inputs,
            f"--plugin=protoc-gen-mypy_grpc={Path(sys.executable).with_name('protoc-gen-mypy_grpc')}",
            f"--grpc_python_out={out}",
            f"--mypy_grpc_out=quiet:{out}",
            *(source for source in sources if source.endswith("_service.proto")),
        )
    (out / "windlass" / "py.typed").touch()


def run_protoc(*command: str) -> None:
    """Run protoc in this process; raises SystemExit when it refuses."""
    if protoc.main(list(command)) != 0:
        message = f"protoc failed: {' '.join(command)}"
        raise SystemExit(message)


def third_party_descriptors(includes: list[Path]) -> bytes:
    """The descriptor set of every proto that ours import and that is not ours."""
    wanted = [
        "google/api/annotations.proto",
        "google/api/field_behavior.proto",
        "google/api/httpbody.proto",
        "google/rpc/error_details.proto",
        "google/rpc/status.proto",
        "google/protobuf/descriptor.proto",
        "google/protobuf/duration.proto",
        "google/protobuf/field_mask.proto",
        "google/protobuf/struct.proto",
        "google/protobuf/timestamp.proto",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out.binpb"
        arguments = [f"--proto_path={path}" for path in includes]
        command = ["protoc", *arguments, f"--descriptor_set_out={out}", "--include_imports"]
        run_protoc(*command, *wanted)
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    known = {file.name for file in descriptors.file}
    descriptors.file.extend(f for f in validate_descriptors().file if f.name not in known)
    return descriptors.SerializeToString(deterministic=True)


def main() -> int:
    """Regenerate, or with `--check` compare; returns the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        if "--check" in sys.argv[1:]:
            stale = differences(fresh, GEN)
            for path in stale:
                print(f"gen/{path} is not what protos/ say; run `make protos`", file=sys.stderr)
            return 1 if stale else 0
        shutil.rmtree(GEN, ignore_errors=True)
        shutil.copytree(fresh, GEN)
    return 0


def differences(one: Path, other: Path) -> list[str]:
    """The files that are not equal in both trees, sorted."""
    names = {
        str(path.relative_to(tree))
        for tree in (one, other)
        for path in tree.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    _, different, missing = filecmp.cmpfiles(one, other, names, shallow=False)
    return sorted(different + missing)


if __name__ == "__main__":
    sys.exit(main())
