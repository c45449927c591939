"""The life of a run: created, streamed, polled, with tools, limits, cancel and expiry, on both databases."""

import asyncio
import time

import pytest

from engine.world import PROJECT, QUICK, World, said, streamed_texts, until, world
from respun.core.drafts import RunDraft, ThreadDraft
from respun.core.events import RunCompleted, RunResumed
from respun.core.problems import Problem
from respun.core.runs import NamedToolChoice, Run
from respun.core.threads import Text
from respun.store import runs
from respun.workspace.runs import RunRules

TWO_CALLS = '@call weather {"at": "Rome"}\n@call time {}'


async def test_a_run_answers_and_frees_its_thread(here: World) -> None:
    run = await here.ended(await here.start("@say Hello there."))
    assert run.status == "completed"
    assert [message.text for message in await here.answers(run)] == ["Hello there."]
    (step,) = await here.steps(run)
    assert (step.status, step.usage) == ("completed", run.usage)
    await here.workspace.messages.add(PROJECT, run.thread, said("And now?"))


async def test_what_is_streamed_is_what_is_stored(here: World) -> None:
    run = await here.start(
        "@delay 0.002\n@say One two three four five six seven.\n@call time {}\n@then\n@say Done at last."
    )
    first = await here.listen(run)
    waiting = await here.reached(run, "requires_action")
    queued = await here.submit(waiting)
    second = await here.listen(queued, first[-1].number)
    stored = {message.id: message.text for message in await here.answers(run)}
    assert streamed_texts([*first, *second]) == stored
    assert len(stored) == 2
    assert isinstance(second[-1].event, RunCompleted)


async def test_a_thread_and_its_run_are_made_together(here: World) -> None:
    thread = ThreadDraft((said("@say Hi."),))
    run = await here.workspace.runs.create_with_thread(PROJECT, thread, RunDraft(here.assistant))
    await here.ended(run)
    assert [message.text for message in await here.messages(run.thread)] == ["@say Hi.", "Hi."]


async def test_tools_are_called_over_several_rounds(here: World) -> None:
    run = await here.start(f"@say One.\n{TWO_CALLS}\n@then\n@call weather {{}}\n@then\n@say The end.")
    first = await here.reached(run, "requires_action")
    assert first.calls is not None
    assert [(call.name, call.arguments) for call in first.calls.owed] == [("weather", '{"at": "Rome"}'), ("time", "{}")]
    await here.submit(first, "sun")
    second = await until(lambda: _asks_again(here, first))
    await here.submit(second, "rain")
    run = await here.ended(run)
    assert run.status == "completed"
    assert [message.text for message in await here.answers(run)] == ["One.", "The end."]
    steps = await here.steps(run)
    assert [bool(step.calls) for step in steps] == [False, True, True, False]
    assert [call.output for step in steps for call in step.calls] == ["sun", "sun", "rain"]
    assert sum(step.usage.total for step in steps if step.usage) == run.usage.total


async def test_a_run_without_parallel_calls_asks_for_one_at_a_time(here: World) -> None:
    run = await here.start(f"{TWO_CALLS}\n@then\n@say The end.", parallel_tool_calls=False)
    waiting = await here.reached(run, "requires_action")
    assert waiting.calls is not None
    assert [(call.name, call.arguments) for call in waiting.calls.owed] == [("weather", '{"at": "Rome"}')]
    await here.submit(waiting)
    assert (await here.ended(run)).status == "completed"


async def _asks_again(here: World, before: Run) -> Run | None:
    run = await here.get(before)
    return run if run.calls and before.calls and run.calls.step != before.calls.step else None


async def test_a_forced_tool_is_forced_once(here: World) -> None:
    run = await here.start("Hello", tool_choice=NamedToolChoice("function", "time"))
    waiting = await here.reached(run, "requires_action")
    assert waiting.calls is not None
    assert [call.name for call in waiting.calls.owed] == ["time"]
    await here.submit(waiting)
    assert (await here.ended(run)).status == "completed"


