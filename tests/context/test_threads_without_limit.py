"""What a model is sent of threads of any length, on both stores, as its requests show it."""

import pytest
from context_world import PROJECT, World, everything, small_talk, texts

from respun.core.assistants import Function, FunctionTool
from respun.core.chat import AssistantMessage, ToolMessage, UserMessage
from respun.core.runs import Truncation
from respun.store import contexts


async def test_a_thread_that_fits_is_sent_whole_and_has_no_index(shop: World) -> None:
    thread = await shop.thread(small_talk(10))
    run = await shop.ask(thread, "Which week was Oslo?")
    said = [text for _, text in small_talk(10)]
    assert texts(shop.prompt) == ["You help a shop.", *said, "Which week was Oslo?"]
    assert run.context is not None
    assert (run.context.dropped, run.context.whole, run.context.messages) == (0, 21, 21)
    assert await shop.backend.read(lambda tx: contexts.find(tx, thread)) is None


@pytest.mark.parametrize("ready", [True, False], ids=["with its index", "before its index is built"])
async def test_a_fact_from_the_beginning_is_found_at_the_end(shop: World, ready: bool) -> None:
    talk = small_talk(400)
    talk[6] = ("user", "By the way, the alarm code of the Ghent warehouse is 7741-blue.")
    thread = await shop.thread(talk)
    if ready:
        await shop.indexed(thread)
    run = await shop.ask(thread, "What is the alarm code of the warehouse in Ghent?")
    assert run.status == "completed"
    assert "7741-blue" in everything(shop.prompt)
    assert run.context is not None
    assert run.context.dropped > 700
    assert run.context.used <= run.context.budget


async def test_a_rule_said_at_the_beginning_is_kept_in_every_prompt(shop: World) -> None:
    talk = [("user", "From now on, always answer in French."), ("assistant", "D'accord."), *small_talk(200)]
    thread = await shop.thread(talk)  # type: ignore[arg-type]
    await shop.indexed(thread)
    await shop.ask(thread, "How is Turin doing?")
    assert "always answer in French" in texts(shop.prompt)[0]


async def test_a_pinned_message_is_kept_until_it_is_unpinned(shop: World) -> None:
    thread = await shop.thread()
    pinned = await shop.say(thread, "Badge numbers start with the letters QX.", pin="true")
    for role, text in small_talk(150):
        await shop.say(thread, text, role)
    await shop.indexed(thread)
    await shop.ask(thread, "How is Turin doing?")
    assert "Badge numbers" in texts(shop.prompt)[0]
    await shop.workspace.messages.change(PROJECT, thread, pinned, {})
    await shop.ask(thread, "How is Lisbon doing?")
    assert "Badge numbers" not in texts(shop.prompt)[0]


async def test_a_deleted_message_is_never_sent_again(shop: World) -> None:
    thread = await shop.thread()
    secret = await shop.say(thread, "The alarm code of the Ghent warehouse is 7741-blue.")
    for role, text in small_talk(150):
        await shop.say(thread, text, role)
    before = await shop.indexed(thread)
    await shop.workspace.messages.delete(PROJECT, thread, secret)
    after = await shop.indexed(thread)
    assert after.size == before.size - 1
    await shop.ask(thread, "What is the alarm code of the warehouse in Ghent?")
    assert "7741-blue" not in everything(shop.prompt)


async def test_consecutive_turns_share_their_beginning_up_to_the_new_question(shop: World) -> None:
    thread = await shop.thread(small_talk(200))
    await shop.indexed(thread)
    shared = []
    for n in range(12):
        before = shop.prompt if shop.model.requests else ()
        await shop.ask(thread, f"What about week {n * 7} in Oslo?")
        # All but the question before and its excerpts, which stand in front of it.
        stays = shop.model.requests[-2].stable if before else 0
        if before:
            shared.append(shop.prompt[:stays] == before[:stays])
    assert shared.count(True) >= 10


async def test_calls_and_results_of_earlier_runs_are_sent_as_pairs(shop: World) -> None:
    thread = await shop.thread()
    tools = (FunctionTool(Function("look")),)
    await shop.say(thread, '@call look {"shelf": 4}\n@then\n@say It is empty.')
    run = await shop.run(thread, tools=tools)
    run = await shop.submit(run, "shelf 4: nothing on it")
    assert run.status == "completed"
    await shop.ask(thread, "And now?", tools=tools)
    kinds = [type(message) for message in shop.prompt[1:]]
    assert kinds == [UserMessage, AssistantMessage, ToolMessage, AssistantMessage, UserMessage]
    call, result = shop.prompt[2], shop.prompt[3]
    assert isinstance(call, AssistantMessage)
    assert isinstance(result, ToolMessage)
    assert call.tool_calls
    assert call.tool_calls[0].id == result.tool_call_id
    assert result.content == "shelf 4: nothing on it"


async def test_each_strategy_does_what_it_says(shop: World) -> None:
    thread = await shop.thread(small_talk(200))
    await shop.indexed(thread)
    await shop.ask(thread, "one", Truncation("last_messages", 3))
    assert len(shop.prompt) == 1 + 3
    await shop.ask(thread, "two", Truncation("drop_oldest"))
    assert texts(shop.prompt)[-1] == "two"
    assert small_talk(1)[0][1] not in texts(shop.prompt)
    await shop.ask(thread, "three", Truncation("drop_middle"))
    assert texts(shop.prompt)[1] == small_talk(1)[0][1]
    assert texts(shop.prompt)[-1] == "three"
    run = await shop.ask(thread, "four", Truncation("disabled"))
    assert run.status == "failed"
    assert run.last_error is not None
    assert run.last_error.code == "invalid_prompt"


async def test_a_question_that_cannot_fit_ends_the_run_as_incomplete(shop: World) -> None:
    thread = await shop.thread()
    run = await shop.ask(thread, "word " * 4_000)
    assert (run.status, run.limit_reached) == ("incomplete", "max_prompt_tokens")
    run = await shop.ask(thread, "word " * 400, max_prompt_tokens=300)
    assert (run.status, run.limit_reached) == ("incomplete", "max_prompt_tokens")


async def test_what_a_run_sends_is_told_in_its_events(shop: World) -> None:
    thread = await shop.thread(small_talk(200))
    await shop.indexed(thread)
    run = await shop.ask(thread, "What about week 3 in Turin?")
    (chosen,) = await shop.choices(run)
    assert chosen.context == run.context
    kinds = {item.kind for item in chosen.items}
    assert kinds == {"window", "recalled", "dropped"}
    assert sum(item.tokens for item in chosen.items if item.kind != "dropped") <= chosen.context.used
    recalled = [item for item in chosen.items if item.kind == "recalled"]
    assert all(item.source.startswith("msg_") for item in recalled)
