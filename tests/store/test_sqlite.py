"""What holds for a store in a data folder: its commits, its files, and what it says when it can't be opened."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from notes import MIGRATIONS, count, put, sql

from respun.store.backend import Settings, StorageFull, StoreRefused, SuspendedUnit, Tx, UniqueViolation
from respun.store.migrations import Migration
from respun.store.opening import open_backend
from respun.store.statements import parse

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src"
NOBODY = 65534


async def test_units_that_spoil_a_shared_commit_are_undone_alone(tmp_path: Path) -> None:
    backend = await open_backend(tmp_path / "data", migrations=MIGRATIONS)

    async def unit(tx: Tx, number: int) -> None:
        await put(tx, f"t{number}", 1)
        await put(tx, f"t{number - number % 2}", 2)  # an odd one repeats its neighbour's key

    waiting = [asyncio.ensure_future(backend.write(lambda tx, n=n: unit(tx, n))) for n in range(20)]
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ended] == [type(None), UniqueViolation] * 10
    assert await backend.read(count) == 20
    await backend.close()


async def test_a_constraint_that_is_checked_at_commit_fails_only_its_unit(tmp_path: Path) -> None:
    schema = """create table a (id bigint primary key);
        create table b (a bigint references a (id) deferrable initially deferred);"""
    backend = await open_backend(tmp_path / "data", migrations=[Migration(1, "ab", schema, schema)])
    own = parse(
        "-- name: add\n-- x\ninsert into a values (:id);\n-- name: point\n-- x\ninsert into b values (:id);", "ab"
    )
    waiting = [backend.write(lambda tx, n=n: tx.run(own.add if n % 2 else own.point, id=n)) for n in range(8)]
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    await backend.close()
    assert [isinstance(end, Exception) for end in ended] == [True, False] * 4


async def test_a_unit_whose_caller_left_before_its_turn_is_not_run(tmp_path: Path) -> None:
    backend = await open_backend(tmp_path / "data", migrations=MIGRATIONS)
    leaving = asyncio.ensure_future(backend.write(lambda tx: put(tx, "a", 1)))
    await asyncio.sleep(0)
    leaving.cancel()
    await backend.write(lambda tx: put(tx, "a", 2))
    assert await backend.read(lambda tx: tx.one(sql.at, thread="a", place=1)) is None
    await backend.close()


async def test_a_unit_that_awaits_something_else_is_told_so_and_undone(tmp_path: Path) -> None:
    backend = await open_backend(tmp_path / "data", migrations=MIGRATIONS)

    async def sleepy(tx: Tx) -> None:
        await put(tx, "a", 1)
        await asyncio.sleep(0)

    with pytest.raises(SuspendedUnit, match="sleepy awaited something other than its transaction"):
        await backend.write(sleepy)
    assert await backend.read(count) == 0
    await backend.close()


async def test_a_full_database_refuses_what_is_too_much_and_stays_readable(tmp_path: Path) -> None:
    backend = await open_backend(tmp_path / "data", Settings(max_bytes=1 << 20), MIGRATIONS)
    waiting = [backend.write(lambda tx, n=n: put(tx, "a", n, "x" * 50_000)) for n in range(64)]
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    stored = [n for n, end in enumerate(ended) if end is None]
    assert 10 < len(stored) < 30
    assert {type(end) for end in ended} == {type(None), StorageFull}
    assert await backend.read(count) == len(stored)
    await backend.write(lambda tx: tx.run(sql.clear, thread="a"))
    await backend.write(lambda tx: put(tx, "b", 1, "x" * 50_000))
    await backend.close()


async def test_every_acknowledged_row_survives_kill_9(tmp_path: Path) -> None:
    script = HERE / "writer.py"
    acknowledged: set[str] = set()
    for seed in range(4):
        command = [sys.executable, str(script), str(tmp_path / "data"), str(seed)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": str(SOURCES)})
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        await asyncio.sleep(random.Random(seed).uniform(0.02, 0.3))
        writer.kill()
        told, _ = writer.communicate()
        acknowledged.update(line for line in told.decode().split("\n")[:-1])
    backend = await open_backend(tmp_path / "data", migrations=MIGRATIONS)
    rows = await backend.scan(lambda tx: tx.all(sql.everything))
    await backend.close()
    stored = {f"{row['thread']} {row['place']}" for row in rows}
    assert len(acknowledged) > 100
    assert acknowledged <= stored
    # Each unit writes a pair.
    assert all(f"{thread} {int(place) ^ 1}" in stored for thread, place in map(str.split, stored))


async def test_the_folder_and_its_files_are_for_their_owner_only(tmp_path: Path) -> None:
    backend = await open_backend(f"sqlite:///{tmp_path}/data", migrations=MIGRATIONS)
    await backend.write(lambda tx: put(tx, "a", 1))
    modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "data", *(tmp_path / "data").iterdir()]}
    await backend.close()
    assert modes.pop("data") == 0o700
    assert {"respun.db", "respun.db-wal", "lock", "reserve"} <= set(modes)
    assert set(modes.values()) == {0o600}


async def test_a_second_process_is_told_who_has_the_folder(tmp_path: Path) -> None:
    backend = await open_backend(tmp_path / "data", migrations=MIGRATIONS)
    with pytest.raises(StoreRefused, match=rf"in use by another process \(pid {os.getpid()}\)"):
        await open_backend(tmp_path / "data", migrations=MIGRATIONS)
    await backend.write(lambda tx: put(tx, "a", 1))
    await backend.close()
    await (await open_backend(tmp_path / "data", migrations=MIGRATIONS)).close()


async def test_the_reserve_is_there_and_comes_back_after_use(tmp_path: Path) -> None:
    settings = Settings(max_bytes=1 << 20, reserve_bytes=1 << 20)
    backend = await open_backend(tmp_path / "data", settings, MIGRATIONS)
    reserve = tmp_path / "data" / "reserve"
    assert reserve.stat().st_blocks * 512 >= 1 << 20
    with pytest.raises(StorageFull):
        await backend.write(lambda tx: put(tx, "a", 1, "x" * 2_000_000), frees_space=True)
    assert not reserve.exists()
    assert await backend.restore_reserve()
    assert reserve.stat().st_size == 1 << 20
    await backend.close()


async def test_deleted_text_is_not_left_in_the_files(tmp_path: Path) -> None:
    backend = await open_backend(tmp_path / "data", migrations=MIGRATIONS)
    secret = "a secret that must go"
    await backend.write(lambda tx: put(tx, "a", 1, secret))
    await backend.write(lambda tx: tx.run(sql.clear, thread="a"))
    await backend.close()
    assert all(secret.encode() not in file.read_bytes() for file in (tmp_path / "data").iterdir())


async def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(StoreRefused, match=r"is a file\. The store needs a folder"):
        await open_backend(tmp_path / "data")


async def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match=r"missing doesn't exist\. Create it first"):
        await open_backend(tmp_path / "missing" / "data")


async def test_another_scheme_is_refused() -> None:
    with pytest.raises(StoreRefused, match="can't be a mysql:// address"):
        await open_backend("mysql://host/db")


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "respun.db").write_bytes(content)
    with pytest.raises(StoreRefused, match=r"isn't a respun database|is damaged"):
        await open_backend(tmp_path / "data", migrations=MIGRATIONS)
    assert (tmp_path / "data" / "respun.db").read_bytes() == content


async def test_a_refused_folder_is_free_again(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "respun.db"
    database.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreRefused):
        await open_backend(tmp_path / "data", migrations=MIGRATIONS)
    database.unlink()
    await (await open_backend(tmp_path / "data", migrations=MIGRATIONS)).close()


def test_a_folder_that_cant_be_written_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    # Root may write everywhere, so it asks as somebody else, having loaded the code as itself.
    code = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from respun.store.opening import open_backend\n"
        "import respun.store.sqlite\n"
        f"os.geteuid() or os.seteuid({NOBODY})\n"
        "asyncio.run(open_backend(Path(sys.argv[1]), migrations=[]))"
    )
    command = [sys.executable, "-c", code, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(SOURCES)}, check=False)
    assert ended.stderr.endswith("can't be written by this user. Make it writable or give another.\n")


async def test_another_program_can_read_beside_the_server(tmp_path: Path) -> None:
    backend = await open_backend(tmp_path / "data", migrations=MIGRATIONS)
    await backend.write(lambda tx: put(tx, "a", 1))
    other = sqlite3.connect(tmp_path / "data" / "respun.db")
    assert other.execute("select count(*) from notes").fetchone() == (1,)
    assert other.execute("pragma journal_mode").fetchone() == ("wal",)
    other.close()
    await backend.close()
