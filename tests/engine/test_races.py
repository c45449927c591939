"""Whatever reaches a run at the same time has one winner and a defined answer for the others."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from itertools import pairwise

import pytest

from engine.world import PROJECT, World, said, until, world
from respun.core.events import Output
from respun.core.pages import PageRequest
from respun.core.problems import Problem
from respun.core.runs import Run
from respun.workspace.runs import RunRules

CALLS = "@call weather {}\n@call time {}\n@then\n@say Thanks."


async def outcomes(works: list[Awaitable[object]]) -> Counter[str]:
    """How often each answer was given; a success counts as its type."""
    answers = await asyncio.gather(*works, return_exceptions=True)
    assert all(isinstance(one, Problem) for one in answers if isinstance(one, BaseException)), answers
    return Counter(str(one) if isinstance(one, Problem) else type(one).__name__ for one in answers)


async def test_of_a_hundred_runs_on_one_thread_one_begins(here: World) -> None:
    thread = await here.thread()
    answers = await outcomes([here.start("@hang", thread) for _ in range(100)])
    (run,) = (await here.workspace.runs.list(PROJECT, thread, PageRequest(100, "asc"))).items
    assert answers == {"Run": 1, f"Thread {thread} already has an active run {run.id}.": 99}
    assert len(await here.messages(thread)) == 1, "who was refused left no message"


async def test_messages_during_a_run_are_refused_and_leave_no_trace(here: World) -> None:
    run = await here.start("@hang")
    posts = [here.workspace.messages.add(PROJECT, run.thread, said("No.")) for _ in range(100)]
    answers = await outcomes(list(posts))
    assert answers == {f"Can't add messages to {run.thread} while a run {run.id} is active.": 100}
    assert [message.position for message in await here.messages(run.thread)] == [1]


async def test_cancel_against_completion_has_one_winner(here: World) -> None:
    """200 rounds on each database, at every moment of a short run."""

    async def race(moment: float) -> str:
        run = await here.start("@delay 0.004\n@say One two three.")
        await asyncio.sleep(moment)
        (answer,) = await outcomes([here.cancel(run)])
        assert answer in ("Run", "Cannot cancel run with status 'completed'.")
        won = "cancelled" if answer == "Run" else "completed"
        ended = await here.ended(run)
        (message,) = await here.answers(run) or [None]
        assert ended.status == won
        if message:
            assert (message.status == "completed") == (won == "completed")
        return won

    won = Counter([each for n in range(10) for each in await asyncio.gather(*(race(m / 500) for m in range(20)))])
    assert won.total() == 200
    assert set(won) <= {"completed", "cancelled"}


async def test_of_fifty_submissions_at_once_one_counts(here: World) -> None:
    waiting = await here.reached(await here.start(CALLS), "requires_action")
    answers = await outcomes([here.submit(waiting, f"answer {n}") for n in range(50)])
    assert answers.pop("Run") == 1
    assert all(text.endswith("do not accept tool outputs.") for text in answers)
    run = await here.ended(waiting)
    assert run.status == "completed"
    (calls, _) = await here.steps(run)
    assert len({call.output for call in calls.calls}) == 1


async def test_outputs_are_owed_all_at_once_and_by_their_ids(here: World) -> None:
    waiting = await here.reached(await here.start(CALLS), "requires_action")
    assert waiting.calls is not None
    first, second = [call.id for call in waiting.calls.owed]
    for given in ([first], [first, "call_unknown"], [first, second, second], []):
        outputs = tuple(Output(ident, "x") for ident in given)
        with pytest.raises(Problem, match="Expected tool outputs for call_ids"):
            await here.workspace.runs.submit(PROJECT, waiting.thread, waiting.id, outputs)
    assert (await here.get(waiting)).status == "requires_action"
    await here.submit(waiting)
    assert (await here.ended(waiting)).status == "completed"


async def test_outputs_after_a_cancel_are_refused(here: World) -> None:
    waiting = await here.reached(await here.start(CALLS), "requires_action")
    await here.cancel(waiting)
    with pytest.raises(Problem, match='Runs in status "cancelled" do not'):
        await here.submit(waiting)


async def test_outputs_after_the_time_is_up_are_refused_also_before_anyone_looked(place: str) -> None:
    async with world(place, rules=RunRules(expires_after=1.0)) as here:
        waiting = await here.reached(await here.start(CALLS), "requires_action")

        async def refused() -> str | None:
            try:
                await here.workspace.runs.submit(PROJECT, waiting.thread, waiting.id, _outputs(waiting, "late"))
            except Problem as problem:
                return str(problem) if "Expected" not in str(problem) else None
            raise AssertionError("taken")

        await asyncio.sleep(max(0.0, waiting.expires_at - here.engine.clock.now))
        assert await until(refused) == 'Runs in status "expired" do not accept tool outputs.'
        assert (await here.get(waiting)).status == "expired"


def _outputs(run: Run, text: str) -> tuple[Output, ...]:
    assert run.calls is not None
    return tuple(Output(call.id, text) for call in run.calls.owed)


async def test_submit_against_cancel_has_one_winner(here: World) -> None:
    async def race() -> str:
        waiting = await here.reached(await here.start(CALLS), "requires_action")
        answers = await outcomes([here.submit(waiting), here.cancel(waiting)])
        assert answers["Run"] >= 1
        ended = await here.ended(waiting)
        assert ended.status in ("completed", "cancelled")
        return ended.status

    await asyncio.gather(*(race() for _ in range(20)))


async def test_a_thread_may_be_deleted_under_its_run(here: World) -> None:
    """At every moment of the run; nothing is left of it, and the engine goes on."""

    async def deleted(moment: float) -> Run:
        run = await here.start("@delay 0.004\n@say One two three.")
        await asyncio.sleep(moment)
        await here.workspace.threads.delete(PROJECT, run.thread)
        with pytest.raises(Problem, match="No thread found"):
            await here.get(run)
        return run

    gone = await asyncio.gather(*(deleted(n / 500) for n in range(20)))
    assert (await here.ended(await here.start("@say Still here."))).status == "completed"
    await until(lambda: _purged(here, gone))


async def _purged(here: World, gone: list[Run]) -> bool:
    from respun.store import runs

    found = [await here.backend.read(lambda tx, run=run: runs.load_job(tx, run.id)) for run in gone]
    return not any(found)


async def test_an_assistant_may_be_deleted_under_its_run(here: World) -> None:
    run = await here.start("@delay 0.01\n@say One two.\n@call time {}\n@then\n@say Three.")
    await here.workspace.assistants.delete(PROJECT, here.assistant)
    await here.submit(await here.reached(run, "requires_action"))
    assert (await here.ended(run)).status == "completed"


async def test_many_in_line_all_get_their_turn(here: World) -> None:
    thread = await here.thread()
    runs = await asyncio.gather(*(here.start("@say Hello.", thread, when_busy="enqueue") for _ in range(20)))
    ended = await asyncio.gather(*(here.ended(run) for run in runs))
    assert {run.status for run in ended} == {"completed"}
    spans = sorted((run.started_at or 0.0, run.ended_at or 0.0) for run in ended)
    assert all(one[1] <= two[0] for one, two in pairwise(spans)), "one at a time"


async def test_many_that_interrupt_leave_one_to_finish(here: World) -> None:
    thread = await here.thread()
    runs = await asyncio.gather(
        *(here.start("@delay 0.01\n@say One two.", thread, when_busy="interrupt") for _ in range(10))
    )
    ended = await asyncio.gather(*(here.ended(run) for run in runs))
    assert {run.status for run in ended} <= {"completed", "cancelled"}
    assert (await here.ended(await here.start("@say Free.", thread))).status == "completed"


async def test_a_run_that_interrupts_is_never_left_behind_one_that_hangs(here: World) -> None:
    """Both come to a free thread at the same moment, and see that nobody is there."""

    async def pair() -> None:
        thread = await here.thread()
        _, mine = await asyncio.gather(
            here.start("@hang", thread),
            here.start("@say Mine.", thread, when_busy="interrupt"),
            return_exceptions=True,
        )
        assert isinstance(mine, Run)
        assert (await here.ended(mine)).status == "completed"

    await asyncio.gather(*(pair() for _ in range(20)))
