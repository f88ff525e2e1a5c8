"""The access store on both engines."""

import pytest

from windlass_server.storage.engine import Database
from windlass_server.storage.tables import ApiKeyRow, JoinTokenRow
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")


def a_key(key_id: str, **changes: object) -> ApiKeyRow:
    values: dict[str, object] = {
        "key_id": key_id,
        "user": "ann",
        "project": "vision",
        "role": 2,
        "display_name": "",
        "secret_digest": b"digest",
        "created_at": 1,
        "expires_at": None,
        "revoked_at": None,
    }
    return ApiKeyRow(**(values | changes))


def populate(tx: Transaction) -> None:
    tx.access.found_organisation("org", "org", 1)
    for project in ("audio", "speech", "vision"):
        tx.access.add_project(project, "org", project.title(), 1)
    tx.access.add_principal("ann", "vision", 1)


async def test_the_organisation_is_founded_once(database: Database) -> None:
    assert not await database.read(lambda tx: tx.access.has_organisation())
    assert await database.write(lambda tx: tx.access.found_organisation("org", "org", 1))
    assert not await database.write(lambda tx: tx.access.found_organisation("org", "org", 2))
    assert await database.read(lambda tx: tx.access.has_organisation())


async def test_a_name_that_is_taken_spoils_nothing(database: Database) -> None:
    def work(tx: Transaction) -> list[bool]:
        populate(tx)
        again = tx.access.add_project("vision", "org", "Other", 2)
        return [again, tx.access.add_principal("ann", "audio", 2), True]

    assert await database.write(work) == [False, False, True]
    found = await database.read(lambda tx: tx.access.project("vision"))
    assert found is not None
    assert (found.display_name, found.created_at) == ("Vision", 1)


async def test_projects_are_paged_by_name(database: Database) -> None:
    await database.write(populate)

    def names(tx: Transaction, after: str, size: int, among: list[str] | None) -> list[str]:
        rows = tx.access.projects(after=after, size=size, among=among)
        return [row.project for row in rows]

    assert await database.read(lambda tx: names(tx, "", 2, None)) == ["audio", "speech"]
    assert await database.read(lambda tx: names(tx, "speech", 2, None)) == ["vision"]
    assert await database.read(lambda tx: names(tx, "", 9, ["vision", "x"])) == ["vision"]
    assert await database.read(lambda tx: names(tx, "", 9, [])) == []


async def test_a_role_is_raised_and_never_lowered(database: Database) -> None:
    def work(tx: Transaction) -> list[int]:
        populate(tx)
        seen = [tx.access.role("ann", "vision")]
        for role in (2, 3, 1):
            tx.access.give_role("ann", "vision", role)
            seen.append(tx.access.role("ann", "vision"))
        return [*seen, tx.access.role("ann", "audio"), tx.access.role("ann", "")]

    assert await database.write(work) == [0, 2, 3, 3, 0, 0]


async def test_a_credential_comes_with_what_its_principal_may(database: Database) -> None:
    def work(tx: Transaction) -> None:
        populate(tx)
        tx.access.add_key(a_key("k1", expires_at=9))
        tx.access.give_role("ann", "audio", 3)

    await database.write(work)
    found = await database.read(lambda tx: tx.access.credential("k1"))
    assert found is not None
    assert (found.user, found.project, found.role, found.default_project) == (
        "ann",
        "vision",
        2,
        "vision",
    )
    assert (found.project_role, found.organisation_role) == (0, 0)
    assert (bytes(found.secret_digest), found.expires_at, found.revoked_at) == (b"digest", 9, None)

    def give(tx: Transaction) -> None:
        tx.access.give_role("ann", "vision", 1)
        tx.access.give_role("ann", "", 3)

    await database.write(give)
    found = await database.read(lambda tx: tx.access.credential("k1"))
    assert found is not None
    assert (found.project_role, found.organisation_role) == (1, 3)
    assert await database.read(lambda tx: tx.access.credential("k2")) is None


async def test_keys_are_paged_newest_first(database: Database) -> None:
    def work(tx: Transaction) -> None:
        populate(tx)
        for key_id, created_at in (("a", 1), ("c", 2), ("b", 2), ("d", 3)):
            tx.access.add_key(a_key(key_id, created_at=created_at))

    def ids(tx: Transaction, behind: tuple[int, str] | None) -> list[str]:
        return [row.key_id for row in tx.access.keys(behind=behind, size=2)]

    await database.write(work)
    assert await database.read(lambda tx: ids(tx, None)) == ["d", "c"]
    assert await database.read(lambda tx: ids(tx, (2, "c"))) == ["b", "a"]
    assert await database.read(lambda tx: ids(tx, (1, "a"))) == []


async def test_a_key_is_revoked_once(database: Database) -> None:
    def work(tx: Transaction) -> None:
        populate(tx)
        tx.access.add_key(a_key("k1"))
        tx.access.add_key(a_key("k2", project=""))
        tx.access.add_key(a_key("k3", project=""))
        for at in (5, 6):
            tx.access.revoke_key("k1", at)
        tx.access.revoke_key("k3", 5)
        tx.access.revoke_key("nobody", 5)

    await database.write(work)
    found = await database.read(lambda tx: tx.access.key("k1"))
    assert found is not None
    assert found.revoked_at == 5
    assert await database.read(lambda tx: tx.access.organisation_keys("ann")) == ["k2"]


async def test_a_join_token_is_used_as_often_as_it_may_be(database: Database) -> None:
    row = JoinTokenRow(
        token_id="t",
        secret_digest=b"d",
        created_by="ann",
        created_at=1,
        expires_at=2,
        max_uses=2,
        uses=0,
    )

    def work(tx: Transaction) -> list[bool]:
        tx.access.add_join_token(row)
        return [tx.access.use_join_token("t", node) for node in ("n1", "n2", "n3")]

    assert await database.write(work) == [True, True, False]
    found = await database.read(lambda tx: tx.access.join_token("t"))
    assert found is not None
    assert (found.uses, found.max_uses) == (2, 2)
    used = await database.read(
        lambda tx: [tx.access.used_join_token("t", node) for node in ("n1", "n2", "n3")]
    )
    assert used == [True, True, False]
    assert not await database.write(lambda tx: tx.access.use_join_token("x", "n1"))


async def test_an_unknown_node_has_no_key(database: Database) -> None:
    assert await database.read(lambda tx: tx.access.node_key("node-1")) is None
