"""What runs cost that wait for their caller's tool outputs: memory and sockets of the server, tasks and timers in it.

    python bench/waiting.py [--runs 10000]

Each run has called a function and waits. The engine runs in this process, on asyncio's own loop, which can be asked
for its tasks and timers.
"""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import lab

sys.path.insert(0, str(lab.BENCH.parent / "src"))

from respun.config import Config
from respun.core.assistants import Function, FunctionTool
from respun.core.drafts import AssistantDraft, MessageDraft, RunDraft, ThreadDraft
from respun.core.threads import Text
from respun.web.app import build
from respun.workspace import Workspace

PROJECT = "default"


def held() -> dict[str, int]:
    """What this process holds now."""
    gc.collect()
    loop = asyncio.get_running_loop()
    timers: Sequence[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]
    return {
        "tasks": len(asyncio.all_tasks()),
        "timers": len([timer for timer in timers if not timer.cancelled()]),
        "files and sockets": len(os.listdir(f"/proc/{os.getpid()}/fd")),
        "resident KiB": lab.resident_kib(os.getpid()),
    }


async def wait_for_caller(ws: Workspace, assistant: str, count: int) -> None:
    said = MessageDraft("user", (Text('@call weather {"city": "Bern"}'),))
    for _ in range(count):
        run = await ws.runs.create_with_thread(PROJECT, ThreadDraft((said,)), RunDraft(assistant))
        async for batch in ws.runs.follow(run):
            last = batch[-1].after
        assert last.status == "requires_action", last.status


async def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = await build(Config(data=Path(folder), models_folder=Path(folder), provider="scripted"))
        await app.startup()
        tools = (FunctionTool(Function("weather")),)
        assistant = await app.workspace.assistants.create(PROJECT, AssistantDraft("scripted", tools=tools))
        await wait_for_caller(app.workspace, assistant.id, 500)
        before = held()
        each = runs // 16
        await asyncio.gather(*(wait_for_caller(app.workspace, assistant.id, each) for _ in range(16)))
        await asyncio.sleep(1)
        after = held()
        print(f"{each * 16:,} runs in requires_action hold, beyond what the server held before:   {lab.load()}")
        for name, count in after.items():
            print(f"  {name:18} {count - before[name]:8}   ({before[name]} before)")
        await app.shutdown()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=10_000)
    asyncio.run(main(options.parse_args().runs))
