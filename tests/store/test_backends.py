"""What both backends promise a repository."""

import asyncio
import time

import pytest
from notes import MIGRATIONS, count, put, sql

from respun.store.backend import (
    Backend,
    ConstraintViolation,
    ForeignKeyViolation,
    Settings,
    StorageUnavailable,
    TooSlow,
    Tx,
    UniqueViolation,
)
from respun.store.opening import open_backend


async def test_what_was_written_is_there_after_reopening(place: str) -> None:
    first = await open_backend(place, migrations=MIGRATIONS)
    await first.write(lambda tx: put(tx, "a", 1, "text"))
    await first.close()
    second = await open_backend(place, migrations=MIGRATIONS)
    row = await second.read(lambda tx: tx.one(sql.at, thread="a", place=1))
    await second.close()
    assert row is not None
    assert row["body"] == "text"


async def test_every_kind_of_value_comes_back_as_it_was(backend: Backend) -> None:
    given = {
        "thread": "ünï\U0001f600",
        "place": 2**40,
        "body": None,
        "bytes": b"\x00\xff",
        "weight": 0.1,
        "done": True,
        "extra": '{"a":1}',
    }
    added = await backend.write(lambda tx: tx.one(sql.add, **given))
    row = await backend.read(lambda tx: tx.one(sql.at, thread=given["thread"], place=2**40))
    assert added is not None
    assert row is not None
    assert added[0] == added["seq"] == row["seq"] == 1
    assert [row[name] for name in ("thread", "place", "body", "bytes", "weight", "done")] == list(given.values())[:-1]
    assert dict(row)["extra"].replace(" ", "") == given["extra"]
    assert len(row) == len(list(row)) == len(list(row.keys())) == 8


async def test_a_sum_of_whole_numbers_is_a_whole_number(backend: Backend) -> None:
    await backend.write(lambda tx: tx.many(sql.put, [("a", 1, ""), ("a", 2, "")]))
    row = await backend.read(lambda tx: tx.one(sql.count))
    assert row is not None
    assert (type(row["places"]), row["places"]) == (int, 3)


async def test_many_takes_tuples_and_mappings(backend: Backend) -> None:
    await backend.write(lambda tx: tx.many(sql.put, [("a", n, "x") for n in range(50)]))
    await backend.write(lambda tx: tx.many(sql.put, [{"place": n, "body": "y", "thread": "b"} for n in range(50)]))
    assert await backend.read(count) == 100


async def test_a_page_follows_its_cursor(backend: Backend) -> None:
    await backend.write(lambda tx: tx.many(sql.put, [("a", n, "x") for n in range(5)]))
    first = await backend.read(lambda tx: tx.all(sql.page, thread="a", after=None, limit=2))
    second = await backend.read(lambda tx: tx.all(sql.page, thread="a", after=first[-1]["place"], limit=9))
    assert [row["place"] for row in first + second] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("places", "found"), [([1, 3, 99], [1, 3]), ([], []), ((4,), [4])])
async def test_a_list_is_one_parameter(backend: Backend, places: list[int], found: list[int]) -> None:
    await backend.write(lambda tx: tx.many(sql.put, [("it's", n, "x") for n in range(5)]))
    rows = await backend.read(lambda tx: tx.all(sql.among, threads=["it's", 'b"'], places=places))
    assert [row[0] for row in rows] == found


async def test_the_number_of_changed_rows_is_told(backend: Backend) -> None:
    await backend.write(lambda tx: tx.many(sql.put, [("a", n, "x") for n in range(3)]))
    assert await backend.write(lambda tx: tx.run(sql.move, thread="a", there="b")) == 3
    assert await backend.write(lambda tx: tx.run(sql.move_through_a_query, thread="b", there="c")) == 3
    assert await backend.write(lambda tx: tx.run(sql.claim, most=9)) == 0
    assert await backend.write(lambda tx: tx.run(sql.move, thread="nobody", there="b")) == 0


async def test_the_clock_of_the_database_counts_from_1970(backend: Backend) -> None:
    row = await backend.read(lambda tx: tx.one(sql.now))
    assert row is not None
    assert abs(row["now"] - time.time()) < 5


async def test_a_unit_that_raises_leaves_nothing_and_tells_its_caller(backend: Backend) -> None:
    async def spoilt(tx: Tx) -> None:
        await put(tx, "a", 1)
        raise ConnectionError("mine")

    with pytest.raises(ConnectionError, match="mine"):
        await backend.write(spoilt)
    assert await backend.read(count) == 0


async def test_a_unit_that_raises_doesnt_harm_those_beside_it(backend: Backend) -> None:
    async def unit(tx: Tx, number: int) -> int:
        await put(tx, "a", number)
        if number % 3 == 0:
            raise LookupError(number)
        return number

    def one(number: int) -> asyncio.Future[int]:
        return asyncio.ensure_future(backend.write(lambda tx: unit(tx, number)))

    ended = await asyncio.gather(*[one(n) for n in range(30)], return_exceptions=True)
    assert [n for n, end in enumerate(ended) if isinstance(end, LookupError)] == list(range(0, 30, 3))
    assert await backend.read(count) == 20


async def test_64_writers_lose_nothing(backend: Backend) -> None:
    async def writer(name: str) -> None:
        for number in range(10):
            await backend.write(lambda tx, number=number: put(tx, name, number))

    await asyncio.gather(*[writer(f"w{n}") for n in range(64)])
    assert await backend.read(count) == 640


async def test_a_second_row_with_the_same_key_is_a_unique_violation(backend: Backend) -> None:
    await backend.write(lambda tx: put(tx, "a", 1))
    with pytest.raises(UniqueViolation) as violation:
        await backend.write(lambda tx: put(tx, "a", 1))
    assert (violation.value.table, violation.value.columns) == ("notes", ("thread", "place"))


