"""The openai SDK, its pollers and its stream accumulators, against a server of this dialect."""

import asyncio
from typing import Any

import pytest
from openai import APIError, AsyncAssistantEventHandler, AsyncOpenAI, BadRequestError, NotFoundError
from openai.types.beta.assistant_stream_event import AssistantStreamEvent

from respun.workspace.runs import RunRules

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


class Listener(AsyncAssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.arguments: list[str] = []

    async def on_event(self, event: AssistantStreamEvent) -> None:
        self.names.append(event.event)

    async def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.text += delta.value or ""

    async def on_tool_call_done(self, tool_call: Any) -> None:
        self.arguments.append(tool_call.function.arguments)


async def ask(client: AsyncOpenAI, script: str, **assistant: Any) -> tuple[str, str]:
    """An assistant and a thread whose message tells the scripted model what to do."""
    made = await client.beta.assistants.create(model="scripted", **assistant)
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": script}])
    return made.id, thread.id


async def listen(client: AsyncOpenAI, assistant: str, thread: str, **options: Any) -> Listener:
    listener = Listener()
    async with client.beta.threads.runs.stream(
        thread_id=thread, assistant_id=assistant, event_handler=listener, **options
    ) as stream:
        await stream.until_done()
    return listener


async def test_a_text_run_streams_in_the_recorded_order(client: AsyncOpenAI):
    listener = await listen(client, *await ask(client, "@say Hello there"))
    assert [name for name in listener.names if name != "thread.message.delta"] == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    assert listener.text == "Hello there"
    (message,) = await listener.get_final_messages()
    assert message.content[0].text.value == "Hello there"  # type: ignore[union-attr]


async def test_a_thread_made_with_its_run_is_the_first_event(client: AsyncOpenAI):
    made = await client.beta.assistants.create(model="scripted")
    listener = Listener()
    thread = {"messages": [{"role": "user", "content": "@say Hi"}], "metadata": {"of": "me"}}
    async with client.beta.threads.create_and_run_stream(
        assistant_id=made.id,
        thread=thread,  # type: ignore[arg-type]
        event_handler=listener,
    ) as stream:
        events = [event async for event in stream]
    assert events[0].event == "thread.created"
    assert events[0].data.metadata == {"of": "me"}
    assert listener.names[1] == "thread.run.created"


async def test_parallel_function_calls_accumulate_and_are_submitted(client: AsyncOpenAI):
    script = '@call weather {"city":"Rome"}\n@call weather {"city":"Oslo"}\n@then\n@say Warm and cold.'
    assistant, thread = await ask(client, script, tools=[WEATHER])
    listener = await listen(client, assistant, thread)
    assert listener.arguments == ['{"city":"Rome"}', '{"city":"Oslo"}']
    assert listener.names[-1] == "thread.run.requires_action"
    run = listener.current_run
    assert run
    assert run.required_action
    calls = run.required_action.submit_tool_outputs.tool_calls
    after = Listener()
    async with client.beta.threads.runs.submit_tool_outputs_stream(
        thread_id=thread,
        run_id=run.id,
        tool_outputs=[{"tool_call_id": call.id, "output": "20"} for call in calls],
        event_handler=after,
    ) as stream:
        await stream.until_done()
    assert after.names[:2] == ["thread.run.step.completed", "thread.run.queued"]
    assert after.names[-1] == "thread.run.completed"
    assert after.text == "Warm and cold."
    steps = await client.beta.threads.runs.steps.list(run.id, thread_id=thread, order="asc")
    assert [step.type for step in steps.data] == ["tool_calls", "message_creation"]
    assert steps.data[0].step_details.tool_calls[1].function.output == "20"  # type: ignore[union-attr]


async def test_a_run_cut_off_at_its_limit_is_incomplete(client: AsyncOpenAI):
    listener = await listen(client, *await ask(client, "@say One two\n@length"))
    assert listener.names[-3:] == ["thread.message.incomplete", "thread.run.step.completed", "thread.run.incomplete"]
    (message,) = await listener.get_final_messages()
    assert message.incomplete_details
    assert message.incomplete_details.reason == "max_tokens"


async def test_a_failing_model_fails_the_open_message_the_step_and_the_run(client: AsyncOpenAI):
    listener = await listen(client, *await ask(client, "@say One two\n@fail quota No money left."))
    assert listener.names[-3:] == ["thread.message.incomplete", "thread.run.step.failed", "thread.run.failed"]
    run = listener.current_run
    assert run
    assert run.last_error
    assert run.last_error.code == "rate_limit_exceeded"


async def test_a_cancelled_run_ends_its_stream_cancelled(client: AsyncOpenAI):
    listener = Listener()
    assistant, thread = await ask(client, "@say One two\n@hang")
    async with client.beta.threads.runs.stream(
        thread_id=thread, assistant_id=assistant, event_handler=listener
    ) as stream:
        async for event in stream:
            if event.event == "thread.message.delta" and listener.current_run:
                await client.beta.threads.runs.cancel(listener.current_run.id, thread_id=thread)
                break
        await stream.until_done()
    assert listener.names[-4:] == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]


