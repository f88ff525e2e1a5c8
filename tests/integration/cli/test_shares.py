"""`windlass shares` against a control plane in memory."""

import json

from windlass.resources.v1 import scheduling_policy_pb2


def test_who_stands_where_is_shown_with_the_rules(windlass, plane):
    plane.state.shares = scheduling_policy_pb2.Shares(
        enabled=True,
        half_life={"seconds": 259200},
        jain_index=0.9,
        shares=[
            {"project": "vision", "weight": 2, "lately_gpus": 1.25, "held_gpus": 4, "share": 0.5,
             "entitled_share": 0.625, "rank": 1},
            {"project": "vision", "user": "ada", "weight": 1, "rank": 1},
        ],
        omitted=3,
    )  # fmt: skip
    done = windlass("shares", "--queue", "fast", "--pool", "h100")
    assert done.exit_code == 0
    (asked,) = plane.state.requests["GetShares"]
    assert (asked.queue, asked.pool) == ("fast", "h100")
    first, second = [line.split() for line in done.stdout.splitlines()[1:]]
    assert first == ["vision", "1", "2", "1.25", "4.00", "50.0%", "62.5%"]
    assert second[:2] == ["ada", "1"]
    assert "half-life 3d; Jain's index 0.900" in done.stderr
    assert "3 more are left out" in done.stderr
    as_json = json.loads(windlass("shares", "-o", "json").stdout)
    assert as_json["shares"][0]["held_gpus"] == 4


def test_nobody_is_told_in_words(windlass):
    done = windlass("shares")
    assert (done.stdout, done.stderr) == ("", "nobody had, has or waits for anything\n")


def test_help_shows_examples(windlass):
    assert "windlass shares --queue nightly" in windlass("shares", "--help").stdout
