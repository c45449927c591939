"""Keys: found by their hash, revoked for good, and reachable while a server owns the data folder."""

from pathlib import Path

import pytest

from respun.store import keys
from respun.store.backend import Backend
from respun.store.keys import Key
from respun.store.opening import open_backend, open_beside

SECRET = "sk-respun-" + "x" * 43


@pytest.fixture
async def store(place: str):
    backend = await open_backend(place)
    yield backend
    await backend.close()


def a_key(ident: str = "key_1", project: str = "default") -> Key:
    return Key(id=ident, project=project, name="laptop", hint=keys.hint_of(SECRET), created_at=1.0)


async def test_a_key_is_found_by_the_hash_of_its_secret_and_the_secret_is_not_stored(store: Backend) -> None:
    await store.write(lambda tx: keys.add(tx, SECRET, a_key(project="team-a")))
    found = await store.read(lambda tx: keys.find(tx, keys.hash_of(SECRET.encode())))
    assert found == a_key(project="team-a")
    assert SECRET not in str(await store.read(keys.listed))


async def test_adding_the_same_secret_again_gives_the_key_that_is_there(store: Backend) -> None:
    await store.write(lambda tx: keys.add(tx, SECRET, a_key("key_1")))
    assert (await store.write(lambda tx: keys.add(tx, SECRET, a_key("key_2")))).id == "key_1"
    assert len(await store.read(keys.listed)) == 1


async def test_a_revoked_key_still_counts_as_made_but_not_as_live(store: Backend) -> None:
    assert not await store.read(keys.any_made)
    await store.write(lambda tx: keys.add(tx, SECRET, a_key()))
    assert await store.read(keys.any_live)
    assert await store.write(lambda tx: keys.revoke(tx, "key_1", 5.0))
    assert not await store.write(lambda tx: keys.revoke(tx, "key_1", 9.0))
    assert not await store.read(keys.any_live)
    assert await store.read(keys.any_made)
    assert (await store.read(keys.listed))[0].revoked_at == 5.0


async def test_a_command_may_make_a_key_while_a_server_owns_the_folder(tmp_path: Path) -> None:
    server = await open_backend(tmp_path / "data")
    command = await open_beside(tmp_path / "data")
    await command.write(lambda tx: keys.add(tx, SECRET, a_key()))
    await command.close()
    assert (await server.read(keys.listed))[0].id == "key_1"
    await server.write(lambda tx: keys.revoke(tx, "key_1", 2.0))
    await server.close()
