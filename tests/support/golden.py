"""What the files in tests/golden shall hold; `python -m tests.support.golden` writes them."""

import json
from dataclasses import replace

from tests.support.gateway import PLANNED, ROOT, WINDLASS_SERVICES, windlass_descriptors
from windlass_server.about import ABOUT
from windlass_server.gateway.openapi.document import openapi_document
from windlass_server.gateway.table import build_table
from windlass_server.gateway.transcoder import Transcoder

FOLDER = ROOT / "tests/golden"


def paths() -> str:
    """The route table, one route per line."""
    table = build_table(Transcoder(windlass_descriptors()), WINDLASS_SERVICES, PLANNED)
    return "".join(f"{line}\n" for line in table.lines)


def openapi() -> str:
    """The OpenAPI document, of no version."""
    document = openapi_document(
        Transcoder(windlass_descriptors()).registry,
        WINDLASS_SERVICES,
        replace(ABOUT, version="0"),
        planned_extension=PLANNED,
    )
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (FOLDER / "paths.txt").write_text(paths())
    (FOLDER / "openapi.json").write_text(openapi())
