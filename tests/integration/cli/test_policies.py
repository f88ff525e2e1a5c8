"""`windlass policies` against a control plane in memory."""

import json
from pathlib import Path

import pytest

from windlass.resources.v1 import scheduling_policy_pb2


def asked(plane) -> tuple[scheduling_policy_pb2.SchedulingPolicy, list[str]]:
    """What the last update was to set, and which parts of it."""
    request = plane.state.requests["UpdateSchedulingPolicy"][-1]
    return request.policy, list(request.update_mask.paths)


def test_a_policy_is_set_shown_listed_and_deleted(windlass, plane):
    done = windlass(
        "policies", "set", "default", "--half-life", "3d", "--weight", "vision=2",
        "--weight", "vision/ada=3", "--weight", "/bob=0.5", "--class", "urgent=500",
        "--class", "batch=-100", "--aging", "100", "--aging-over", "2d", "--backfill", "0",
        "--preemption", "--packing", "tight",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    policy, mask = asked(plane)
    assert mask == [
        "aging", "backfill", "fair_share", "packing", "preemption", "priority_classes",
    ]  # fmt: skip
    assert [(w.project, w.user, w.weight) for w in policy.fair_share.weights] == [
        ("vision", "", 2.0),
        ("vision", "ada", 3.0),
        ("", "bob", 0.5),
    ]
    assert (policy.fair_share.half_life.seconds, policy.aging.over.seconds) == (259200, 172800)
    assert policy.backfill.HasField("depth")
    shown = windlass("policies", "show", "default")
    assert shown.stdout == done.stdout
    for words in (
        "batch=-100, urgent=500",
        "100 over 2d",
        "half-life 3d, vision=2, vision/ada=3, /bob=0.5",
        "0 protected",
    ):
        assert words in shown.stdout
    listed = windlass("policies")
    assert listed.stdout.splitlines()[1].startswith("default")
    assert windlass("policies", "delete", "default").stdout == "default deleted\n"
    assert windlass("policies", "list").stderr == "no policies: everything is as it is built in\n"


def test_options_change_what_they_are_about_and_leave_the_rest_of_a_part(windlass, plane):
    windlass("policies", "set", "queue.q", "--weight", "a=2", "--weight", "b=3", "--aging", "5")
    windlass("policies", "set", "queue.q", "--weight", "a=4", "--no-fair-share")
    policy, mask = asked(plane)
    assert mask == ["fair_share"]
    assert policy.fair_share.disabled
    assert [(w.project, w.weight) for w in policy.fair_share.weights] == [("a", 4.0), ("b", 3.0)]
    windlass("policies", "set", "queue.q", "--unset", "aging", "--class", "only=1")
    policy, mask = asked(plane)
    assert mask == ["aging", "priority_classes"]
    assert not policy.HasField("aging")


def test_a_file_is_the_whole_policy(windlass, plane, tmp_path: Path):
    file = tmp_path / "policy.yaml"
    file.write_text("fair_share:\n  weights: [{project: vision, weight: 2}]\naging: {boost: 7}\n")
    assert windlass("policies", "set", "pool.h100", "-f", str(file)).exit_code == 0
    policy, mask = asked(plane)
    assert (mask, policy.policy_id, policy.aging.boost) == (["*"], "pool.h100", 7)
    printed = windlass("policies", "show", "pool.h100", "-o", "json").stdout
    again = json.loads(printed)
    file.write_text(json.dumps(again))
    assert windlass("policies", "set", "pool.h100", "-f", str(file)).exit_code == 0
    assert asked(plane)[0].fair_share == policy.fair_share


def test_who_changed_what_is_listed(windlass):
    found = windlass("policies", "events", "default").stdout
    assert "ada" in found
    assert 'aging: unset -> {"boost": 5}' in found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say what to set"),
        (["--weight", "vision"], "'vision' is not OWNER=WEIGHT"),
        (["--weight", "vision=much"], "'much' in 'vision=much' is no number"),
        (["--class", "=5"], "'=5' is not NAME=PRIORITY"),
        (["--class", "urgent=5.5"], "'5.5' in 'urgent=5.5' is no whole number"),
        (["--half-life", "soon"], "'soon' is not a duration"),
        (["--backfill", "9" * 20], f"--backfill {'9' * 20}: no policy can hold a number as large as that"),
        (["--aging", "9" * 20], f"--aging {'9' * 20}: no policy can hold"),
        (["--class", f"a={'9' * 20}"], f"--class a={'9' * 20}: no policy can hold"),
        (["--unset", "everything"], "'everything' is not one of priority_classes"),
        (["--file", "/nonexistent"], "cannot read /nonexistent"),
        (["--file", "/dev/null", "--aging", "5"], "--file says all of the policy"),
        (["--file", "/dev/null"], "/dev/null has no policy in it"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told_in_one_line_and_nothing_is_sent(
    windlass, plane, arguments, words
):
    done = windlass("policies", "set", "default", *arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"error: {words}")
    assert plane.state.calls == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "cannot be read"),
        ("- 1", "has no policy in it"),
        ("aging: {boost: much}", "is no policy"),
        ("ageing: {boost: 1}", "is no policy"),
        ("policy_id: queue.other", "is of 'queue.other', not of 'default'"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(windlass, plane, tmp_path: Path, text, words):
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    done = windlass("policies", "set", "default", "-f", str(file))
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr
    assert plane.state.calls == []


def test_help_shows_examples(windlass):
    assert "windlass policies set default --weight" in windlass("policies", "set", "--help").stdout
