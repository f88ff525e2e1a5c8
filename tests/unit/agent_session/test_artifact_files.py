"""Which files of a folder that a task has written can become artifacts."""

import os
import subprocess
from pathlib import Path

import pytest

from windlass_agent import artifact_files
from windlass_agent.artifact_files import find


def names(folder: Path) -> list[str]:
    return [one.name for one in find(folder).files]


def test_files_are_found_by_their_paths_with_their_sizes(tmp_path: Path):
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/b.txt").write_text("12")
    (tmp_path / "a.bin").write_text("1")
    (tmp_path / "größe").touch()
    found = find(tmp_path)
    assert [(one.name, one.size) for one in found.files] == [
        ("a.bin", 1),
        ("deep/er/b.txt", 2),
        ("größe", 0),
    ]
    assert found.problem == ""


def test_what_is_no_file_is_left_out_and_no_link_is_followed(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("x")
    folder = tmp_path / "artifacts"
    folder.mkdir()
    (folder / "link").symlink_to(secret / "key")
    (folder / "folder-link").symlink_to(secret)
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    (folder / "real").touch()
    assert names(folder) == ["real"]


@pytest.mark.parametrize("name", [b"a\nb", b"a\\b", b"\xff", b"a\x7fb", "a\u202eb".encode()])
def test_a_file_whose_name_no_artifact_can_have_is_left_out_and_told(tmp_path: Path, name: bytes):
    (tmp_path / os.fsdecode(name)).touch()
    (tmp_path / "good").touch()
    found = find(tmp_path)
    assert [one.name for one in found.files] == ["good"]
    assert found.problem == "1 files have names that no artifact can have"


def test_there_are_so_many_files_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(artifact_files, "MAX_FILES", 2)
    for number in range(3):
        (tmp_path / str(number)).touch()
    found = find(tmp_path)
    assert len(found.files) == 2
    assert "more than 2 files" in found.problem


def test_folders_without_end_end(tmp_path: Path):
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("deep", os.O_CREAT, dir_fd=fd))
    os.close(fd)
    (tmp_path / "near").touch()
    try:
        assert names(tmp_path) == ["near"]
    finally:
        # Python's own way to remove folders recurses, and so does what cleans up behind tests.
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path):
    found = find(tmp_path / "absent")
    assert (found.files, found.problem) == ((), "")
