"""Turns of one run, and models that count their tokens otherwise."""

from collections.abc import AsyncIterator

import pytest_asyncio
from context_world import World, everything, small_talk, texts, world

from respun.core.assistants import Function, FunctionTool
from respun.providers.scripted import Rule


async def test_a_prompt_that_the_model_finds_too_long_is_made_again_with_less(place: str) -> None:
    async with world(place, [Rule("@fail context_length too long", r"How are the shelves\?\Z")]) as shop:
        thread = await shop.thread(small_talk(60))
        await shop.indexed(thread)
        run = await shop.ask(thread, "How are the shelves?")
        first, second = (everything(request.messages) for request in shop.model.requests[-2:])
        assert len(second) < len(first)
        assert run.last_error is not None
        assert run.last_error.code == "invalid_prompt"
        await shop.ask(thread, "And Oslo?")
        assert len(everything(shop.prompt)) < len(first)


async def test_turns_of_a_run_begin_with_the_prompt_before(shop: World) -> None:
    thread = await shop.thread(small_talk(100))
    await shop.indexed(thread)
    await shop.say(thread, '@call look {"shelf": 4}\n@then\n@call look {"shelf": 5}\n@then\n@say Both are empty.')
    run = await shop.run(thread, tools=(FunctionTool(Function("look")),))
    run = await shop.submit(run, "shelf 4: nothing")
    run = await shop.submit(run, "shelf 5: nothing")
    assert run.status == "completed"
    first, second, third = (request.messages for request in shop.model.requests[-3:])
    assert second[: len(first)] == first
    assert third[: len(second)] == second
    assert len(await shop.choices(run)) == 1


async def test_long_results_of_tools_are_cleared_before_the_thread_suffers(shop: World) -> None:
    thread = await shop.thread(small_talk(10))
    looks = "\n@then\n".join(f'@call look {{"shelf": {n}}}' for n in range(6))
    await shop.say(thread, f"{looks}\n@then\n@say Done.")
    run = await shop.run(thread, tools=(FunctionTool(Function("look")),))
    for n in range(6):
        run = await shop.submit(run, f"shelf {n}: " + "many things of many sorts " * 60)
    assert run.status == "completed"
    sent = texts(shop.prompt)
    assert sum("cleared]" in text for text in sent) == 3
    assert small_talk(1)[0][1] in sent


async def test_max_prompt_tokens_count_over_the_whole_run(shop: World) -> None:
    thread = await shop.thread()
    await shop.say(thread, '@usage 400 20\n@call look {"shelf": 4}\n@then\n@say Never reached.')
    run = await shop.run(thread, tools=(FunctionTool(Function("look")),), max_prompt_tokens=420)
    run = await shop.submit(run, "shelf 4: nothing")
    assert (run.status, run.limit_reached) == ("incomplete", "max_prompt_tokens")


@pytest_asyncio.fixture
async def wordy(place: str) -> AsyncIterator[World]:
    """A model that reports twice the tokens that we count."""
    async with world(place, [Rule("@usage 6000 5\n@say Understood.", r"Count the shelves[^\n]*\Z")]) as made:
        yield made


async def test_a_model_that_counts_more_tokens_is_sent_less(wordy: World) -> None:
    thread = await wordy.thread(small_talk(200))
    await wordy.indexed(thread)
    first = await wordy.ask(thread, "Count the shelves of Oslo in week 4.")
    second = await wordy.ask(thread, "Count the shelves of Oslo in week 5.")
    assert first.context is not None
    assert second.context is not None
    assert second.context.budget < first.context.budget