async def test_a_run_that_only_asks_ends_after_its_turns(place: str) -> None:
    async with world(place, rules=RunRules(max_turns=2)) as here:
        run = await here.start("@call unheard_of {}\n@then\n@call unheard_of {}\n@then\n@say never")
        run = await here.ended(run)
        assert run.status == "failed"
        assert run.last_error is not None
        assert "2 times" in run.last_error.message


@pytest.mark.parametrize("limit", ["max_prompt_tokens", "max_completion_tokens"])
async def test_token_limits_count_over_the_whole_run(here: World, limit: str) -> None:
    script = "@usage 600 600\n@call time {}\n@then\n@usage 600 600\n@call time {}\n@then\n@say never"
    run = await here.start(script, **{limit: 1000})
    await here.submit(await here.reached(run, "requires_action"))
    again = await here.reached(run, "requires_action", "incomplete")
    if again.status == "requires_action":
        await here.submit(again)
    run = await here.ended(run)
    assert run.status == "incomplete"
    assert run.limit_reached == limit


async def test_a_prompt_over_its_limit_is_not_sent(here: World) -> None:
    run = await here.ended(await here.start("Hi", instructions="word " * 2000, max_prompt_tokens=256))
    assert (run.status, run.limit_reached) == ("incomplete", "max_prompt_tokens")


async def test_a_cut_answer_is_kept_as_incomplete(here: World) -> None:
    run = await here.ended(await here.start("@say Half a\n@length"))
    (message,) = await here.answers(run)
    assert (run.status, run.limit_reached) == ("incomplete", "max_completion_tokens")
    assert (message.status, message.incomplete_reason, message.text) == ("incomplete", "max_tokens", "Half a")


async def test_a_hanging_model_is_cancelled_within_a_second(here: World) -> None:
    run = await here.start("@say Half of\n@hang")
    await until(lambda: here.answers(run))
    start = time.monotonic()
    assert (await here.cancel(run)).status == "cancelling"
    assert (await here.ended(run)).status == "cancelled"
    assert time.monotonic() - start < 1
    (message,) = await here.answers(run)
    assert (message.status, message.incomplete_reason, message.content) == (
        "incomplete",
        "run_cancelled",
        (Text("Half of"),),
    )
    assert (await here.ended(await here.start("@say Free again.", run.thread))).status == "completed"


async def test_a_run_that_waits_for_the_caller_is_cancelled_at_once(here: World) -> None:
    waiting = await here.reached(await here.start(TWO_CALLS), "requires_action")
    await here.cancel(waiting)
    assert (await here.get(waiting)).status == "cancelled"
    (step,) = await here.steps(waiting)
    assert step.status == "cancelled"


@pytest.mark.parametrize(
    ("script", "status"), [("@say Half\n@hang", "in_progress"), (TWO_CALLS, "requires_action")], ids=lambda v: v[:4]
)
async def test_a_run_past_its_time_expires(place: str, script: str, status: str) -> None:
    async with world(place, rules=RunRules(expires_after=1.5)) as here:
        run = await here.start(script)
        await here.reached(run, status)
        run = await here.ended(run)
        assert run.status == "expired"
        assert run.ended_at is not None
        assert run.ended_at >= run.expires_at
        assert {step.status for step in await here.steps(run)} == {"expired"}
        for message in await here.answers(run):
            assert (message.status, message.incomplete_reason) == ("incomplete", "run_expired")
        assert (await here.ended(await here.start("@say Free.", run.thread))).status == "completed"


async def test_a_run_that_waits_in_line_expires(place: str) -> None:
    async with world(place, rules=RunRules(expires_after=1.5)) as here:
        first = await here.start("@hang")
        second = await here.start("@say Never.", first.thread, when_busy="enqueue")
        assert (await here.ended(first)).status == "expired"
        assert (await here.ended(second)).status in ("expired", "completed")


async def test_a_failing_model_is_told_by_the_run(here: World) -> None:
    run = await here.ended(await here.start("@say Half\n@fail rate_limited Slow down."))
    assert run.last_error is not None
    assert (run.status, run.last_error.code, run.last_error.message) == ("failed", "rate_limit_exceeded", "Slow down.")
    (message,) = await here.answers(run)
    assert (message.status, message.incomplete_reason) == ("incomplete", "run_failed")


