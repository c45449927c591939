"""A short, full life of a server, in a process that may die anywhere: `python life.py folder`.

It prints each fact that was acknowledged to it, as a JSON object a line, before it does anything else.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

import msgspec

from engine.world import PROJECT, World, said, use_cases, world
from respun.core.problems import Problem
from respun.core.runs import Run
from respun.engine.bus import Happening
from respun.workspace.runs import RunRules

WORDS = "One two three four five six seven eight nine ten."


def tell(**fact: Any) -> None:
    print(json.dumps(fact), flush=True)


def told(run: Run, text: str) -> Run:
    tell(kind="run", thread=run.thread, id=run.id, text=text)
    return run


async def listen(here: World, run: Run) -> None:
    async for batch in here.workspace.runs.follow(run):
        for one in batch:
            tell(kind="seen", run=run.id, number=one.number, event=as_json(one))


def as_json(one: Happening) -> Any:
    return json.loads(msgspec.json.encode(one.event))


async def talk(here: World) -> None:
    thread = await here.thread()
    for text in ("First.", "Second."):
        message = await here.workspace.messages.add(PROJECT, thread, said(text))
        tell(kind="message", thread=thread, id=message.id, text=text)
    run = told(await here.start(f"@delay 0.01\n@say {WORDS}", thread), WORDS)
    await listen(here, run)
    tell(kind="status", thread=thread, id=run.id, status=(await here.get(run)).status)


async def use_tools(here: World) -> None:
    run = told(await here.start(f"@call weather {{}}\n@call time {{}}\n@then\n@say {WORDS}"), WORDS)
    waiting = await here.reached(run, "requires_action")
    await here.submit(waiting)
    tell(kind="submitted", thread=run.thread, id=run.id)
    await here.ended(run)


async def stand_in_line(here: World) -> None:
    first = told(await here.start(f"@delay 0.01\n@say {WORDS}"), WORDS)
    second = told(await here.start(f"@say {WORDS}", first.thread, when_busy="enqueue"), WORDS)
    await here.ended(second)
    third = told(await here.start("@say Half\n@hang", first.thread), "Half")
    await asyncio.sleep(0.3)
    fourth = told(await here.start(f"@say {WORDS}", first.thread, when_busy="interrupt"), WORDS)
    await here.ended(third)
    await here.ended(fourth)


async def cancel(here: World) -> None:
    run = told(await here.start("@say Half\n@hang"), "Half")
    await asyncio.sleep(0.05)
    await here.cancel(run)
    await here.ended(run)
    waiting = await here.reached(told(await here.start("@call time {}"), ""), "requires_action")
    await here.cancel(waiting)


async def expire(here: World) -> None:
    # Counted from the whole second before: one second could be over at once.
    hasty = use_cases(here.backend, here.engine, here.folder, RunRules(expires_after=2.0))
    mine = World(here.backend, here.engine, hasty, here.model, here.folder, here.assistant)
    runs = [told(await mine.start("@call time {}"), ""), told(await mine.start("@say Half\n@hang"), "Half")]
    await asyncio.gather(*(here.ended(run) for run in runs))


async def delete(here: World) -> None:
    run = await here.start(f"@delay 0.01\n@say {WORDS}")
    await here.workspace.threads.delete(PROJECT, run.thread)
    tell(kind="deleted", thread=run.thread)
    await asyncio.sleep(0.2)


async def live(folder: str) -> None:
    async with world(folder) as here:
        tell(kind="assistant", id=here.assistant)
        stories = (talk, use_tools, stand_in_line, cancel, expire, delete)
        await asyncio.gather(*(story(here) for story in stories))
        told(await here.start("@say Half\n@hang"), "Half")


# What must hold after whatever happened


async def settle(here: World, facts: Sequence[dict[str, Any]]) -> None:
    """Bring every run that was acknowledged to an end, and see that all acknowledged is there: I1 to I5 and I7."""
    runs = [fact for fact in facts if fact["kind"] == "run"]
    await asyncio.gather(*(_end(here, fact) for fact in runs))
    for fact in facts:
        match fact["kind"]:
            case "message":
                message = await here.workspace.messages.get(PROJECT, fact["thread"], fact["id"])
                assert (message.text, message.status) == (fact["text"], "completed")
            case "status":
                run = await here.workspace.runs.get(PROJECT, fact["thread"], fact["id"])
                assert run.status == fact["status"], "what has ended stays as it is"
            case "deleted":
                await _gone(here, fact["thread"])
    for fact in runs:
        await _whole(here, fact, [seen for seen in facts if seen["kind"] == "seen" and seen["run"] == fact["id"]])
    for thread in {fact["thread"] for fact in runs}:
        messages = await here.messages(thread)
        assert [message.position for message in messages] == list(range(1, len(messages) + 1))
        # A run may have been made whose maker never heard of it.
        last = await here.start("Still there?", thread, when_busy="interrupt")
        assert (await here.ended(last)).status == "completed"


async def _end(here: World, fact: dict[str, Any]) -> None:
    run = await here.workspace.runs.get(PROJECT, fact["thread"], fact["id"])
    # Those that hang or wait do so again; the others must come to an end by themselves.
    if fact["text"] in ("Half", ""):
        with suppress(Problem):
            await here.cancel(run)
    run = await here.reached(run, "completed", "cancelled", "expired", "requires_action")
    if run.status == "requires_action":
        await here.submit(run)
    run = await here.ended(run)
    assert run.status in ("completed", "cancelled", "expired"), run
    if fact["text"] == WORDS:
        assert run.status == "completed"


async def _whole(here: World, fact: dict[str, Any], seen: Sequence[dict[str, Any]]) -> None:
    run = await here.workspace.runs.get(PROJECT, fact["thread"], fact["id"])
    for message in await here.answers(run):
        assert message.status != "in_progress"
        if message.status == "completed" and fact["text"]:
            assert message.text == fact["text"], f"never half a message and completed: {message.text}"
    assert all(step.status != "in_progress" for step in await here.steps(run))
    stored = {one.number: as_json(one) for one in await here.listen(run)}
    for one in seen:
        assert stored.get(one["number"], one["event"]) == one["event"], "a number is one event"


async def _gone(here: World, thread: str) -> None:
    try:
        await here.workspace.threads.get(PROJECT, thread)
    except Problem:
        return
    raise AssertionError("a deleted thread came back")


if __name__ == "__main__":
    asyncio.run(live(sys.argv[1]))
