"""What the files in tests/golden shall hold; `python -m tests.support.golden` writes them."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.gateway import (
    PLANNED,
    ROOT,
    SAMPLE,
    SAMPLE_SERVICE,
    WINDLASS_SERVICES,
    compile_protos,
    windlass_descriptors,
)
from windlass_server.about import ABOUT
from windlass_server.gateway.envoy.bootstrap import Front, bootstrap
from windlass_server.gateway.openapi.document import openapi_document
from windlass_server.gateway.serving import Address
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


def envoy() -> str:
    """Envoy's configuration of the sample contract, as a person reads it.

    Each route is on a line, with the reasons of its answers; the descriptor set is left out.
    """
    with tempfile.TemporaryDirectory() as directory:
        sample = compile_protos(Path(directory), SAMPLE)
    front = Front(
        listen=Address("127.0.0.1", 10000),
        server=Address("127.0.0.1", 50051),
        planned_extension=PLANNED,
        default_timeout=60,
    )
    config = bootstrap(sample, [SAMPLE_SERVICE], front)
    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    for filter_ in manager["http_filters"]:
        if "proto_descriptor_bin" in filter_["typed_config"]:
            filter_["typed_config"]["proto_descriptor_bin"] = "(the descriptor set)"
    host = manager["route_config"]["virtual_hosts"][0]
    lines = [f"\n    {json.dumps(_short(route))}" for route in host["routes"]]
    host["routes"] = "(routes)"
    return json.dumps(config, indent=1).replace('"(routes)"', f"[{','.join(lines)}\n]") + "\n"


def _short(route: dict[str, Any]) -> dict[str, Any]:
    short = dict(route)
    if "typed_per_filter_config" in route:
        short["typed_per_filter_config"] = sorted(route["typed_per_filter_config"])
    answer = route.get("direct_response", {})
    if "body_format" in answer:
        text = answer["body_format"]["text_format_source"]["inline_string"]
        status = json.loads(text.replace("%%", "%"))
        reason = status["details"][0]["reason"]
        short["direct_response"] = {"status": answer["status"], "reason": reason}
    return short


if __name__ == "__main__":
    (FOLDER / "envoy.json").write_text(envoy())
    (FOLDER / "paths.txt").write_text(paths())
    (FOLDER / "openapi.json").write_text(openapi())
