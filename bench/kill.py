"""What a kill costs: a storm of clients through many kills, and how soon 1,000 interrupted runs go on.

Run: python bench/kill.py [--kills 1000] [--runs 1000] [--seed 1] [--folder DIR]. Exits with 1 when a promise was broken
or recovery took more than 5 s from the start of the process. What the servers said and stored stays in DIR.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import aiohttp

from end.storm import TOOLS, Server, storm

_GOAL_SECONDS: Final = 5.0


async def recovery(folder: Path, runs: int) -> dict[str, Any]:
    """Kill a server with so many runs in mid-answer; seconds until each of them has been resumed."""
    folder.mkdir()
    server = Server(folder, max_concurrent_runs=str(2 * runs))
    await server.start()
    async with aiohttp.ClientSession(f"{server.url}/v1/") as session:
        async with session.post("assistants", json={"model": "scripted", "tools": TOOLS}) as answer:
            assistant = (await answer.json())["id"]
        thread = {"messages": [{"role": "user", "content": "@say Half of\n@hang"}]}
        for _ in range(0, runs, 50):
            await asyncio.gather(*(_begin(session, assistant, thread) for _ in range(50)))
    await asyncio.sleep(1)
    await server.kill()
    begin = time.monotonic()
    await server.start()
    while _resumed(folder) < runs:
        await asyncio.sleep(0.02)
    seconds = time.monotonic() - begin
    await server.kill()
    return {"runs": runs, "start_seconds": round(server.starts[-1], 2), "resumed_after_seconds": round(seconds, 2)}


async def _begin(session: aiohttp.ClientSession, assistant: str, thread: dict[str, Any]) -> None:
    async with session.post("threads/runs", json={"assistant_id": assistant, "thread": thread}) as answer:
        assert answer.status == 200, await answer.text()


def _resumed(folder: Path) -> int:
    db = sqlite3.connect(f"file:{folder / 'respun.db'}?mode=ro", uri=True)
    try:
        found: int = db.execute("select count(*) from run_events where body like '%\"resumed\"%'").fetchone()[0]
        return found
    finally:
        db.close()


async def measure(folder: Path, kills: int, runs: int, seed: int) -> bool:
    again = await recovery(folder / "recovery", runs)
    print(json.dumps({"recovery": again}, indent=1), flush=True)
    after = await storm(folder / "storm", kills, seed)
    print(json.dumps({"storm": after.figures()}, indent=1))
    return not after.broken and again["resumed_after_seconds"] <= _GOAL_SECONDS


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=1000)
    options.add_argument("--runs", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--folder", type=Path)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = chosen.folder or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        kept = asyncio.run(measure(folder, chosen.kills, chosen.runs, chosen.seed))
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
