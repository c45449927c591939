"""Backboard's Python SDK, method by method, as its guides use it."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from backboard import BackboardClient
from backboard.exceptions import BackboardAPIError, BackboardNotFoundError, BackboardValidationError

pytestmark = pytest.mark.asyncio

CALL = '@call weather {"city":"Rome"}\n@then\n@say It is warm.'


async def test_an_assistants_life(backboard: BackboardClient, weather: dict[str, Any]):
    name = f"Bot {uuid4()}"
    made = await backboard.create_assistant(
        name, system_prompt="Be brief.", tools=[weather], tok_k=5, custom_fact_extraction_prompt="Facts, please."
    )
    assert [made.name, made.system_prompt, made.description, made.tok_k] == [name, "Be brief.", "Be brief.", 5]
    assert made.tools
    assert made.tools[0].model_dump(exclude_none=True) == weather
    assert [each.assistant_id for each in await backboard.list_assistants(name=name)] == [made.assistant_id]
    assert await backboard.list_assistants(name=name.lower()) == []
    changed = await backboard.update_assistant(made.assistant_id, name="New", tools=[])
    assert [changed.name, changed.tools, changed.custom_fact_extraction_prompt] == ["New", None, "Facts, please."]
    thread = await backboard.create_thread(made.assistant_id)
    gone = await backboard.delete_assistant(made.assistant_id)
    assert gone["assistant_id"] == str(made.assistant_id)
    with pytest.raises(BackboardNotFoundError):
        await backboard.get_assistant(made.assistant_id)
    with pytest.raises(BackboardNotFoundError, match=str(thread.thread_id)):
        await backboard.get_thread(thread.thread_id)


async def test_a_clone_is_told_apart_by_its_name(backboard: BackboardClient):
    made = await backboard.create_assistant("Original", system_prompt="A")
    clone = (await backboard.clone_assistant(made.assistant_id)).assistant
    assert [clone.name, clone.system_prompt] == ["Original Copy", "A"]
    other = (await backboard.clone_assistant(made.assistant_id, name="Other", system_prompt="B")).assistant
    assert [other.name, other.system_prompt] == ["Other", "B"]


async def test_a_conversation_is_kept_and_read_back_in_order(backboard: BackboardClient):
    bot = await backboard.create_assistant("Bot")
    thread = await backboard.create_thread(bot.assistant_id)
    first = await backboard.add_message(thread.thread_id, content="@say One.", metadata={"n": 1, "who": "Ada"})
    await backboard.add_message(thread.thread_id, content="@say Two.")
    assert [first.content, first.status, first.assistant_id] == ["One.", "COMPLETED", str(bot.assistant_id)]
    read = await backboard.get_thread(thread.thread_id)
    assert [message.role.value for message in read.messages] == ["user", "assistant", "user", "assistant"]
    assert [message.content for message in read.messages] == ["@say One.", "One.", "@say Two.", "Two."]
    assert read.messages[0].metadata_ == {"n": 1, "who": "Ada"}
    assert str(read.messages[1].message_id) == first.messages[-1]["message_id"]
    assert first.context_usage
    assert first.context_usage.used_tokens == first.messages[-1]["total_tokens"] > 0


async def test_the_threads_of_an_assistant_are_listed(backboard: BackboardClient):
    bot = await backboard.create_assistant("Bot")
    other = await backboard.create_assistant("Other")
    made = [(await backboard.create_thread(bot.assistant_id)).thread_id for _ in range(3)]
    await backboard.create_thread(other.assistant_id)
    await backboard.add_message(made[0], content="@say Hi.")
    listed = await backboard.list_threads_for_assistant(bot.assistant_id)
    assert [each.thread_id for each in listed] == made[::-1]
    assert [len(each.messages) for each in listed] == [0, 0, 2]
    paged = await backboard.list_threads_for_assistant(bot.assistant_id, skip=1, limit=1)
    assert [each.thread_id for each in paged] == [made[1]]
    assert (await backboard.list_threads(limit=1))[0].thread_id not in made
    assert (await backboard.delete_thread(made[0]))["thread_id"] == str(made[0])


async def test_a_message_to_nobody_begins_a_thread_with_the_default_assistant(backboard: BackboardClient):
    first = await backboard.send_message("@say Hello.")
    again = await backboard.send_message("@say And again.", thread_id=first.thread_id)
    assert [first.content, again.content] == ["Hello.", "And again."]
    assert [again.thread_id, again.assistant_id] == [first.thread_id, first.assistant_id]
    other = await backboard.send_message("@say Hello.")
    assert other.assistant_id == first.assistant_id
    assert other.thread_id != first.thread_id


async def test_a_turn_has_a_model_a_prompt_and_tools_of_its_own(backboard: BackboardClient, weather: dict[str, Any]):
    said = await backboard.send_message(
        "Hi", llm_provider="anthropic", model_name="claude-x", system_prompt="Sing.", tools=[weather]
    )
    last = said.messages[-1]
    assert [last["model_provider"], last["model_name"]] == ["anthropic", "claude-x"]
    assert "I saw 2 messages and the tools weather" in said.content
    plain = await backboard.send_message("Hi", thread_id=said.thread_id)
    assert "I saw 3 messages." in plain.content


async def test_tools_are_answered_through_the_run(backboard: BackboardClient, weather: dict[str, Any]):
    bot = await backboard.create_assistant("Bot", tools=[weather])
    thread = await backboard.create_thread(bot.assistant_id)
    asked = await backboard.add_message(thread.thread_id, content=CALL)
    assert [asked.status, asked.content] == ["REQUIRES_ACTION", None]
    assert asked.tool_calls
    call = asked.tool_calls[0]
    assert [call.function.name, call.function.parsed_arguments] == ["weather", {"city": "Rome"}]
    outputs = [{"tool_call_id": call.id, "output": '{"t":31}'}]
    done = await backboard.submit_tool_outputs(thread.thread_id, asked.run_id, outputs)
    assert [done.status, done.content, done.run_id] == ["COMPLETED", "It is warm.", asked.run_id]
    read = (await backboard.get_thread(thread.thread_id)).messages
    assert [message.role.value for message in read] == ["user", "assistant", "tool", "assistant"]
    assert [read[1].content, read[2].content, read[3].content] == ["", '{"t":31}', "It is warm."]
    assert read[1].metadata_["tool_calls"][0]["id"] == call.id
    assert read[2].metadata_ == {"run_id": asked.run_id, "tool_call_id": call.id, "tool_name": "weather"}


async def test_tools_of_a_turn_are_kept_through_all_its_rounds(backboard: BackboardClient, weather: dict[str, Any]):
    script = "@call weather {}\n@then\n@call weather {}\n@then"
    asked = await backboard.send_message(script, tools=[weather])
    for _ in range(2):
        assert asked.status == "REQUIRES_ACTION"
        outputs = [{"tool_call_id": each.id, "output": "warm"} for each in asked.tool_calls]
        asked = await backboard.submit_tool_outputs_simple(asked.thread_id, outputs)
    assert asked.status == "COMPLETED"


async def test_outputs_for_a_thread_that_waits_for_none_are_refused(backboard: BackboardClient):
    said = await backboard.send_message("@say Hi.")
    with pytest.raises(BackboardValidationError, match=f"No run of {said.thread_id} waits"):
        await backboard.submit_tool_outputs_simple(said.thread_id, [{"tool_call_id": "call_1", "output": "x"}])


async def test_a_stream(backboard: BackboardClient):
    said = await backboard.send_message("@think Hm, well.\n@say Hello to you.", stream=True)
    events = [event async for event in said]
    kinds = list(dict.fromkeys(event["type"] for event in events))
    assert kinds == ["user_message", "reasoning_streaming", "reasoning_ended", "content_streaming", "run_ended"]
    text = [event for event in events if event["type"] == "content_streaming"]
    assert "".join(event["content"] for event in text) == text[-1]["accumulated_content"] == "Hello to you."
    thought = [event for event in events if event["type"] == "reasoning_streaming"]
    assert thought[-1]["accumulated_reasoning"] == "Hm, well."
    end = events[-1]
    assert [end["status"], end["final_content"], end["model_name"]] == ["completed", "Hello to you.", "gpt-4o"]
    assert end["total_tokens"] == end["input_tokens"] + end["output_tokens"] > 0
    UUID(events[0]["message_id"])


async def test_a_stream_that_waits_for_tools_goes_on_when_they_have_answered(
    backboard: BackboardClient, weather: dict[str, Any]
):
    first = [event async for event in await backboard.send_message(CALL, tools=[weather], stream=True)]
    assert [event["type"] for event in first] == [
        "user_message", "tool_call_start", "tool_call_ready", "tool_submit_required",
    ]  # fmt: skip
    waits = first[-1]
    assert waits["tool_calls"] == [first[2]["tool_call"]]
    outputs = [{"tool_call_id": waits["tool_calls"][0]["id"], "output": "31"}]
    stream = await backboard.submit_tool_outputs(waits["thread_id"], waits["run_id"], outputs, stream=True)
    rest = [event async for event in stream]
    assert [rest[0]["type"], rest[-1]["final_content"]] == ["content_streaming", "It is warm."]


async def test_reasoning_comes_with_the_reply_to_whoever_does_not_stream(backboard: BackboardClient):
    said = await backboard.send_message("@think Hm.\n@say Yes.", thinking={"effort": "high"})
    assert [said.reasoning, said.content] == ["Hm.", "Yes."]


async def test_a_run_can_be_cancelled_twice(backboard: BackboardClient, weather: dict[str, Any]):
    asked = await backboard.send_message(CALL, tools=[weather])
    for _ in range(2):
        answer = await backboard.cancel_run(asked.thread_id, asked.run_id)
        assert answer == {"thread_id": asked.thread_id, "run_id": asked.run_id, "cancelled": True}
    done = await backboard.send_message("@say Hi.")
    assert not (await backboard.cancel_run(done.thread_id, done.run_id))["cancelled"]


async def test_a_message_in_place_of_outputs_lets_the_thread_go_on(backboard: BackboardClient, weather: dict[str, Any]):
    asked = await backboard.send_message(CALL, tools=[weather])
    said = await backboard.send_message("@say Never mind.", thread_id=asked.thread_id)
    assert [said.status, said.content] == ["COMPLETED", "Never mind."]


async def test_a_message_can_be_kept_without_an_answer(backboard: BackboardClient):
    kept = await backboard.send_message(
        "I moved.", send_to_llm="false", metadata={"custom_timestamp": "2024-05-11T10:00:00Z"}
    )
    assert [kept.status, kept.run_id] == ["COMPLETED", None]
    read = (await backboard.get_thread(kept.thread_id)).messages
    assert [message.content for message in read] == ["I moved."]
    assert read[0].created_at.isoformat() == "2024-05-11T10:00:00+00:00"
    events = [event async for event in await backboard.send_message("So.", send_to_llm="false", stream=True)]
    assert [event["type"] for event in events] == ["user_message", "message_saved"]


async def test_a_model_that_fails_is_told_of(backboard: BackboardClient):
    said = await backboard.send_message("@fail context_length Please reduce the length of it.")
    assert [said.status, said.content] == ["FAILED", "LLM Invocation Error: Please reduce the length of it."]
    assert said.messages[-1]["error"]["code"] == "invalid_prompt"
    with pytest.raises(BackboardAPIError, match=r"Please reduce the length of it\."):
        async for _ in await backboard.send_message(
            "@fail context_length Please reduce the length of it.", stream=True
        ):
            pass


async def test_the_catalogue_shows_what_the_routes_name(backboard: BackboardClient):
    found = await backboard.list_models(model_type="llm")
    assert [model.name for model in found.models] == ["scripted"]
    assert (await backboard.get_model("scripted")).context_limit > 0
    providers = (await backboard.list_providers()).providers
    assert (await backboard.list_models_by_provider(providers[0])).total == 1
    assert (await backboard.list_models_by_provider("nobody")).total == 0
    assert (await backboard.list_models(min_context=1 << 40)).total == 0
    with pytest.raises(BackboardNotFoundError, match="does not exist"):
        await backboard.get_model("vendor/none")
    assert [(await backboard.list_embedding_models()).total, (await backboard.list_embedding_providers()).total] == [
        0,
        0,
    ]
    assert [(await backboard.list_image_models()).total, (await backboard.list_video_models()).total] == [0, 0]


async def test_what_is_not_served_is_refused_with_a_reason(backboard: BackboardClient):
    with pytest.raises(BackboardValidationError, match="makes no images or videos"):
        await backboard.send_message("A cat", operation="generate_image")
    with pytest.raises(BackboardValidationError, match="has no voice"):
        await backboard.send_message("Hi", voice={"tts": {}})
    with pytest.raises(BackboardValidationError, match="can't be combined"):
        await backboard.send_message("Hi", memory="Auto", memory_pro="Auto")
    said = await backboard.send_message("@say Hi.", web_search="Auto")
    assert "does not search the web" in said.messages[-1]["warnings"][0]
