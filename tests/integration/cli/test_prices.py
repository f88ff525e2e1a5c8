"""`windlass prices` against a control plane in memory."""

import json
from datetime import UTC, datetime

import pytest

from windlass.resources.v1 import price_pb2


def test_a_price_is_set_listed_and_deleted(windlass, plane):
    done = windlass(
        "prices", "set", "gpu", "2.50", "--gpu-type", "H100", "--currency", "eur",
        "--from", "2026-12-01",
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, "price-1\n")
    (request,) = plane.state.requests["SetPrice"]
    price = request.price
    assert (price.resource, price.amount, price.currency) == (price_pb2.Price.GPU, "2.50", "EUR")
    assert price.start_time.ToDatetime(tzinfo=UTC) == datetime(2026, 12, 1, tzinfo=UTC)
    listed = windlass("prices", "list", "--resource", "GPU", "--gpu-type", "H100")
    assert listed.stdout.splitlines()[1].split()[:9] == (
        ["price-1", "GPU", "H100", "2.50", "EUR", "a", "GPU", "hour", "2026-12-01"]
    )
    (asked,) = plane.state.requests["ListPrices"]
    assert (asked.resource, asked.gpu_type) == (price_pb2.Price.GPU, "H100")
    assert windlass("prices").stdout == windlass("prices", "list").stdout != ""
    as_json = json.loads(windlass("prices", "list", "-o", "json").stdout)
    assert as_json["prices"][0]["amount"] == "2.50"
    assert windlass("prices", "delete", "price-1").stdout == "price-1 deleted\n"
    assert plane.state.prices == []


def test_a_price_without_a_time_holds_from_now_on(windlass, plane):
    assert windlass("prices", "set", "cpu", "0.03", "--currency", "EUR").exit_code == 0
    assert not plane.state.requests["SetPrice"][0].price.HasField("start_time")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set", "disk", "1", "--currency", "EUR"], "error: 'disk' is not one of gpu, cpu, memory"),
        (["set", "gpu", "1", "--currency", "EUR", "--from", "soon"], "error: 'soon' is no time"),
        (["list", "--resource", "disk"], "error: 'disk' is not one of gpu, cpu, memory"),
    ],
)
def test_what_is_none_is_told_in_one_line_and_nothing_is_sent(windlass, plane, arguments, words):
    done = windlass("prices", *arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(words)
    assert plane.state.calls == []


def test_help_shows_examples(windlass):
    assert "windlass prices set gpu 2.50" in windlass("prices", "set", "--help").stdout
