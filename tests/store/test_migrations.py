"""How the schema moves forward, on both databases."""

import asyncio
from pathlib import Path

import pytest

from respun.store.backend import StoreRefused
from respun.store.migrations import Migration, load, shipped, split
from respun.store.opening import open_backend
from respun.store.statements import parse

sql = parse(
    """
-- name: put
-- A row of the first table.
insert into a (id, text) values (:id, :text);
-- name: put_tag
-- A row of the second table.
insert into tags (a) values (:a);
-- name: history
-- What the database has had.
select number, name from schema_migrations order by number;
-- name: setting
-- From the schema that is shipped.
insert into settings (name, value) values (:name, :value);
""",
    "test_migrations.py",
)
FIRST = Migration(1, "first", *2 * ("create table a (id {bigint} primary key, text text not null);",))
SECOND = Migration(2, "second", *2 * ("create table tags (seq {bigserial key}, a {bigint} references a (id));",))
BROKEN = Migration(2, "broken", *2 * ("create table b (id bigint); insert into nowhere values (1);",))


async def history(place: str, migrations: list[Migration]) -> list[tuple[int, str]]:
    backend = await open_backend(place, migrations=migrations)
    try:
        return [(row[0], row[1]) for row in await backend.scan(lambda tx: tx.all(sql.history))]
    finally:
        await backend.close()


async def test_a_later_release_adds_to_the_schema_and_keeps_the_rows(place: str) -> None:
    backend = await open_backend(place, migrations=[FIRST])
    await backend.write(lambda tx: tx.run(sql.put, id=1, text="kept"))
    await backend.close()
    backend = await open_backend(place, migrations=[FIRST, SECOND])
    await backend.write(lambda tx: tx.run(sql.put_tag, a=1))
    await backend.close()
    assert await history(place, [FIRST, SECOND]) == [(1, "first"), (2, "second")]


async def test_an_older_release_refuses_the_schema_of_a_later_one(place: str) -> None:
    await history(place, [FIRST, SECOND])
    with pytest.raises(StoreRefused, match="has schema 2, this release knows up to 1"):
        await open_backend(place, migrations=[FIRST])


async def test_a_migration_that_was_changed_is_refused(place: str) -> None:
    await history(place, [FIRST])
    changed = Migration(1, "first", FIRST.sqlite + " ", FIRST.postgres + " ")
    with pytest.raises(StoreRefused, match="another text of migration 0001_first"):
        await open_backend(place, migrations=[changed])


async def test_a_migration_that_fails_leaves_nothing_of_itself(place: str) -> None:
    with pytest.raises(Exception, match="nowhere"):
        await open_backend(place, migrations=[FIRST, BROKEN])
    assert await history(place, [FIRST]) == [(1, "first")]
    good = Migration(2, "good", *2 * ("create table b (id bigint);",))
    assert await history(place, [FIRST, good]) == [(1, "first"), (2, "good")]


async def test_nodes_that_start_together_apply_each_migration_once(postgres_url) -> None:
    url = postgres_url()
    assert (
        await asyncio.gather(*[history(url, [FIRST, SECOND]) for _ in range(4)]) == [[(1, "first"), (2, "second")]] * 4
    )


async def test_the_shipped_schema_has_settings(place: str) -> None:
    backend = await open_backend(place)
    assert await backend.write(lambda tx: tx.run(sql.setting, name="a", value="b")) == 1
    await backend.close()
    assert shipped()[0].name == "settings"


def test_migrations_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("0002_b.sqlite.sql", "0002_b.postgres.sql", "0001_a.sql", "README.md"):
        (tmp_path / name).write_text(f"select '{name}';")
    first, second = load(tmp_path)
    assert (first.name, first.sqlite) == ("a", first.postgres)
    assert (second.sqlite, second.postgres) == ("select '0002_b.sqlite.sql';", "select '0002_b.postgres.sql';")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["0001_a.sql", "0001_b.sql"], "Two migrations have the number 0001"),
        (["0001_a.sqlite.sql"], "0001 is there for sqlite only"),
        (["0001_a.sqlite.sql", "0001_b.postgres.sql"], "0001 is called a and b"),
        (["1_a.sql"], "1_a.sql isn't named like a migration"),
    ],
)
def test_files_that_contradict_each_other_are_refused(tmp_path: Path, names: list[str], says: str) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1;")
    with pytest.raises(ValueError, match=says):
        load(tmp_path)


def test_a_trigger_stays_one_statement() -> None:
    trigger = "create trigger t after insert on a begin update a set b = ';'; delete from c; end;"
    assert [part.strip() for part in split(f"select 1; -- a; b\n{trigger}\nselect ';';\n")] == [
        "select 1;",
        f"-- a; b\n{trigger}",
        "select ';';",
    ]
