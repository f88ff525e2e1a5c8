"""`windlass usage` against a control plane that answers what a test says."""

import json
from datetime import UTC, datetime

import grpc
import pytest

from tests.support.fake_api import Failure
from windlass.resources.v1 import usage_pb2
from windlass_client.cli.usage import group_by

DAY = datetime(2026, 11, 25, tzinfo=UTC)


def amounts(gpu: str, cpu: str = "0", gib: str = "0") -> usage_pb2.ResourceAmounts:
    return usage_pb2.ResourceAmounts(gpu_seconds=gpu, cpu_core_seconds=cpu, memory_gib_seconds=gib)


def a_row(gpu: str, cpu: str = "7200", **values: object) -> usage_pb2.UsageRow:
    row = usage_pb2.UsageRow(held=amounts(gpu, cpu, "1800"), **values)  # type: ignore[arg-type]
    row.start_time.FromDatetime(DAY)
    return row


@pytest.fixture
def usage(plane):
    """Two projects, the second of which lost a quarter of its GPU time."""
    plane.state.usage = usage_pb2.Usage(
        group_by=["project", "gpu_type", "label:team"],
        rows=[
            a_row("7200", project="a", gpu_type="H100", labels={"team": "red"}),
            a_row(
                "14400",
                project="b",
                gpu_type="H100",
                wasted_by_failure=amounts("3600"),
                used=usage_pb2.MeasuredAmounts(
                    gpu_seconds="3000",
                    measured_gpu_seconds="12000",
                    energy_joules="7200000",
                    energy_measured_gpu_seconds="12000",
                ),
            ),
        ],
        total=a_row("21600", "14400"),
    )
    return plane.state


def cells(text: str) -> list[list[str]]:
    return [[part for part in line.split("  ") if part.strip()] for line in text.splitlines()]


def test_a_table_has_a_line_for_each_group_with_a_bar_and_one_for_the_total(windlass, usage):
    done = windlass("usage", "--by", "project,gpu_type", "--by", "label:team", "--since", "7d")
    assert done.exit_code == 0, done.output
    heading, first, second, total = [[part.strip() for part in line] for line in cells(done.stdout)]
    assert heading[:4] == ["PROJECT", "GPU TYPE", "LABEL:TEAM", "GPU HOURS"]
    half = "█" * 12 + "·" * 12
    assert first == ["a", "H100", "red", "2.00", half, "?", "2.00", "0.50"] + ["0.0%"] * 3 + ["?"]
    assert second[2:6] == ["-", "4.00", "█" * 24, "25%"]
    assert second[-4:] == ["25.0%", "0.0%", "0.0%", "2.000"]
    assert total[:4] == ["total", "6.00", "?", "4.00"]


def test_costs_are_a_column_where_there_are_prices_and_what_has_none_is_told(windlass, usage):
    usage.usage.currency = "EUR"
    usage.usage.total.held.cost = "1234567.891"
    usage.usage.unpriced.add(resource="GPU", gpu_type="A100")
    done = windlass("usage", "--by", "project")
    assert done.stdout.splitlines()[0].split()[-1] == "EUR"
    assert [line.split()[-1] for line in done.stdout.splitlines()[1:]] == [
        "0.00",
        "0.00",
        "1,234,567.89",
    ]
    assert done.stderr == "GPU A100 has no price for a part of this time; that part is in no cost\n"


def test_every_option_is_sent(windlass, usage):
    done = windlass(
        "usage", "--by", "node,pool,job", "--by", "node", "--since", "2026-11-01", "--until",
        "2026-12-01T08:30+01:00", "--bucket", "1d", "--user", "ada", "--queue", "q", "--node", "n",
        "--pool", "p", "--gpu-type", "H100", "-l", "team=red", "--project", "vision",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (request,) = usage.requests["GetUsage"]
    assert list(request.group_by) == ["node_id", "pool_id", "holder_id"]
    assert request.start_time.ToDatetime(tzinfo=UTC) == datetime(2026, 11, 1, tzinfo=UTC)
    assert request.end_time.ToDatetime(tzinfo=UTC) == datetime(2026, 12, 1, 7, 30, tzinfo=UTC)
    assert request.bucket.seconds == 86400
    assert (request.user, request.queue, request.node_id, request.pool_id) == ("ada", "q", "n", "p")
    assert (request.gpu_type, list(request.labels)) == ("H100", ["team=red"])
    assert request.project == "vision"
    assert "FROM" in done.stdout


def test_without_options_the_last_seven_days_of_all_projects_are_asked_for(windlass, usage):
    assert windlass("usage").exit_code == 0
    (request,) = usage.requests["GetUsage"]
    age = datetime.now(UTC) - request.start_time.ToDatetime(tzinfo=UTC)  # noqa: TID251 - the CLI's
    assert 7 * 86400 <= age.total_seconds() < 7 * 86400 + 60
    assert (request.project, request.HasField("end_time")) == ("", False)


def test_json_is_the_answer_as_rest_has_it(windlass, usage):
    found = json.loads(windlass("usage", "-o", "json").stdout)
    assert found["rows"][0]["held"]["gpu_seconds"] == "7200"
    assert found["total"]["held"]["gpu_seconds"] == "21600"


def test_where_nothing_was_held_the_table_says_so(windlass, plane):
    shown = " ".join(windlass("usage").stdout.split())
    assert shown == (
        "GPU HOURS USED CPU HOURS GIB HOURS FAILED PREEMPTED IDLE KWH total 0.00 ? 0.00 0.00 ?"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "soon"], "error: 'soon' is no time; write such as 7d"),
        (["--until", "2026-13-01"], "error: '2026-13-01' is no time"),
        (["--since", "9999999d"], "error: 9999999d ago there was no time yet"),
        (["--bucket", "often"], "error: 'often' is not a duration"),
    ],
)
def test_a_time_that_is_none_is_told_in_one_line_and_nothing_is_sent(
    windlass, plane, arguments, words
):
    done = windlass("usage", *arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(words)
    assert plane.state.calls == []


CSV = b"project,gpu_seconds\r\na,1.5\r\n"


def test_rows_are_written_to_a_file_whole(windlass, plane, tmp_path):
    done = windlass("usage", "--by", "project", "--csv", "out.csv", "--user", "ada")
    assert (done.exit_code, done.stdout) == (0, "")
    assert (tmp_path / "out.csv").read_bytes() == CSV
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    (request,) = plane.state.requests["ExportUsage"]
    assert (list(request.group_by), request.user) == (["project"], "ada")


def test_rows_can_be_written_to_the_output(windlass):
    assert windlass("usage", "--csv", "-").stdout_bytes == CSV


def test_a_file_that_cannot_be_had_leaves_the_one_before_as_it_was(windlass, plane, tmp_path):
    (tmp_path / "out.csv").write_text("before")
    plane.state.failures["ExportUsage"] = [Failure(grpc.StatusCode.INVALID_ARGUMENT, "too much")]
    assert windlass("usage", "--csv", "out.csv").exit_code == 2
    assert (tmp_path / "out.csv").read_text() == "before"
    done = windlass("usage", "--csv", "no/such/folder.csv")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: cannot write no/such/folder.csv: No such file")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_names_are_taken_as_people_write_them():
    assert group_by(["project,node", "label:team", "", "project"]) == [
        "project",
        "node_id",
        "label:team",
    ]


def test_help_shows_examples(windlass):
    assert "windlass usage --by project,gpu_type --since 7d" in windlass("usage", "--help").stdout
