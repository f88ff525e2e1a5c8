"""The master secret and what is derived from it."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from windlass_server.access import private_files
from windlass_server.access.secrets import Secrets, derive, load_secrets
from windlass_server.errors import BadConfiguration


def parts(secrets: Secrets) -> tuple[bytes, ...]:
    return (
        secrets.signing_key.private_bytes_raw(),
        secrets.api_key_pepper,
        secrets.join_token_pepper,
        secrets.page_token_key,
    )


def test_the_derivation_never_changes() -> None:
    """Another label would make every key and token in the world useless."""
    assert [one.hex()[:16] for one in parts(derive(bytes(32)))] == [
        "a68db88b08b341b5",
        "0c3f9a303b4d4274",
        "749dc5ab35f5968e",
        "b0cb1376d5f231dd",
    ]


def test_each_purpose_has_a_key_of_its_own() -> None:
    assert len(set(parts(derive(b"m" * 32)))) == 4
    assert parts(derive(b"m" * 32)) != parts(derive(b"n" * 32))


def test_the_file_is_made_once_and_private(tmp_path: Path) -> None:
    first = parts(load_secrets(tmp_path))
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert parts(load_secrets(tmp_path)) == first
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_a_configured_secret_needs_no_file(tmp_path: Path) -> None:
    assert parts(load_secrets(tmp_path, "00" * 32)) == parts(derive(bytes(32)))
    assert not list(tmp_path.iterdir())


def test_those_who_start_at_once_agree(tmp_path: Path) -> None:
    barrier = Barrier(8)

    def start(_: int) -> tuple[bytes, ...]:
        barrier.wait()
        return parts(load_secrets(tmp_path))

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(start, range(8)))) == 1


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "0" * 63, "0" * 66])
def test_what_is_no_secret_is_refused(tmp_path: Path, text: str) -> None:
    private_files.create(tmp_path / "secret.key", text)
    with pytest.raises(BadConfiguration, match="64 hexadecimal digits"):
        load_secrets(tmp_path)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_secrets(tmp_path)
    (tmp_path / "secret.key").chmod(0o640)
    with pytest.raises(BadConfiguration, match="chmod 600"):
        load_secrets(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="No such file"):
        load_secrets(tmp_path / "nowhere")


def test_a_secret_does_not_show_in_logs() -> None:
    assert "pepper" not in repr(derive(bytes(32)))