@pytest.mark.parametrize("rules", [RunRules(expires_after=1.0)])
async def test_an_expired_run_ends_its_stream_expired(client: AsyncOpenAI):
    listener = await listen(client, *await ask(client, "@say One\n@hang"))
    assert listener.names[-3:] == ["thread.message.incomplete", "thread.run.step.expired", "thread.run.expired"]
    run = listener.current_run
    assert run
    assert run.expires_at == run.created_at + 1


async def test_a_refusal_is_streamed_as_one(client: AsyncOpenAI):
    listener = await listen(client, *await ask(client, "@refuse I would rather not."))
    (message,) = await listener.get_final_messages()
    assert message.content[0].refusal == "I would rather not."  # type: ignore[union-attr]


async def test_an_empty_answer_ends_well(client: AsyncOpenAI):
    listener = await listen(client, *await ask(client, "@usage 3 0"))
    assert listener.names[-1] == "thread.run.completed"


async def test_the_poller_is_told_to_come_back_soon(client: AsyncOpenAI):
    assistant, thread = await ask(client, "@delay 0.05\n@say Hi")
    began = asyncio.get_running_loop().time()
    run = await client.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant)
    assert run.status == "completed"
    assert run.usage
    assert asyncio.get_running_loop().time() - began < 0.9


async def test_every_object_can_be_made_changed_listed_and_deleted(client: AsyncOpenAI):
    beta = client.beta
    made = await beta.assistants.create(
        model="scripted",
        name="A",
        tools=[{"type": "function", "function": {"name": "f"}}, {"type": "file_search"}, {"type": "code_interpreter"}],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    )
    assert made.to_dict()["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False},
        },
        {
            "type": "file_search",
            "file_search": {
                "ranking_options": {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
            },
        },
        {"type": "code_interpreter"},
    ]
    assert made.to_dict()["tool_resources"] == {"code_interpreter": {"file_ids": []}}
    changed = await beta.assistants.update(made.id, name=None, metadata={"k": "v"})  # type: ignore[arg-type]
    assert changed.name is None
    assert changed.metadata == {"k": "v"}
    assert changed.response_format == made.response_format
    assert [each.id async for each in beta.assistants.list(limit=1)] == [made.id]

    thread = await beta.threads.create()
    assert thread.to_dict()["tool_resources"] == {}
    assert (await beta.threads.retrieve(thread.id)).to_dict()["tool_resources"] == {
        "code_interpreter": {"file_ids": []}
    }
    assert (await beta.threads.update(thread.id, metadata={"a": "b"})).metadata == {"a": "b"}
    message = await beta.threads.messages.create(
        thread.id,
        role="user",
        content=[
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        ],
    )
    assert message.content[1].image_url.detail == "auto"  # type: ignore[union-attr]
    again = await beta.threads.messages.update(message.id, thread_id=thread.id, metadata={"x": "y"})
    assert again.metadata == {"x": "y"}
    assert [each.id async for each in beta.threads.messages.list(thread.id)] == [message.id]
    assert (await beta.threads.messages.delete(message.id, thread_id=thread.id)).deleted
    assert (await beta.threads.delete(thread.id)).object == "thread.deleted"
    assert (await beta.assistants.delete(made.id)).object == "assistant.deleted"
    with pytest.raises(NotFoundError, match=f"No assistant found with id '{made.id}'."):
        await beta.assistants.retrieve(made.id)


async def test_a_busy_thread_refuses_messages_and_runs_with_400(client: AsyncOpenAI):
    assistant, thread = await ask(client, "@hang")
    run = await client.beta.threads.runs.create(thread, assistant_id=assistant)
    with pytest.raises(BadRequestError, match=f"Thread {thread} already has an active run {run.id}."):
        await client.beta.threads.runs.create(thread, assistant_id=assistant)
    with pytest.raises(BadRequestError, match=f"Can't add messages to {thread} while a run {run.id} is active."):
        await client.beta.threads.messages.create(thread, role="user", content="More")
    await client.beta.threads.runs.cancel(run.id, thread_id=thread)


async def test_models_are_listed_and_found_even_with_a_slash_in_their_name(client: AsyncOpenAI):
    assert [model.id async for model in client.models.list()] == ["scripted", "maker/scripted"]
    assert (await client.models.retrieve("maker/scripted")).owned_by == "respun"
    with pytest.raises(NotFoundError) as caught:
        await client.models.delete("fake_id")
    assert caught.value.body == {
        "message": "The model 'fake_id' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    with pytest.raises(APIError, match="cannot be deleted"):
        await client.models.delete("scripted")
