"""What artifacts may be called, and what they are by their names."""

import pytest

from windlass_server.errors import InvalidInput
from windlass_server.jobs.artifact_rules import (
    MAX_NAME,
    Type,
    media_type,
    pairs,
    require_name,
    type_of,
)


@pytest.mark.parametrize(
    "name", ["model.bin", "a/b/c", ".hidden", "...", "with space", "größe.txt", "x" * MAX_NAME]
)
def test_a_path_below_a_folder_is_a_name(name: str):
    require_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../b",
        "a/./b",
        "/etc/passwd",
        "a//b",
        "a/",
        "a\\b",
        "..\\b",
        "a\nb",
        "a\x00b",
        "a\x7fb",
        "a\x85b",
        "a\u202eb",
        "x" * (MAX_NAME + 1),
    ],
)
def test_what_leads_elsewhere_or_cannot_be_shown_is_no_name(name: str):
    with pytest.raises(InvalidInput) as refused:
        require_name(name)
    assert refused.value.reason == "ARTIFACT_NAME_INVALID"
    assert [one.field for one in refused.value.violations] == ["name"]


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("model.safetensors", Type.MODEL),
        ("a.b/net.ONNX", Type.MODEL),
        ("last.ckpt", Type.CHECKPOINT),
        ("train.parquet", Type.DATASET),
        ("loss.png", Type.PLOT),
        ("run.log", Type.LOG),
        ("notes.txt", Type.OTHER),
        ("log", Type.OTHER),
        ("", Type.OTHER),
    ],
)
def test_a_type_is_known_by_the_ending_of_a_name(name: str, type_: Type):
    assert type_of(name) is type_


def test_metadata_are_pairs_and_no_key_is_there_twice():
    assert pairs(["step=12", "note=a=b", "empty="]) == {"step": "12", "note": "a=b", "empty": ""}
    with pytest.raises(InvalidInput) as refused:
        pairs(["step=1", "step=2"])
    assert refused.value.reason == "METADATA_KEY_REPEATED"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("text/csv", "text/csv"),
        ("text/html; charset=utf-8", "text/html; charset=utf-8"),
        ("application/octet-stream", ""),
        ("application/x-www-form-urlencoded", ""),
        ("nonsense", ""),
        ("text/größe", ""),
        ("text/a\r\nset-cookie: b", ""),
        ("text/" + "x" * 300, ""),
    ],
)
def test_a_media_type_is_kept_when_it_is_one_and_says_something(given: str, kept: str):
    assert media_type(given) == kept
