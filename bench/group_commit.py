"""What group commit buys: 64 writers that share commits against one transaction each, both durable (synchronous=full).

Run: python bench/group_commit.py [--folder on-a-real-disk]. Prints inserts a second, their ratio and CPU per insert.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from respun.store.backend import Backend, Settings, Tx
from respun.store.migrations import Migration
from respun.store.opening import open_backend
from respun.store.statements import parse

_SCHEMA = """
create table messages (seq {bigserial key}, id text not null unique, thread text not null, body text not null);
create index messages_page on messages (thread, seq);
"""
_BODY = "x" * 1000
sql = parse(
    """
-- name: insert
-- A message of 1 KB in a table with two more indexes.
insert into messages (id, thread, body) values (:id, :thread, :body);
-- name: count
-- What was acknowledged must be there.
select count(*) from messages;
""",
    "group_commit.py",
)


async def shared(folder: Path, writers: int, each: int) -> dict[str, float]:
    backend = await open_backend(folder, Settings(reserve_bytes=0), [Migration(1, "messages", _SCHEMA, _SCHEMA)])
    await asyncio.gather(*[_writer(backend, f"warm{n}", 20) for n in range(writers)])
    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*[_writer(backend, f"w{n}", each) for n in range(writers)])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    stored = await backend.scan(lambda tx: tx.one(sql.count))
    await backend.close()
    assert stored is not None
    assert stored[0] == writers * (each + 20)
    return _figures(writers * each, seconds, cpu)


async def _writer(backend: Backend, name: str, inserts: int) -> None:
    for number in range(inserts):

        async def unit(tx: Tx, number: int = number) -> None:
            await tx.run(sql.insert, id=f"msg_{name}_{number}", thread=name, body=_BODY)

        await backend.write(unit)


def one_each(folder: Path, writers: int, each: int) -> dict[str, float]:
    """The same table and durability by threads that commit one insert at a time."""
    folder.mkdir()
    db = sqlite3.connect(folder / "respun.db", isolation_level=None, check_same_thread=False)
    db.executescript("pragma journal_mode=wal; pragma synchronous=full;")
    db.executescript(_SCHEMA.replace("{bigserial key}", "integer primary key autoincrement"))
    busy = Lock()  # one connection, one transaction at a time

    def writer(name: str) -> None:
        for number in range(each):
            with busy:
                db.execute(sql.insert.sqlite.sql, (f"msg_{name}_{number}", name, _BODY))

    start, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(writers) as threads:
        list(threads.map(writer, [f"w{n}" for n in range(writers)]))
    figures = _figures(writers * each, time.perf_counter() - start, time.process_time() - cpu)
    db.close()
    return figures


def _figures(inserts: int, seconds: float, cpu: float) -> dict[str, float]:
    return {"inserts_per_second": round(inserts / seconds), "cpu_us_per_insert": round(cpu / inserts * 1e6, 1)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, help="where to write; the figures are those of its disk")
    options.add_argument("--writers", type=int, default=64)
    options.add_argument("--inserts", type=int, default=200, help="each writer's, with group commit")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        together = asyncio.run(shared(Path(folder) / "shared", chosen.writers, chosen.inserts))
        alone = one_each(Path(folder) / "each", chosen.writers, max(1, chosen.inserts // 25))
    ratio = together["inserts_per_second"] / alone["inserts_per_second"]
    print(json.dumps({"group_commit": together, "one_each": alone, "ratio": round(ratio, 1)}, indent=1))


if __name__ == "__main__":
    main()
