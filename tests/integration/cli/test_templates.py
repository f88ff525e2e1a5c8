"""`windlass templates` against a control plane in memory."""

from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

FILE = """
name: finetune
description: one GPU
parameters:
- {name: lr, type: number, default: 0.1, minimum: 0, description: the step}
- {name: kind, type: CHOICE, choices: [a, b]}
job:
  command: [train, "--lr={{ lr }}", "{{ kind }}"]
  deadline: 2030-01-01T00:00:00Z
"""


def test_a_template_is_made_of_a_file_shown_changed_and_deleted(windlass, plane):
    Path("finetune.yaml").write_text(FILE)
    done = windlass("templates", "create", "finetune.yaml", "--project", "vision")
    assert (done.exit_code, done.stdout) == (0, "finetune version 1\n"), done.stderr
    (request,) = plane.state.requests["CreateJobTemplate"]
    assert request.project == "vision"
    said = MessageToDict(request.template)
    assert said["parameters"][0] == {
        "name": "lr",
        "type": "NUMBER",
        "default": 0.1,
        "minimum": 0.0,
        "description": "the step",
    }
    assert said["job"]["command"] == ["train", "--lr={{ lr }}", "{{ kind }}"]
    _, line = windlass("templates").stdout.splitlines()
    assert line.split()[:5] == ["finetune", "1", "lr,", "kind", "ada"]
    shown = " ".join(windlass("templates", "show", "finetune").stdout.split())
    assert "--set lr= NUMBER, at least 0, default 0.1: the step" in shown
    assert "--set kind= one of a, b, needed" in shown
    assert "- --lr={{ lr }}" in shown
    as_json = windlass("templates", "show", "finetune", "-o", "json").stdout
    Path("again.json").write_text(as_json)
    assert windlass("templates", "update", "again.json").stdout == "finetune version 2\n"
    (update,) = plane.state.requests["UpdateJobTemplate"]
    assert update.template == request.template
    assert list(update.update_mask.paths) == ["description", "parameters", "job"]
    lines = windlass("templates", "versions", "finetune").stdout.splitlines()
    assert [one.split()[1] for one in lines[1:]] == ["2", "1"]
    assert windlass("templates", "delete", "finetune").stdout == "finetune deleted\n"
    assert windlass("templates").stderr == "no templates\n"


def test_a_job_of_a_template_is_asked_for_with_values_and_overrides(windlass, plane):
    done = windlass(
        "templates", "run", "finetune", "--set", "lr=0.5", "--set", "kind=a=b", "--version", "3",
        "--override", "resources.gpu_count=2", "-e", "SEED=1", "--request-id", "r",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    (request,) = plane.state.requests["SubmitJob"]
    request.job.ClearField("project")
    assert MessageToDict(request.job, preserving_proto_field_name=True) == {
        "template": {
            "name": "finetune",
            "version": 3,
            "parameters": {"lr": "0.5", "kind": "a=b"},
        },
        "resources": {"gpu_count": 2},
        "environment": {"variables": {"SEED": "1"}},
    }
    assert request.request_id == "r"


BAD = [
    ("- a\n- b\n", "has no template in it"),
    ("name: x\n", "has no template in it"),
    ("{", "this is no YAML"),
    ("name: x\njob: 1\n", "x.yaml: "),
    ("name: x\njob: {}\nbogus: 1\n", 'no field named "bogus"'),
    ("name: x\njob: {}\nparameters: [{name: a, type: code}]\n", "CODE"),
]


@pytest.mark.parametrize(("text", "told"), BAD)
def test_a_file_that_is_no_template_is_told_before_anything_is_sent(windlass, plane, text, told):
    Path("x.yaml").write_text(text)
    done = windlass("templates", "create", "x.yaml")
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())
    assert not plane.state.calls
