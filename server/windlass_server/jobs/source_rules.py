"""What is an archive, and what is a Python requirement. Pure."""

from collections.abc import Sequence

from packaging.requirements import InvalidRequirement, Requirement

from windlass_server.errors import FieldViolation

HEAD_BYTES = 512
"""As many bytes of a file as say whether it is an archive."""
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
_TAR_MAGIC = slice(257, 262)
_SCHEMES = ("https://", "http://")


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so may be a tar, also a compressed one, or a zip."""
    return head.startswith(_COMPRESSED) or head[_TAR_MAGIC] == b"ustar"


def requirement_violations(requirements: Sequence[str]) -> tuple[FieldViolation, ...]:
    """Which of a job's Python requirements are none, as PEP 508 says it."""
    found = []
    for number, text in enumerate(requirements):
        problem = _problem(text)
        if problem:
            field = f"job.python.requirements[{number}]"
            found.append(FieldViolation(field, problem, "REQUIREMENT_INVALID"))
    return tuple(found)


def _problem(text: str) -> str:
    try:
        url = Requirement(text).url
    except (InvalidRequirement, ValueError) as error:
        return f"is no requirement (PEP 508): {str(error).partition(chr(10))[0]}"
    if url is not None and not url.startswith(_SCHEMES):
        return "names a package from elsewhere; that goes by https or http alone"
    return ""
