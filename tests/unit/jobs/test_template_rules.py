"""Templates of jobs: what is told of those that make none, and what becomes of values."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from windlass.jobs.v1 import job_template_pb2
from windlass_server.jobs.template_rules import filled, job_of, values_of, violations

Template = job_template_pb2.JobTemplate
COMMAND = ["train", "--lr={{ lr }}"]
LR = {"name": "lr", "type": "NUMBER"}


def a_template(job: dict[str, Any] | None = None, *parameters: dict[str, Any]) -> Template:
    said = {"job": job or {"command": COMMAND}, "parameters": parameters or [LR]}
    return ParseDict(said, Template())


def job_with(template: Template, **given: Any) -> dict[str, Any]:
    """The job that values make of a template, as JSON has it."""
    values, wrong = values_of(template, dict(struct(given).fields))
    assert not wrong
    job, wrong = filled(job_of(template), values)
    assert not wrong
    return MessageToDict(job, preserving_proto_field_name=True)


def struct(values: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(values)
    return made


def parameter(kind: str, **said: Any) -> dict[str, Any]:
    return {"name": "x", "type": kind, **said}


X = {"command": ["{{x}}"]}
WRITTEN: list[tuple[dict[str, Any], Any, str]] = [
    (parameter("STRING"), "a b", "a b"),
    (parameter("STRING"), "{{ x }}", "{{ x }}"),
    (parameter("STRING"), "{{{{", "{{{{"),
    (parameter("STRING"), "$(rm -rf /) \" ' ; &&", "$(rm -rf /) \" ' ; &&"),
    (parameter("STRING"), "\\1 \\g<0>", "\\1 \\g<0>"),
    (parameter("STRING"), "", ""),
    (parameter("INTEGER"), 3, "3"),
    (parameter("INTEGER"), "3", "3"),
    (parameter("INTEGER"), -(2**53 - 1), "-9007199254740991"),
    (parameter("NUMBER"), 3, "3"),
    (parameter("NUMBER"), 0.1, "0.1"),
    (parameter("NUMBER"), "1e-4", "0.0001"),
    (parameter("NUMBER"), "1e-7", "1e-07"),
    (parameter("BOOLEAN"), True, "true"),
    (parameter("BOOLEAN"), "False", "false"),
    (parameter("CHOICE", choices=["a", "b"]), "b", "b"),
]


@pytest.mark.parametrize(("said", "value", "written"), WRITTEN)
def test_a_value_is_one_argument_and_nothing_else(said: dict[str, Any], value: Any, written: str):
    template = a_template({"command": ["run", "{{x}}", "a{{ x }}b"]}, said)
    assert violations(template) == []
    assert job_with(template, x=value)["command"] == ["run", written, f"a{written}b"]


def test_values_stand_in_every_text_and_whole_ones_where_numbers_do():
    job = {
        "command": ["train", "{{{{ not }}", "{{n}}"],
        "name": "run-{{n}}",
        "labels": {"n": "{{ n }}"},
        "environment": {"variables": {"N": "{{n}}", "YES": "{{yes}}"}},
        "resources": {"gpuCount": "{{ n }}", "memory_bytes": "{{n}}"},
        "preemptible": " {{yes}} ",
        "timeLimit": "{{n}}s",
        "min_isolation": "{{level}}",
        "retry": {"on_exit_codes": ["{{n}}", 7]},
    }
    template = a_template(
        job,
        {"name": "n", "type": "INTEGER", "default": 3},
        {"name": "yes", "type": "BOOLEAN", "default": True},
        {"name": "level", "type": "CHOICE", "choices": ["rlimits", "none"], "default": "rlimits"},
    )
    assert violations(template) == []
    assert job_with(template, n=4) == {
        "command": ["train", "{{ not }}", "4"],
        "name": "run-4",
        "labels": {"n": "4"},
        "environment": {"variables": {"N": "4", "YES": "true"}},
        "resources": {"gpu_count": 4, "memory_bytes": "4"},
        "preemptible": True,
        "time_limit": "4s",
        "min_isolation": "RLIMITS",
        "retry": {"on_exit_codes": [4, 7]},
    }


J = "template.job"
REFUSED: list[tuple[str, Template, list[tuple[str, str]]]] = [
    ("an unknown name", a_template({"command": ["{{lr}}{{x}}"]}), [(f"{J}.command[0]", "UNKNOWN_PARAMETER")]),
    ("an unused one", a_template({"command": ["a"]}), [("template.parameters[0]", "UNUSED_PARAMETER")]),
    ("no end", a_template({"command": ["{{lr}}", "{{ lr"]}), [(f"{J}.command[1]", "BAD_PLACEHOLDER")]),
    ("no name", a_template({"command": ["{{lr}}", "{{ 1 }}"]}), [(f"{J}.command[1]", "BAD_PLACEHOLDER")]),
    ("code", a_template({"command": ["{{lr}}", "{{ lr + 1 }}"]}), [(f"{J}.command[1]", "BAD_PLACEHOLDER")]),
    ("a name of an entry", a_template({"command": COMMAND, "labels": {"{{lr}}": "a"}}), [(f"{J}.labels", "BAD_PLACEHOLDER")]),
    ("no such field", a_template({"command": COMMAND, "gpus": 1}), [(f"{J}.gpus", "TEMPLATE_JOB_INVALID")]),
    ("another type", a_template({"command": COMMAND, "nodes": "many", "labels": []}), [(f"{J}.labels", "TEMPLATE_JOB_INVALID"), (f"{J}.nodes", "TEMPLATE_JOB_INVALID")]),
    ("a fraction of nodes", a_template({"command": COMMAND, "nodes": 0.5}), [(f"{J}.nodes", "TEMPLATE_JOB_INVALID")]),
    ("text for a number", a_template({"nodes": "{{x}}"}, parameter("STRING")), [(f"{J}.nodes", "TEMPLATE_JOB_INVALID")]),
    ("a project", a_template({"command": COMMAND, "project": "p"}), [(f"{J}.project", "TEMPLATE_JOB_INVALID")]),
    ("a template in it", a_template({"command": COMMAND, "template": {"name": "p"}}), [(f"{J}.template", "TEMPLATE_JOB_INVALID")]),
    ("too large", a_template({"command": [*COMMAND, "x" * (256 << 10)]}), [("template", "TEMPLATE_JOB_INVALID")]),
    *(
        (str(said), a_template(X, parameter(**said)), [(path, "BAD_PARAMETER")])
        for said, path in (
            ({"kind": "STRING", "minimum": 1}, "template.parameters[0]"),
            ({"kind": "NUMBER", "minimum": 2, "maximum": 1}, "template.parameters[0]"),
            ({"kind": "NUMBER", "pattern": "a"}, "template.parameters[0]"),
            ({"kind": "BOOLEAN", "max_length": 1}, "template.parameters[0]"),
            ({"kind": "CHOICE"}, "template.parameters[0]"),
            ({"kind": "STRING", "choices": ["a"]}, "template.parameters[0]"),
            ({"kind": "STRING", "pattern": "("}, "template.parameters[0].pattern"),
            ({"kind": "INTEGER", "default": "many"}, "template.parameters[0].default"),
            ({"kind": "INTEGER", "default": 0.5}, "template.parameters[0].default"),
            ({"kind": "INTEGER", "default": 2**53}, "template.parameters[0].default"),
            ({"kind": "NUMBER", "default": "NaN"}, "template.parameters[0].default"),
            ({"kind": "NUMBER", "default": True}, "template.parameters[0].default"),
            ({"kind": "NUMBER", "default": 1, "minimum": 2}, "template.parameters[0].default"),
            ({"kind": "BOOLEAN", "default": 1}, "template.parameters[0].default"),
            ({"kind": "STRING", "default": 1}, "template.parameters[0].default"),
            ({"kind": "STRING", "default": ["a"]}, "template.parameters[0].default"),
            ({"kind": "STRING", "default": None}, "template.parameters[0].default"),
            ({"kind": "CHOICE", "choices": ["a"], "default": "b"}, "template.parameters[0].default"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("template", "expected"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])  # fmt: skip
def test_what_no_values_make_a_job_of_is_told_when_it_is_made(
    template: Template, expected: list[tuple[str, str]]
):
    assert [(one.field, one.reason) for one in violations(template)] == expected


@pytest.mark.parametrize("number", ["NaN", "inf", "-inf"])
def test_a_number_that_json_has_not_makes_no_job(number: str):
    template = a_template()
    template.job.fields["nodes"].number_value = float(number)
    template.job.fields["labels"].SetInParent()
    (only,) = violations(template)
    assert (only.field, only.reason) == (J, "TEMPLATE_JOB_INVALID")


def test_everything_that_is_wrong_with_values_is_told_at_once():
    template = a_template(
        {"command": ["{{n}}{{m}}{{s}}{{c}}{{b}}{{needed}}"]},
        {"name": "n", "type": "INTEGER", "minimum": 1, "maximum": 8},
        {"name": "m", "type": "NUMBER", "maximum": 0.5},
        {"name": "s", "type": "STRING", "pattern": "[a-z]+", "max_length": 4},
        {"name": "c", "type": "CHOICE", "choices": ["a", "b"]},
        {"name": "b", "type": "BOOLEAN"},
        {"name": "needed", "type": "STRING"},
    )
    given = {"n": 9, "m": 0.6, "s": "ab1", "c": "d", "b": "maybe", "bogus": 1}
    _, wrong = values_of(template, dict(struct(given).fields))
    assert [(one.field, one.description) for one in wrong] == [
        (
            "job.template.parameters[bogus]",
            "is no parameter of the template, which has n, m, s, c, b, needed",
        ),
        ("job.template.parameters[n]", "must be at most 8"),
        ("job.template.parameters[m]", "must be at most 0.5"),
        ("job.template.parameters[s]", "must match [a-z]+"),
        ("job.template.parameters[c]", "must be one of a, b"),
        ("job.template.parameters[b]", "must be true or false"),
        ("job.template.parameters[needed]", "is needed"),
    ]
    bad: list[tuple[str, Any]] = [
        ("s", "a\0"),
        ("s", "abcde"),
        ("s", 1),
        ("n", [1]),
        ("n", "1e400"),
    ]
    for name, value in bad:
        _, wrong = values_of(template, dict(struct({name: value}).fields))
        assert f"job.template.parameters[{name}]" in {one.field for one in wrong}, (name, value)


def test_a_pattern_is_of_the_whole_value():
    template = a_template(X, parameter("STRING", pattern="a|b"))
    for value, good in (("a", True), ("b", True), ("ab", False), ("a\n", False), ("xa", False)):
        _, wrong = values_of(template, dict(struct({"x": value}).fields))
        assert (not wrong) == good, value


LONG = "y" * 16_384
TOO_MUCH: list[tuple[str, list[str], int]] = [
    ("in one text", ["{{x}}" * 52_000], 52_000 * 16_384),
    ("in all texts", ["{{ x }}", "{{x}}{{{{"] * 9_000, 9_000 * (2 * 16_384 + 2)),
]


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 << 20


@pytest.mark.parametrize(("command", "size"), [case[1:] for case in TOO_MUCH], ids=[case[0] for case in TOO_MUCH])  # fmt: skip
def test_values_that_make_far_too_much_of_a_job_are_refused_before_they_do(
    command: list[str], size: int
):
    template = a_template({"command": command}, parameter("STRING"))
    assert violations(template) == []
    tree = job_of(template)
    with little_memory():
        job, wrong = filled(tree, {"x": LONG})
    assert ([one.reason for one in wrong], job.ByteSize()) == (["TEMPLATE_JOB_INVALID"], 0)
    assert f"becomes {size} characters" in wrong[0].description


def test_a_default_that_makes_far_too_much_of_a_job_is_told_when_it_is_made():
    template = a_template({"command": ["{{x}}" * 40_000]}, parameter("STRING", default=LONG))
    with little_memory():
        (only,) = violations(template)
    assert (only.field, only.reason) == (J, "TEMPLATE_JOB_INVALID")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.sampled_from(["{{x}}", "{{", "{{{{x}}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.sampled_from(["command", "labels", "resources", "variables", "environment"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(job=st.dictionaries(st.sampled_from(["command", "labels", "environment", "resources", "deadline", "time_limit", "retry", "min_isolation", "x"]), JSON), value=st.text() | st.floats() | st.booleans())  # fmt: skip
def test_whatever_is_said_makes_a_job_or_is_refused_and_breaks_nothing(
    job: dict[str, Any], value: Any
):
    template = Template()
    template.job.update(job)
    template.parameters.add(name="x", type=job_template_pb2.TemplateParameter.STRING)
    if violations(template):
        return
    values, wrong = values_of(template, dict(struct({"x": value}).fields))
    assert set(values) == ({"x"} if not wrong else set())
    if not wrong:
        made, refused = filled(job_of(template), values)
        assert refused or "{{x}}" not in "".join(made.command).replace(str(values["x"]), "")