async def test_a_stream_can_be_left_and_found_again_at_every_event(here: World) -> None:
    run = await here.start("@delay 0.005\n@say One two three four.\n@call time {}\n@then\n@say Five six.")
    live = await here.listen(run)
    live += await here.listen(await here.submit(await here.reached(run, "requires_action")), live[-1].number)
    seen = [(one.number, one.event) for one in live]
    run = await here.ended(run)
    for index in range(len(live)):
        again = await here.listen(run, live[index].number)
        assert [(one.number, one.event) for one in again] == seen[index + 1 :]


async def test_any_number_may_listen_and_whoever_leaves_harms_no_one(here: World) -> None:
    run = await here.start("@delay 0.01\n@say One two three four five six seven eight.")
    listeners = [asyncio.create_task(here.listen(run)) for _ in range(20)]
    leavers = [asyncio.create_task(here.listen(run)) for _ in range(20)]
    await asyncio.sleep(0.03)
    for leaver in leavers:
        leaver.cancel()
    heard = await asyncio.gather(*listeners)
    assert all([one.number for one in each] == [one.number for one in heard[0]] for each in heard)
    assert list(streamed_texts(heard[0]).values()) == ["One two three four five six seven eight."]
    assert (await here.ended(run)).status == "completed"


async def test_a_run_that_nobody_listens_to_completes(here: World) -> None:
    run = await here.start("@delay 0.01\n@say One two three four.")
    stream = here.workspace.runs.follow(run)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert (await here.ended(run)).status == "completed"


async def test_a_run_in_line_can_be_streamed_from_its_beginning(here: World) -> None:
    first = await here.start("@delay 0.02\n@say One two three four five six.")
    second = await here.start("@say Seven.", first.thread, when_busy="enqueue")
    heard = await here.listen(second)
    assert list(streamed_texts(heard).values()) == ["Seven."]
    texts = [message.text for message in await here.messages(first.thread)]
    assert texts == ["@delay 0.02\n@say One two three four five six.", texts[1], "@say Seven.", "Seven."]
    assert texts[1] == "One two three four five six."
    assert not any(isinstance(one.event, RunResumed) for one in heard)


async def test_runs_in_line_keep_their_order(here: World) -> None:
    thread = await here.thread()
    first = await here.start("@delay 0.02\n@say First one.", thread)
    others = [await here.start(f"@say Number {n}.", thread, when_busy="enqueue") for n in range(4)]
    dropped = others.pop(1)
    assert (await here.cancel(dropped)).status == "cancelling"
    ended = [await here.ended(run) for run in (first, *others)]
    assert [run.status for run in ended] == ["completed"] * 4
    starts = [run.started_at or 0.0 for run in ended]
    assert starts == sorted(starts)
    assert (await here.get(dropped)).status == "cancelled"


async def test_a_run_may_interrupt_the_one_before(here: World) -> None:
    first = await here.start("@say Half\n@hang")
    await until(lambda: here.answers(first))
    second = await here.start("@say Mine.", first.thread, when_busy="interrupt")
    assert (await here.ended(second)).status == "completed"
    assert (await here.get(first)).status == "cancelled"


async def test_a_busy_thread_refuses_runs_and_messages_by_openais_sentences(here: World) -> None:
    run = await here.start("@hang")
    with pytest.raises(Problem, match=f"Thread {run.thread} already has an active run {run.id}."):
        await here.start("@say No.", run.thread)
    with pytest.raises(Problem, match=f"Can't add messages to {run.thread} while a run {run.id} is active."):
        await here.workspace.messages.add(PROJECT, run.thread, said("No."))
    assert len(await here.messages(run.thread)) == 1


async def test_text_is_stored_together_and_not_a_token_at_a_time(place: str) -> None:
    async with world(place, QUICK) as here:
        run = await here.ended(await here.start("@delay 0.001\n@say " + "word " * 200))
        assert len(await here.listen(run)) > 200
        rows = await here.backend.read(lambda tx: runs.events(tx, run))
        assert len(rows) < 60
