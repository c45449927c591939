"""Memories as Backboard's SDK sees them: kept across threads and models, changed by what is said, never leaked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from backboard import BackboardClient
from backboard.exceptions import BackboardNotFoundError, BackboardValidationError

from plugins.backboard import at_home
from respun.core.chat import ModelRequest
from respun.providers.scripted import Rule, Scripted

pytestmark = pytest.mark.asyncio

# What the assistant's model answers when it is asked for facts, and when it is asked to compare.
RULES = (
    Rule('@say {"facts": ["The user is called Ada."]}', text=r"(?m)^user: .*name is Ada"),
    Rule('@say {"facts": ["The user works with FastAPI."]}', text=r"(?m)^user: .*work with FastAPI"),
    Rule('@say {"facts": ["The user works with Django."]}', text=r"(?m)^user: .*moved to Django"),
    Rule('@say {"facts": []}', text=r"(?m)^user: What is"),
    Rule("@delay 0.6\n@say {}", text=r"(?m)^user: .*slowly"),
    Rule("@fail server The model is away.", text=r"(?m)^user: .*unlucky"),
    Rule("@say Sorry, I can't do that.", text=r"(?m)^user: .*stubborn"),
    Rule(
        '@say {"memory": [{"id": "0", "text": "The user works with Django.", "event": "UPDATE"}]}',
        text=r"^Remembered: .*FastAPI[\s\S]*Django",
    ),
    Rule('@say {"memory": [{"id": "new", "text": "The user is called Ada.", "event": "ADD"}]}', text="^Remembered: "),
)


@pytest.fixture
def model() -> Scripted:
    return Scripted(RULES)


@pytest_asyncio.fixture
async def client(tmp_path: Path, model: Scripted, place: str) -> AsyncIterator[BackboardClient]:
    async with (
        at_home(tmp_path, model, place=place) as origin,
        BackboardClient(api_key="none", base_url=origin) as client,
    ):
        yield client


async def remembered(client: BackboardClient, reply: Any) -> Any:
    """The operation of a reply once it is done."""
    ident = reply.messages[-1]["memory_operation_id"]
    assert ident
    async with asyncio.timeout(10):
        while (found := await client.get_memory_operation_status(ident)).status not in ("COMPLETED", "ERROR"):
            await asyncio.sleep(0.02)
    return found


def prompt_of(model: Scripted, said: str) -> str:
    """The system prompt of the last turn that answered this."""
    asked: list[ModelRequest] = [each for each in model.requests if getattr(each.messages[-1], "content", "") == said]
    return str(asked[-1].messages[0].content) if len(asked[-1].messages) > 1 else ""


async def test_what_is_said_in_one_thread_is_known_in_another(client: BackboardClient, model: Scripted):
    bot = await client.create_assistant("Bot", system_prompt="Be kind.")
    said = await client.send_message("My name is Ada.", assistant_id=bot.assistant_id, memory="Auto")
    operation = await remembered(client, said)
    assert [operation.status, operation.result_count] == ["COMPLETED", 1]
    assert [(each["event"], each["memory"]) for each in operation.memory_ids] == [("ADD", "The user is called Ada.")]
    asked = await client.send_message(
        "How am I called?", assistant_id=bot.assistant_id, memory="readonly", model_name="other"
    )
    assert asked.thread_id != said.thread_id
    (memory,) = asked.messages[-1]["retrieved_memories"]
    assert memory["memory"] == "The user is called Ada."
    assert 0 < memory["score"] <= 1
    assert prompt_of(model, "How am I called?").startswith("Be kind.\n\nWhat you remember")
    assert asked.messages[-1]["memory_operation_id"] is None


async def test_the_next_message_knows_what_is_still_being_remembered(client: BackboardClient, model: Scripted):
    bot = await client.create_assistant("Bot")
    said = await client.send_message("Remember slowly: I live in Oslo.", assistant_id=bot.assistant_id, memory="Auto")
    await client.send_message("Where do I live?", assistant_id=bot.assistant_id, memory="Auto")
    assert "I live in Oslo" in prompt_of(model, "Where do I live?")
    status = await client.get_memory_operation_status(said.messages[-1]["memory_operation_id"])
    assert status.status in ("PENDING", "IN_PROGRESS")


async def test_news_take_the_place_of_what_they_change(client: BackboardClient):
    bot = await client.create_assistant("Bot")
    await remembered(
        client, await client.send_message("I work with FastAPI.", assistant_id=bot.assistant_id, memory="Auto")
    )
    said = await client.send_message("We moved to Django.", assistant_id=bot.assistant_id, memory="Auto")
    operation = await remembered(client, said)
    assert [each["event"] for each in operation.memory_ids] == ["UPDATE"]
    found = await client.get_memories(bot.assistant_id)
    assert [memory.content for memory in found.memories] == ["The user works with Django."]


async def test_a_question_about_the_world_is_no_memory(client: BackboardClient):
    bot = await client.create_assistant("Bot")
    said = await client.send_message("What is a vector?", assistant_id=bot.assistant_id, memory="Auto")
    operation = await remembered(client, said)
    assert [operation.status, operation.result_count, operation.memory_ids[0]["event"]] == ["COMPLETED", 0, "NONE"]
    assert operation.memory_ids[0]["id"] is None
    assert (await client.get_memories(bot.assistant_id)).total_count == 0


async def test_prompts_of_an_assistants_own_are_what_its_model_is_asked(client: BackboardClient, model: Scripted):
    bot = await client.create_assistant(
        "Bot", custom_fact_extraction_prompt="Only names.", custom_update_memory_prompt="Only newer names."
    )
    for text in ("My name is Ada.", "Again, my name is Ada."):
        await remembered(client, await client.send_message(text, assistant_id=bot.assistant_id, memory="Auto"))
    systems = [str(each.messages[0].content) for each in model.requests]
    assert sum(each.startswith("Only names.\n\nAnswer with JSON only") for each in systems) == 2
    assert sum(each.startswith("Only newer names.\n\nAnswer with JSON only") for each in systems) == 1


async def test_memory_is_off_unless_it_is_asked_for(client: BackboardClient, model: Scripted):
    bot = await client.create_assistant("Bot")
    await client.add_memory(bot.assistant_id, "The user is called Ada.")
    for mode in (None, "off", "OFF"):
        said = await client.send_message("How am I called?", assistant_id=bot.assistant_id, memory=mode)
        assert [said.messages[-1]["retrieved_memories"], said.messages[-1]["memory_operation_id"]] == [[], None]
    assert prompt_of(model, "How am I called?") == ""


@pytest.mark.parametrize("given", [{"memory": "auto"}, {"memory": "On"}, {"memory_pro": "Auto"}])
async def test_modes_are_known_in_any_case(client: BackboardClient, given: Any):
    bot = await client.create_assistant("Bot")
    said = await client.send_message("My name is Ada.", assistant_id=bot.assistant_id, **given)
    assert (await remembered(client, said)).result_count == 1


async def test_people_who_share_an_assistant_know_nothing_of_each_other(client: BackboardClient, model: Scripted):
    bot = await client.create_assistant("Bot")
    await client.add_memory(bot.assistant_id, "The office opens at nine.")
    ada, bob = {"user_id": "ada"}, {"user_id": "bob"}
    said = await client.send_message("My name is Ada.", assistant_id=bot.assistant_id, memory="Auto", metadata=ada)
    asked = "How is the user called when the office opens?"
    for when in ("at once", "later"):
        for metadata, knows in ((ada, True), (bob, False), (None, False)):
            text = f"{asked} {when} {metadata}"
            await client.send_message(text, assistant_id=bot.assistant_id, memory="Readonly", metadata=metadata)
            assert ("Ada" in prompt_of(model, text)) is knows
            assert "nine" in prompt_of(model, text)
        await remembered(client, said)


async def test_a_message_that_nobody_answers_is_remembered(client: BackboardClient):
    bot = await client.create_assistant("Bot")
    said = await client.send_message(
        "My name is Ada.",
        assistant_id=bot.assistant_id,
        memory="Auto",
        send_to_llm="false",
        metadata={"custom_timestamp": "2023-05-08T13:56:00"},
    )
    assert (await remembered(client, said)).result_count == 1
    events = [
        event
        async for event in await client.send_message(
            "How am I called?", assistant_id=bot.assistant_id, memory="Auto", send_to_llm="false", stream=True
        )
    ]
    assert [event["type"] for event in events] == ["user_message", "memory_retrieved", "message_saved"]
    assert events[-1]["memory_operation_id"]


async def test_a_stream_tells_what_was_recalled(client: BackboardClient):
    bot = await client.create_assistant("Bot")
    await client.add_memory(bot.assistant_id, "The user is called Ada.")
    stream = await client.send_message("How am I called?", assistant_id=bot.assistant_id, memory="Auto", stream=True)
    events = [event async for event in stream]
    assert [event["type"] for event in events[:2]] == ["user_message", "memory_retrieved"]
    assert [each["memory"] for each in events[1]["memories"]] == ["The user is called Ada."]
    assert events[-1]["memory_operation_id"]


async def test_a_model_that_notes_no_facts_leaves_what_the_user_said_of_himself(client: BackboardClient):
    bot = await client.create_assistant("Bot")
    text = "I am stubborn and I like tea. What is tea? It is hot."
    said = await client.send_message(text, assistant_id=bot.assistant_id, memory="Auto")
    operation = await remembered(client, said)
    assert [each["memory"] for each in operation.memory_ids] == ["I am stubborn and I like tea."]


async def test_a_model_that_fails_ends_in_an_error_that_clients_wait_for(client: BackboardClient):
    bot = await client.create_assistant("Bot")
    said = await client.send_message("I am unlucky.", assistant_id=bot.assistant_id, memory="Auto")
    assert (await remembered(client, said)).status == "ERROR"


async def test_nothing_is_remembered_of_a_run_that_failed(client: BackboardClient):
    bot = await client.create_assistant("Bot")
    said = await client.send_message(
        "My name is Ada.\n@fail server Away.", assistant_id=bot.assistant_id, memory="Auto"
    )
    assert said.status == "FAILED"
    assert (await remembered(client, said)).result_count == 0


async def test_memories_are_kept_read_changed_and_deleted(client: BackboardClient):
    bot = (await client.create_assistant("Bot")).assistant_id
    made = await client.add_memory(bot, "Likes tea.", {"kind": "taste", "n": 1})
    assert made["success"]
    memory = await client.get_memory(bot, made["memory_id"])
    assert [memory.content, memory.metadata] == ["Likes tea.", {"kind": "taste", "n": 1}]
    changed = await client.update_memory(bot, memory.id, "Likes green tea.")
    assert [changed.content, changed.metadata] == ["Likes green tea.", {"kind": "taste", "n": 1}]
    assert [each["content"] for each in (await client.search_memories(bot, "green"))["memories"]] == [
        "Likes green tea."
    ]
    stats = await client.get_memory_stats(bot)
    assert stats.total_memories == 1
    assert stats.last_updated
    assert (await client.get_memory_insights(bot)).keys() == {"snapshot", "contentSignals", "breakdown", "operations"}
    assert (await client.delete_memory(bot, memory.id))["success"]
    with pytest.raises(BackboardNotFoundError):
        await client.get_memory(bot, memory.id)
    assert (await client.search_memories(bot, "green"))["memories"] == []
    with pytest.raises(BackboardValidationError, match="at most 4000 characters"):
        await client.add_memory(bot, "x" * 4001)


async def test_memories_come_in_pages_and_all_at_once(client: BackboardClient):
    bot = (await client.create_assistant("Bot")).assistant_id
    for number in range(30):
        await client.add_memory(bot, f"Fact number {number}.")
    whole = await client.get_memories(bot)
    assert [len(whole.memories), whole.total_count, whole.page] == [30, 30, None]
    page = await client.get_memories(bot, page=2)
    assert [len(page.memories), page.total_pages, page.page_size] == [5, 2, 25]
    assert page.memories[-1].content == "Fact number 0."
    assert (await client.reset_memories(bot))["success"]
    assert (await client.get_memories(bot)).total_count == 0


async def test_a_search_cuts_off_only_what_it_is_told_to(client: BackboardClient):
    bot = (await client.create_assistant("Bot")).assistant_id
    await client.add_memory(bot, "Ada likes tea.", {"topic": "drinks"})
    await client.add_memory(bot, "Ada lives in Oslo.", {"topic": "places"})
    await client.add_memory(bot, "Tea is served at five in Oslo.", {"topic": "drinks"})

    async def search(**more: Any) -> list[str]:
        answer = await client._make_request(
            "POST", f"/assistants/{bot}/memories/search", json_data={"query": "Where does Ada drink tea?", **more}
        )
        return [each["content"] for each in answer.json()["memories"]]

    assert await search() == ["Ada likes tea.", "Tea is served at five in Oslo.", "Ada lives in Oslo."]
    assert await search(limit=1) == ["Ada likes tea."]
    assert await search(metadata={"topic": "places"}) == ["Ada lives in Oslo."]
    assert await search(min_score=1) == []


async def test_a_clone_takes_the_memories_along(client: BackboardClient):
    bot = (await client.create_assistant("Bot")).assistant_id
    await client.add_memory(bot, "Likes tea.")
    clone = await client.clone_assistant(bot)
    assert clone.memories_cloned == 1
    await client.reset_memories(bot)
    assert [each.content for each in (await client.get_memories(clone.assistant.assistant_id)).memories] == [
        "Likes tea."
    ]
    assert (await client.clone_assistant(bot, copy_memories=False)).memories_cloned == 0


async def test_answers_can_cite_what_was_recalled(client: BackboardClient, model: Scripted):
    bot = await client.create_assistant("Bot")
    await client.add_memory(bot.assistant_id, "The user is called Ada.")
    await client.send_message(
        "How am I called?", assistant_id=bot.assistant_id, memory="Auto", memory_response_citation=True
    )
    assert "name its number in square brackets" in prompt_of(model, "How am I called?")