async def test_a_partial_unique_index_names_its_columns(backend: Backend) -> None:
    fresh = {"thread": "a", "body": None, "bytes": None, "weight": None, "done": False, "extra": None}
    await backend.write(lambda tx: tx.one(sql.add, place=0, **fresh))
    await backend.write(lambda tx: tx.run(sql.move, thread="a", there="b"))
    with pytest.raises(UniqueViolation) as violation:
        await backend.write(lambda tx: tx.one(sql.add, place=0, **(fresh | {"thread": "b"})))
    assert violation.value.table == "notes"
    assert violation.value.columns in [("thread",), ("thread", "place")]


async def test_a_mark_on_a_note_that_isnt_there_is_a_foreign_key_violation(backend: Backend) -> None:
    with pytest.raises(ForeignKeyViolation):
        await backend.write(lambda tx: tx.run(sql.mark, note=1, name="x"))


async def test_a_value_that_breaks_a_check_is_a_constraint_violation(backend: Backend) -> None:
    with pytest.raises(ConstraintViolation):
        await backend.write(lambda tx: put(tx, "a", -1))


async def test_what_fails_in_a_savepoint_is_undone_and_the_unit_goes_on(backend: Backend) -> None:
    async def spoilt(tx: Tx) -> None:
        async with tx.savepoint():
            await put(tx, "a", 2)
            await put(tx, "a", 1)

    async def unit(tx: Tx) -> None:
        await put(tx, "a", 1)
        with pytest.raises(UniqueViolation):
            await spoilt(tx)
        async with tx.savepoint():
            await put(tx, "a", 3)

    await backend.write(unit)
    rows = await backend.scan(lambda tx: tx.all(sql.page, thread="a", after=None, limit=9))
    assert [row["place"] for row in rows] == [1, 3]


async def test_two_workers_never_claim_one_note(backend: Backend) -> None:
    fresh = {"thread": "a", "body": None, "bytes": None, "weight": None, "done": False, "extra": None}
    await backend.write(lambda tx: tx.many(sql.add, [fresh | {"place": n} for n in range(1, 21)]))
    claims = [backend.write(lambda tx: tx.all(sql.claim, most=3)) for _ in range(8)]
    claimed = [row["seq"] for rows in await asyncio.gather(*claims) for row in rows]
    assert sorted(claimed) == list(range(1, 21))


async def test_reads_cant_write(backend: Backend) -> None:
    if backend.kind == "postgres":
        with pytest.raises(Exception, match="read-only"):
            await backend.scan(lambda tx: put(tx, "a", 1))
        return
    for way in (backend.read, backend.scan):
        with pytest.raises(StorageUnavailable):
            await way(lambda tx: put(tx, "a", 1))


async def test_a_scan_sees_one_state_from_its_start_to_its_end(backend: Backend) -> None:
    loop = asyncio.get_running_loop()
    await backend.write(lambda tx: put(tx, "a", 1))

    async def unit(tx: Tx) -> tuple[int, int]:
        before = await count(tx)
        writing = asyncio.run_coroutine_threadsafe(backend.write(lambda tx: put(tx, "a", 2)), loop)
        if backend.kind == "sqlite":
            writing.result(10)
        else:
            await asyncio.wrap_future(writing)
        return before, await count(tx)

    assert await backend.scan(unit) == (1, 1)
    assert await backend.scan(count) == 2


async def test_a_scan_that_takes_too_long_is_stopped_and_the_next_one_works(place: str) -> None:
    backend = await open_backend(place, Settings(scan_seconds=0.1), MIGRATIONS)
    with pytest.raises(TooSlow):
        await backend.scan(lambda tx: tx.all(sql.stretch))
    assert await backend.scan(count) == 0
    await backend.close()


async def test_a_missing_and_an_unknown_parameter_are_named(backend: Backend) -> None:
    for given in ({"thread": "a"}, {"thread": "a", "place": 1, "more": 2}, {"thread": "a", "plaice": 1}):
        with pytest.raises(TypeError, match="Statement at takes thread, place; it was given"):
            await backend.read(lambda tx, given=given: tx.one(sql.at, **given))


async def test_a_notice_reaches_each_listener_of_its_channel(backend: Backend) -> None:
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    await backend.listen("Runs", lambda payload: heard.put_nowait(("one", payload)))
    await backend.listen("Runs", lambda payload: heard.put_nowait(("two", payload)))
    await backend.notify("other", "not for them")
    await backend.notify("Runs", "it's here")
    got = [await asyncio.wait_for(heard.get(), 5) for _ in range(2)]
    assert sorted(got) == [("one", "it's here"), ("two", "it's here")]
    assert heard.empty()


async def test_who_stops_listening_hears_nothing_more(backend: Backend) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    gone: list[str] = []
    await backend.listen("runs", gone.append)
    await backend.unlisten("runs", gone.append)
    await backend.listen("runs", heard.put_nowait)
    await backend.notify("runs", "x")
    assert await asyncio.wait_for(heard.get(), 5) == "x"
    assert gone == []


async def test_a_notice_that_is_too_long_is_refused(backend: Backend) -> None:
    with pytest.raises(ValueError, match="7999 bytes"):
        await backend.notify("runs", "ä" * 4000)


async def test_a_closed_store_says_so(place: str) -> None:
    backend = await open_backend(place, migrations=MIGRATIONS)
    await backend.close()
    await backend.close()
    for way in (backend.write, backend.read, backend.scan):
        with pytest.raises(StorageUnavailable):
            await way(count)
