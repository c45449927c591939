"""What everyday calls cost in a thread of 1,000,000 messages, beside one of 1,000 in the same store (SQLite).

    python bench/growth.py [--messages 1000000] [--calls 200]

Both threads are written straight into the tables, words for the search included. Then calls alternate between them;
figures are CPU of the server a call. A run is set up, answered with one token and stored.
"""

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvloop

import lab

sys.path.insert(0, str(lab.BENCH.parent / "src"))

from respun.core.threads import Message, Text
from respun.engine.clock import Clock
from respun.store.codec import text_of

SMALL = 1000
Use = Callable[[str, str], Awaitable[object]]


def fill(data: Path, thread: str, count: int) -> str:
    """Messages in a thread; the id of the one in the middle."""
    clock = Clock()
    idents = [clock.id("message") for _ in range(count)]

    def rows() -> Iterator[tuple[str, str, int, str]]:
        for number, ident in enumerate(idents, 1):
            said = (Text(f"Message {number} of the bench, about as long as people write."),)
            yield ident, thread, number, text_of(Message(ident, thread, clock.now, "user", said, ended_at=clock.now))

    with sqlite3.connect(data / "respun.db", timeout=60) as db:
        first = db.execute("select coalesce(max(seq), 0) + 1 from messages").fetchone()[0]
        db.executemany("insert into messages (id, thread, position, body) values (?, ?, ?, ?)", rows())
        words = ((first + number, f"message {number} of the bench") for number in range(count))
        db.executemany("insert into message_words (rowid, words) values (?, ?)", words)
        db.execute("update threads set last_position = ? where id = ?", (count, thread))
    db.close()
    return idents[count // 2]


async def made(data: Path, upstream: lab.Server, large: int) -> dict[int, tuple[str, str]]:
    """Each size's thread and a message from its middle; built while no server runs."""
    ours = lab.respun(data, lab.behind(upstream), core=0)
    with lab.running(ours):
        connection = await lab.Connection.to(ours)
        threads = {size: (await connection.call("POST", "/v1/threads", {}))["id"] for size in (SMALL, large)}
        connection.close()
    return {size: (thread, fill(data, thread, size)) for size, thread in threads.items()}


async def measure(ours: lab.Server, use: Use, sizes: dict[int, tuple[str, str]], calls: int) -> dict[int, float]:
    spent = dict.fromkeys(sizes, 0.0)
    for turn in range(11):
        for size, (thread, message) in sizes.items():
            before = ours.spent()
            for _ in range(max(1, calls // 10)):
                await use(thread, message)
            # The first turn brings pages of the file into memory.
            spent[size] += (ours.spent() - before) if turn else 0.0
    return {size: seconds / (max(1, calls // 10) * 10) * 1e6 for size, seconds in spent.items()}


async def settled(ours: lab.Server, most: float = 300.0) -> float:
    """Wait until the server has nothing to do, such as building the index of a thread; its CPU seconds meanwhile."""
    begun, end = ours.spent(), time.monotonic() + most
    while time.monotonic() < end:
        before = ours.spent()
        await asyncio.sleep(2)
        if ours.spent() - before < 0.1:
            break
    return ours.spent() - begun


async def main(large: int, calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        upstream = lab.paced_model(core=1)
        with lab.running(upstream):
            sizes = await made(data, upstream, large)
            ours = lab.respun(data, lab.behind(upstream), core=0)
            with lab.running(ours):
                await compare(ours, sizes, large, calls)


async def compare(ours: lab.Server, sizes: dict[int, tuple[str, str]], large: int, calls: int) -> None:
    one = await lab.Connection.to(ours)
    assistant = (await one.call("POST", "/v1/assistants", {"model": "paced-1-0-0"}))["id"]
    run = {"assistant_id": assistant, "stream": True, "additional_messages": [{"role": "user", "content": "Hello"}]}
    said = {"role": "user", "content": "Message of the bench, about as long as people write."}
    uses: dict[str, Use] = {
        "list newest 20": lambda thread, middle: one.call("GET", f"/v1/threads/{thread}/messages"),
        "list 20 from the middle": lambda t, middle: one.call("GET", f"/v1/threads/{t}/messages?after={middle}"),
        "retrieve from the middle": lambda thread, middle: one.call("GET", f"/v1/threads/{thread}/messages/{middle}"),
        "create message": lambda thread, middle: one.call("POST", f"/v1/threads/{thread}/messages", said),
        "whole run of one token": lambda thread, middle: one.stream(f"/v1/threads/{thread}/runs", run),
    }
    print(f"{'CPU us a call':26}{SMALL:>12,}{large:>12,}{'ratio':>8}   (goal 1.2)   {lab.load()}")
    for name, use in uses.items():
        if name.startswith("whole run"):
            # The first run of a long thread has it indexed, once and for all.
            for thread, middle in sizes.values():
                await use(thread, middle)
            print(f"(the index of the threads was built in {await settled(ours):.1f} s of CPU)")
        spent = await measure(ours, use, sizes, calls)
        print(f"{name:26}{spent[SMALL]:12.0f}{spent[large]:12.0f}{spent[large] / spent[SMALL]:8.2f}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument("--calls", type=int, default=200)
    chosen = options.parse_args()
    uvloop.run(main(chosen.messages, chosen.calls))
