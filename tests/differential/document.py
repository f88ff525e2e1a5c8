"""What docs/envoy.md says of the differences; `python -m tests.differential.document` writes it."""

from pathlib import Path

from tests.differential.differences import Difference, load

PAGE = Path(__file__).resolve().parents[2] / "docs/envoy.md"
START = "## What Envoy does otherwise\n"

_INTRODUCTION = """
The same requests go through both front ends in `make test-differential`, beside plain gRPC. What is
left are these differences; the suite fails when there are more or fewer
(`tests/differential/differences.toml`). The gateway does what is right.

| | the gateway | Envoy | why it is left |
|---|---|---|---|
"""


def section() -> str:
    """The section of the page, from its heading to the end."""
    rows = "".join(map(_row, load().entries))
    return f"{START}{_INTRODUCTION}{rows}"


def _row(difference: Difference) -> str:
    cells = (difference.name, difference.gateway, difference.envoy, difference.why)
    return "| " + " | ".join(cells) + " |\n"


def page(text: str) -> str:
    """The page with the section as it has to be, at its end."""
    return text.partition(START)[0] + section()


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
