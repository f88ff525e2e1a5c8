"""The first start, and the administrator's key."""

import asyncio
import stat
from pathlib import Path

import pytest

from tests.support.access import Access
from tests.support.fake_clock import FakeClock
from windlass_server.access import bootstrap
from windlass_server.access.bootstrap import AdminKey, rotate_admin_key
from windlass_server.access.policy import Role
from windlass_server.errors import BadConfiguration, Unauthenticated, WrongState
from windlass_server.storage.engine import Database, open_database

PEPPER = b"pepper"


def files(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


async def start(database: Database, folder: Path) -> AdminKey:
    return await bootstrap.bootstrap(database, FakeClock(), PEPPER, folder)


async def test_the_first_start_makes_an_administrator(access: Access, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    caller = await access.authenticator.authenticate([f"Bearer {access.admin_key}"])
    assert (caller.user, caller.organisation_role) == ("admin", Role.ADMIN)
    assert caller.default_project == "default"
    assert files(tmp_path) == ["admin.token"]


async def test_later_starts_leave_the_file_alone(database: Database, tmp_path: Path) -> None:
    assert (await start(database, tmp_path)).made
    before = (tmp_path / "admin.token").read_text()
    assert await start(database, tmp_path) == AdminKey(tmp_path / "admin.token")
    assert (tmp_path / "admin.token").read_text() == before


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_text("nonsense"),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
async def test_a_lost_file_says_how_to_get_another(
    database: Database, tmp_path: Path, spoil: object
) -> None:
    await start(database, tmp_path)
    assert callable(spoil)
    spoil(tmp_path / "admin.token")
    found = await start(database, tmp_path)
    assert not found.made
    assert "windlass server --new-admin-key" in found.problem


async def test_the_key_of_another_installation_is_noticed(
    database: Database, tmp_path: Path
) -> None:
    await start(database, tmp_path)
    other = await bootstrap.bootstrap(database, FakeClock(), b"other pepper", tmp_path)
    assert "not good for this database" in other.problem


async def test_of_several_first_starts_one_wins(database_url: str, tmp_path: Path) -> None:
    databases = [await open_database(database_url, shared=True) for _ in range(3)]
    made = await asyncio.gather(*(start(one, tmp_path) for one in databases))
    assert sorted(one.made for one in made) == [False, False, True]
    assert (await start(databases[0], tmp_path)).problem == ""
    assert files(tmp_path) == ["admin.token"]
    for one in databases:
        await one.close()


async def test_without_a_place_for_the_key_nothing_is_set_up(
    database: Database, tmp_path: Path
) -> None:
    with pytest.raises(BadConfiguration, match="No such file"):
        await start(database, tmp_path / "nowhere")
    assert (await start(database, tmp_path)).made


async def test_a_new_key_replaces_the_old(
    access: Access, database: Database, tmp_path: Path
) -> None:
    made = await rotate_admin_key(database, access.clock, access.secrets.api_key_pepper, tmp_path)
    key = made.path.read_text().strip()
    assert key != access.admin_key
    assert (await access.authenticator.verify_api_key(key)).caller.organisation_role is Role.ADMIN
    with pytest.raises(Unauthenticated, match="revoked"):
        await access.authenticator.verify_api_key(access.admin_key)


async def test_there_is_no_new_key_for_what_was_never_set_up(
    database: Database, tmp_path: Path
) -> None:
    with pytest.raises(WrongState):
        await rotate_admin_key(database, FakeClock(), PEPPER, tmp_path)
    assert not files(tmp_path)
