import json
import re
import subprocess
import sys

import pytest

PROBE = """
import structlog
from windlass_agent.logs import configure_logs

configure_logs("info", {style!r})
log = structlog.get_logger()

def fail(credential):
    try:
        raise ValueError("a clear reason")
    except ValueError:
        log.exception("it failed", run_id="run-1")

log.debug("nobody asked")
log.info("connected", node_id="node-1")
fail("hush" + "-hush")
"""


def told(style: str) -> str:
    """What an agent with this style of log writes; loggers are set for a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(style=style)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == ""
    return done.stderr


def test_as_json_each_event_is_a_line_that_machines_read():
    connected, failed = map(json.loads, told("json").splitlines())
    assert connected.pop("timestamp")
    assert connected == {"event": "connected", "level": "info", "node_id": "node-1"}
    assert (failed["event"], failed["level"], failed["run_id"]) == ("it failed", "error", "run-1")
    assert failed["exception"].endswith("ValueError: a clear reason")


def test_as_text_it_is_for_people():
    lines = told("text").splitlines()
    assert re.fullmatch(r"\S+ \[info +\] connected +node_id=node-1", lines[0])
    assert lines[-1] == "ValueError: a clear reason"


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_traceback_holds_no_values_of_variables(style):
    assert "a clear reason" in told(style)
    assert "hush-hush" not in told(style)
