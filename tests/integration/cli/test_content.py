"""What jobs bring along, from the command line: scripts, folders, commits, packages."""

import gzip
import io
import json
import os
import tarfile

import pytest

from windlass_client import Client
from windlass_client.errors import InvalidArgument
from windlass_client.sources import packed

SCRIPT = "#!/bin/sh\necho hello\n"


def sent(plane):
    return plane.state.requests["SubmitJob"][-1].job


@pytest.fixture
def folder(tmp_path):
    """A project as people have them."""
    files = {
        "train.py": "print(1)",
        "src/model.py": "x",
        "src/notes.tmp": "x",
        "data/big.bin": "x",
        "data/keep.bin": "x",
        ".git/config": "x",
        "src/__pycache__/model.pyc": "x",
        ".venv/bin/python": "x",
        ".gitignore": "*.log\n/data/*\n!/data/keep.bin\n",
        "src/.gitignore": "*.tmp\n!important.log\n",
        "src/important.log": "x",
        "run.log": "x",
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "project" / "train.py").chmod(0o755)
    return tmp_path / "project"


def content(path) -> dict[str, tarfile.TarInfo]:
    with packed(path) as archive:
        archive.file.seek(0)
        data = gzip.decompress(archive.file.read())
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: entry for entry in tar.getmembers()}


def files(path) -> set[str]:
    return {name for name, entry in content(path).items() if entry.isfile()}


def digest(path) -> str:
    with packed(path) as archive:
        return archive.sha256


def test_a_folder_is_packed_without_what_git_ignores(folder):
    expected = {".gitignore", "src/.gitignore", "train.py", "src/model.py", "data/keep.bin"}
    assert files(folder) == expected | {"src/important.log"}
    entry = content(folder)["train.py"]
    assert (entry.mode, entry.mtime, entry.uid, entry.uname) == (0o755, 0, 0, "")


def test_a_windlassignore_says_it_instead(folder):
    (folder / ".windlassignore").write_text("/src\n.gitignore\n")
    assert files(folder) == {
        *(".windlassignore", "train.py", "run.log"),
        *("data/big.bin", "data/keep.bin"),
    }


def test_links_become_the_files_that_they_lead_to_unless_they_lead_out(folder, tmp_path):
    (tmp_path / "secret").write_text("x")
    (folder / "inside").symlink_to("train.py")
    (folder / "outside").symlink_to(tmp_path / "secret")
    (folder / "nowhere").symlink_to("nothing")
    (folder / "folder").symlink_to("src")
    os.link(folder / "train.py", folder / "again.py")
    os.mkfifo(folder / "pipe")
    found = content(folder)
    assert {"inside", "again.py"} < found.keys()
    assert not {"outside", "nowhere", "folder", "pipe"} & found.keys()
    assert all(entry.isfile() or entry.isdir() for entry in found.values())
    assert found["again.py"].size == found["inside"].size == len("print(1)")


def test_the_same_content_makes_the_same_archive(folder):
    first = digest(folder)
    for name in ("train.py", "src/model.py"):
        os.utime(folder / name, (1, 1))
    assert digest(folder) == first
    (folder / "train.py").write_text("print(2)")
    assert digest(folder) != first


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(InvalidArgument, match="cannot read"):
        packed(tmp_path / "nothing")


def test_a_folder_is_uploaded_once(windlass, plane, folder):
    for count in (1, 2):
        done = windlass("submit", "--source", str(folder), "--", "python3", "train.py")
        assert (done.exit_code, done.stdout) == (0, f"job-{count}\n"), done.output
        assert sent(plane).source.source_id == "source-1"
        assert ("uploading" in done.stderr) == (count == 1)
    (folder / "train.py").write_text("print(2)")
    windlass("submit", "--source", str(folder), "--", "python3", "train.py")
    assert sent(plane).source.source_id == "source-2"


async def test_the_clients_upload_once(plane, client: Client, folder):
    sizes: list[int] = []
    made = client.sources.upload(folder, on_progress=sizes.append)
    assert client.sources.upload(folder) == made
    assert sizes[-1] == made.size_bytes == len(plane.jobs.archives[made.source_id])
    assert [one.source_id for one in client.sources.list()] == [made.source_id]
    assert client.sources.delete(made.source_id) == made


def test_a_script_is_sent_as_it_is(windlass, plane, tmp_path):
    (tmp_path / "job.sh").write_text(SCRIPT)
    done = windlass("submit", "--script", str(tmp_path / "job.sh"), "--pip", "numpy>=2")
    assert done.exit_code == 0, done.output
    job = sent(plane)
    assert (job.script, job.name, list(job.command)) == (SCRIPT, "job.sh", [])
    assert list(job.python.requirements) == ["numpy>=2"]
    done = windlass("submit", "--script", "-", input=b"echo from the input\n")
    assert (sent(plane).script, sent(plane).name) == ("echo from the input\n", "")


def test_requirements_of_a_file_and_by_name_go_together(windlass, plane, tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# what we need\nnumpy>=2  # fast\n\ntorch; python_version > '3.10'\n")
    windlass("submit", "--requirements", str(file), "--pip", "tqdm", "--python", "3.12", "--", "x")
    python = sent(plane).python
    assert list(python.requirements) == ["numpy>=2", "torch; python_version > '3.10'", "tqdm"]
    assert python.version == "3.12"


def test_a_commit_is_named_behind_its_repository(windlass, plane):
    commit = "a" * 40
    windlass("submit", "--git", f"https://git.example/a/b.git@{commit}", "--", "make")
    git = sent(plane).source.git
    assert (git.repository, git.commit) == ("https://git.example/a/b.git", commit)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--script", "nothing.sh"], "cannot read nothing.sh"),
        (["--script", "-", "--", "true"], "a command or a --script, not both"),
        (["--git", "https://git.example/a", "--", "true"], "is not URL@COMMIT"),
        (["--git", "https://x/a@1", "--source", ".", "--", "true"], "exclude each other"),
        (["--requirements", "bad.txt", "--", "true"], "bad.txt:1: only requirements can be said"),
        (["--source", "nothing", "--", "true"], "cannot read nothing"),
    ],
)
def test_what_does_not_go_is_refused_before_it_is_sent(windlass, plane, tmp_path, arguments, words):
    (tmp_path / "bad.txt").write_text("-r other.txt\n")
    done = windlass("submit", *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert "SubmitJob" not in plane.state.requests


def test_a_script_replaces_the_command_of_a_file_and_the_other_way(windlass, plane, tmp_path):
    (tmp_path / "job.yaml").write_text("command: [true]\nname: kept\n")
    (tmp_path / "script.yaml").write_text("script: echo 1\n")
    windlass("submit", "-f", "job.yaml", "--script", "-", input=b"echo 2\n")
    assert (sent(plane).script, list(sent(plane).command), sent(plane).name) == (
        "echo 2\n",
        [],
        "kept",
    )
    windlass("submit", "-f", "script.yaml", "--", "true")
    assert (sent(plane).script, list(sent(plane).command)) == ("", ["true"])


def test_archives_are_uploaded_listed_and_deleted(windlass, folder):
    done = windlass("sources", "upload", str(folder))
    assert (done.exit_code, done.stdout) == (0, "source-1\n"), done.output
    assert "source-1" in windlass("sources", "list").stdout
    listed = json.loads(windlass("sources", "list", "-o", "json").stdout)
    assert [one["source_id"] for one in listed["sources"]] == ["source-1"]
    done = windlass("sources", "delete", "source-1", "source-9")
    assert (done.stdout, done.exit_code != 0) == ("source-1\n", True)
    assert "source-9" in done.stderr
