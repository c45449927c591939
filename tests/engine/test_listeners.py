"""Listeners of one run: however slow, late or many they are, all see the same, and a run's log stays small."""

import asyncio
from collections.abc import Sequence

from engine.world import PROJECT, World, streamed_texts
from respun.core.runs import Run
from respun.engine.bus import Happening

WORDS = " ".join(f"word{n}" for n in range(400))
LONG = f"@delay 0.001\n@say {WORDS}"
MOST = 100
"""Events in memory; a flush every 20 ms leaves room for a slow machine."""


async def dawdle(here: World, run: Run) -> list[Happening]:
    """Read as a client does that takes its time for each piece."""
    seen: list[Happening] = []
    async for batch in here.workspace.runs.follow(run):
        seen += batch
        await asyncio.sleep(0.06)
    return seen


def facts(seen: Sequence[Happening]) -> list[tuple[int, object]]:
    return [(one.number, one.event) for one in seen]


async def test_slow_late_and_many_listeners_see_the_same(here: World) -> None:
    run = await here.start(LONG)
    slow = [asyncio.create_task(dawdle(here, run)) for _ in range(3)]
    prompt = await asyncio.gather(*(here.listen(run) for _ in range(10)))
    late = await here.listen(run)
    assert list(streamed_texts(late).values()) == [WORDS]
    assert all(facts(seen) == facts(late) for seen in (*prompt, *await asyncio.gather(*slow)))


async def test_a_listener_that_comes_back_in_the_middle_misses_nothing(here: World) -> None:
    run = await here.start(LONG)
    whole = facts(await here.listen(run))
    for after in (1, 7, len(whole) // 2, len(whole) - 1):
        rest = [one async for batch in here.workspace.runs.follow(run, after) for one in batch]
        assert facts(rest) == [fact for fact in whole if fact[0] > after]


async def test_the_log_of_a_run_stays_small_while_nobody_reads_it(here: World) -> None:
    run = await here.start(LONG)
    stuck = here.workspace.runs.follow(run)
    await anext(stuck)  # and never again
    sizes = [0]
    while not (now := await here.workspace.runs.get(PROJECT, run.thread, run.id)).done:
        log = here.engine.bus.log(run.id, now.number)
        sizes.append(len(log.happenings) if log else 0)
        await asyncio.sleep(0.005)
    assert now.status == "completed"
    assert max(sizes) < MOST
