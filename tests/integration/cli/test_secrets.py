"""`windlass secrets` and `windlass submit --secret` against a control plane in memory."""

import json

import pytest


def test_a_secret_is_read_from_the_input_and_its_value_is_shown_nowhere(windlass, plane):
    done = windlass("secrets", "set", "token", input=b"hunter2\n")
    assert (done.exit_code, done.stdout) == (0, "token version 1\n")
    assert plane.state.requests["PutSecret"][0].data == b"hunter2"
    listed = windlass("secrets").stdout
    assert listed.splitlines()[1].split()[:4] == ["token", "1", "7", "ada"]
    shown = windlass("secrets", "get", "token").stdout
    as_json = windlass("secrets", "list", "-o", "json").stdout
    assert json.loads(as_json)["secrets"][0]["name"] == "token"
    assert "hunter2" not in listed + shown + as_json
    assert windlass("secrets", "delete", "token").stdout == "token deleted\n"
    assert windlass("secrets").stderr == "no secrets\n"


@pytest.mark.parametrize(
    ("arguments", "given", "sent"),
    [
        ([], b"a\nb\n", b"a\nb"),
        ([], b"a\r\n", b"a"),
        ([], b"a\n\n", b"a\n"),
        (["--keep-newline"], b"a\n", b"a\n"),
        (["--from-file", "key"], b"", b"\x00\xff\n"),
    ],
)
def test_what_of_the_input_is_the_value(
    windlass, plane, tmp_path, monkeypatch, arguments, given, sent
):
    (tmp_path / "key").write_bytes(b"\x00\xff\n")
    monkeypatch.chdir(tmp_path)
    assert windlass("secrets", "set", "token", *arguments, input=given).exit_code == 0
    assert plane.state.requests["PutSecret"][0].data == sent


def test_a_value_is_not_taken_from_the_command_line(windlass, plane):
    assert windlass("secrets", "set", "token", "hunter2").exit_code == 2
    assert windlass("secrets", "set", "token", "--from-file", "/none").exit_code == 2
    assert not plane.state.requests["PutSecret"]


def test_a_job_is_submitted_with_secrets(windlass, plane):
    done = windlass(
        "submit", "--secret", "TOKEN=hf-token", "--secret-file", "KEY=deploy@2", "--", "true"
    )
    assert done.exit_code == 0, done.stderr
    asked = plane.state.requests["SubmitJob"][0].job.environment.secrets
    assert {name: (one.name, one.version, one.file) for name, one in asked.items()} == {
        "TOKEN": ("hf-token", 0, False),
        "KEY": ("deploy", 2, True),
    }


@pytest.mark.parametrize("word", ["TOKEN=", "TOKEN=a@", "TOKEN=a@b", "TOKEN=@1", "TOKEN"])
def test_what_is_no_secret_is_told(windlass, plane, word):
    done = windlass("submit", "--secret", word, "--", "true")
    assert done.exit_code == 2
    assert not plane.state.requests["SubmitJob"]
