"""Runs as programs of the stock SDK live them: polled, streamed, with tools, cancelled, expired, locked out."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from openai import AssistantEventHandler, AsyncAssistantEventHandler, AsyncOpenAI, BadRequestError, OpenAI
from typing_extensions import override

from plugins.server import BOTH_STORES, Server
from plugins.stock import TWO_CITIES, WEATHER, ask, awaited, made_run, outputs_of

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")

FINAL = ("completed", "failed", "incomplete")


class Answering(AssistantEventHandler):
    """As in OpenAI's guide: it answers the calls from within the handler, and prints what the assistant says."""

    def __init__(self, sdk: OpenAI, said: list[str]) -> None:
        super().__init__()
        self._sdk = sdk
        self._said = said

    @override
    def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self._said.append(delta.value)

    @override
    def on_event(self, event: Any) -> None:
        if event.event == "thread.run.requires_action":
            with self._sdk.beta.threads.runs.submit_tool_outputs_stream(
                thread_id=event.data.thread_id,
                run_id=event.data.id,
                tool_outputs=outputs_of(event.data),
                event_handler=Answering(self._sdk, self._said),
            ) as stream:
                stream.until_done()


class AsyncHearing(AsyncAssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    @override
    async def on_text_created(self, text: Any) -> None:
        self.heard.append("text created")

    @override
    async def on_text_done(self, text: Any) -> None:
        self.heard.append(text.value)

    @override
    async def on_tool_call_created(self, tool_call: Any) -> None:
        self.heard.append(tool_call.type)

    @override
    async def on_tool_call_done(self, tool_call: Any) -> None:
        self.heard.append(tool_call.function.arguments)

    @override
    async def on_run_step_done(self, run_step: Any) -> None:
        self.heard.append(run_step.status)

    @override
    async def on_end(self) -> None:
        self.heard.append("end")


@BOTH_STORES
def test_a_polled_run_with_two_rounds_of_tools(sdk: OpenAI):
    script = f"{TWO_CITIES.rpartition('@say')[0]}@call weather\n@then\n@say Done."
    assistant, thread = ask(sdk, script, tools=[WEATHER])
    runs = sdk.beta.threads.runs
    run = runs.create_and_poll(thread_id=thread, assistant_id=assistant)
    assert [len(outputs_of(run)), run.usage] == [2, None]
    run = runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=thread, tool_outputs=outputs_of(run))
    assert [run.status, len(outputs_of(run))] == ["requires_action", 1]
    run = runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=thread, tool_outputs=outputs_of(run))
    assert [run.status, run.required_action, run.expires_at] == ["completed", None, None]
    steps = runs.steps.list(run.id, thread_id=thread, order="asc").data
    assert [step.type for step in steps] == ["tool_calls", "tool_calls", "message_creation"]
    assert run.usage
    assert run.usage.total_tokens == sum(step.usage.total_tokens for step in steps if step.usage)
    newest = sdk.beta.threads.messages.list(thread, run_id=run.id).data
    assert [message.content[0].text.value for message in newest] == ["Done."]  # type: ignore[union-attr]


def test_the_guides_event_handler_answers_calls_inside_the_stream(sdk: OpenAI):
    assistant, thread = ask(sdk, TWO_CITIES, tools=[WEATHER])
    said: list[str] = []
    with sdk.beta.threads.runs.stream(
        thread_id=thread, assistant_id=assistant, event_handler=Answering(sdk, said)
    ) as stream:
        stream.until_done()
    assert "".join(said) == "Warm and cold."
    assert sdk.beta.threads.runs.list(thread).data[0].status == "completed"


async def test_the_async_handler_hears_calls_steps_and_the_end(sdk: OpenAI, async_sdk: AsyncOpenAI):
    assistant, thread = ask(sdk, '@call weather {"city":"Rome"}\n@then\n@say Warm.', tools=[WEATHER])
    hearing = AsyncHearing()
    runs = async_sdk.beta.threads.runs
    async with runs.stream(thread_id=thread, assistant_id=assistant, event_handler=hearing) as stream:
        await stream.until_done()
        run = hearing.current_run
    assert run
    assert hearing.heard == ["function", '{"city":"Rome"}', "end"]
    after = AsyncHearing()
    async with runs.submit_tool_outputs_stream(
        run_id=run.id, thread_id=thread, tool_outputs=outputs_of(run), event_handler=after
    ) as stream:
        await stream.until_done()
    assert after.heard == ["completed", "text created", "Warm.", "completed", "end"]


def test_plain_streams_end_with_the_runs_last_event(sdk: OpenAI):
    assistant, thread = ask(sdk, TWO_CITIES, tools=[WEATHER])
    runs = sdk.beta.threads.runs
    first = list(runs.create(thread, assistant_id=assistant, stream=True))
    run: Any = first[-1].data
    assert first[-1].event == "thread.run.requires_action"
    second = runs.submit_tool_outputs(run.id, thread_id=thread, tool_outputs=outputs_of(run), stream=True)
    assert [event.event for event in second][-1] == "thread.run.completed"
    third = sdk.beta.threads.create_and_run(assistant_id=assistant, thread={}, stream=True, tools=[])
    assert next(event.event for event in third) == "thread.created"


def test_create_and_run_is_polled_and_streamed(sdk: OpenAI):
    assistant, _ = ask(sdk, "@say unused")
    thread: Any = {"messages": [{"role": "user", "content": "@say Hello you"}]}
    threads = sdk.beta.threads
    assert threads.create_and_run_poll(assistant_id=assistant, thread=thread).status == "completed"
    with threads.create_and_run_stream(assistant_id=assistant, thread=thread) as stream:
        assert "".join(stream.text_deltas) == "Hello you"
        assert [step.type for step in stream.get_final_run_steps()] == ["message_creation"]
        assert stream.get_final_run().status == "completed"
        (message,) = stream.get_final_messages()
    assert threads.messages.retrieve(message.id, thread_id=message.thread_id).content == message.content


@pytest.mark.parametrize("status", FINAL)
def test_a_run_ends_as_its_model_did(sdk: OpenAI, status: str):
    endings = {"completed": "", "failed": "@fail unavailable The model is down.", "incomplete": "@length"}
    assistant, thread = ask(sdk, f"@say Some words\n{endings[status]}")
    run = sdk.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant)
    assert run.status == status
    assert (run.failed_at is not None) == (status == "failed")
    assert (run.last_error is not None) == (status == "failed")
    assert (run.incomplete_details is not None) == (status == "incomplete")
    assert sdk.beta.threads.messages.create(thread, role="user", content="The thread is free again.").id


@BOTH_STORES
@pytest.mark.parametrize("status", ["in_progress", "requires_action"])
def test_a_cancelled_run_is_cancelling_then_cancelled_within_a_second(sdk: OpenAI, status: str):
    script = {"in_progress": "@say Half\n@hang", "requires_action": "@call weather"}[status]
    run = made_run(sdk, script, status, tools=[WEATHER])
    began = time.monotonic()
    cancelling = sdk.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    assert [cancelling.status, cancelling.expires_at] == ["cancelling", run.expires_at]
    cancelled = awaited(sdk, run, "cancelled")
    assert time.monotonic() - began < 1
    assert cancelled.cancelled_at
    with pytest.raises(BadRequestError, match=re.escape("Cannot cancel run with status 'cancelled'.")):
        sdk.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)


@BOTH_STORES
def test_a_thread_with_an_active_run_is_locked_by_openais_sentences(sdk: OpenAI):
    run = made_run(sdk, "@hang", "in_progress")
    thread = run.thread_id
    with pytest.raises(
        BadRequestError, match=re.escape(f"Can't add messages to {thread} while a run {run.id} is active.")
    ):
        sdk.beta.threads.messages.create(thread, role="user", content="More")
    with pytest.raises(BadRequestError, match=re.escape(f"Thread {thread} already has an active run {run.id}.")):
        sdk.beta.threads.runs.create(thread, assistant_id=run.assistant_id)
    with pytest.raises(BadRequestError, match=re.escape("Cannot update run with status 'in_progress'.")):
        sdk.beta.threads.runs.update(run.id, thread_id=thread, metadata={})
    assert sdk.beta.threads.update(thread, metadata={"still": "allowed"}).metadata == {"still": "allowed"}
    sdk.beta.threads.runs.cancel(run.id, thread_id=thread)
    awaited(sdk, run, "cancelled")
    assert sdk.beta.threads.messages.create(thread, role="user", content="More").id


def test_outputs_are_owed_all_at_once_and_only_while_they_are_asked_for(sdk: OpenAI):
    run = made_run(sdk, TWO_CITIES, "requires_action", tools=[WEATHER])
    outputs = outputs_of(run)
    ids = [each["tool_call_id"] for each in outputs]
    submit = sdk.beta.threads.runs.submit_tool_outputs
    with pytest.raises(BadRequestError) as caught:
        submit(run.id, thread_id=run.thread_id, tool_outputs=outputs[:1])
    assert f"Expected tool outputs for call_ids ['{ids[0]}', '{ids[1]}'], got ['{ids[0]}']" in caught.value.message
    assert submit(run.id, thread_id=run.thread_id, tool_outputs=outputs).status == "queued"
    awaited(sdk, run, "completed")
    with pytest.raises(BadRequestError, match=re.escape('Runs in status "completed" do not accept tool outputs.')):
        submit(run.id, thread_id=run.thread_id, tool_outputs=outputs)


def test_a_run_expires_when_the_setting_says_so(start_server: Callable[..., Server]):
    server = start_server("--run-expires-after", "1")
    with OpenAI(api_key="none", base_url=server.base_url, max_retries=0) as sdk:
        run = made_run(sdk, "@call weather", "requires_action", tools=[WEATHER])
        assert run.expires_at == run.created_at + 1
        expired = awaited(sdk, run, "expired")
        with pytest.raises(BadRequestError, match=re.escape('Runs in status "expired" do not accept tool outputs.')):
            sdk.beta.threads.runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=outputs_of(run))
        (step,) = sdk.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data
        assert [step.status, expired.required_action] == ["expired", None]
        assert sdk.beta.threads.messages.create(run.thread_id, role="user", content="Free").id


def test_a_run_expires_600_seconds_after_it_was_made_unless_set(sdk: OpenAI):
    run = made_run(sdk, "@call weather", "requires_action", tools=[WEATHER])
    assert run.expires_at == run.created_at + 600


@pytest.mark.parametrize(("choice", "called"), [("none", 0), ("required", 1), ("weather", 1)])
def test_tool_choice_reaches_the_model(sdk: OpenAI, choice: Any, called: int):
    assistant, thread = ask(sdk, "Hello", tools=[WEATHER])
    given: Any = {"type": "function", "function": {"name": choice}} if choice == "weather" else choice
    run = sdk.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant, tool_choice=given)
    assert run.status == ("requires_action" if called else "completed")
    assert len(outputs_of(run)) == called if called else not run.required_action


def test_a_runs_overrides_replace_what_the_assistant_says(sdk: OpenAI):
    assistant, thread = ask(sdk, "unused", instructions="Be brief.", tools=[WEATHER], temperature=0.5)
    run = sdk.beta.threads.runs.create_and_poll(
        thread_id=thread,
        assistant_id=assistant,
        model="another-name",
        additional_instructions="Be kind.",
        additional_messages=[{"role": "user", "content": "@say Kind words"}],
        tools=[],
        temperature=0.1,
        max_completion_tokens=300,
        truncation_strategy={"type": "last_messages", "last_messages": 3},
        metadata={"of": "the run"},
    )
    assert [run.model, run.instructions, run.tools, run.temperature] == [
        "another-name",
        "Be brief.\n\nBe kind.",
        [],
        0.1,
    ]
    assert [run.max_completion_tokens, run.metadata] == [300, {"of": "the run"}]
    assert run.truncation_strategy
    assert run.truncation_strategy.last_messages == 3
    roles = [message.role for message in sdk.beta.threads.messages.list(thread, order="asc")]
    assert roles == ["user", "user", "assistant"]


@pytest.mark.parametrize(
    ("tools", "choice", "sentence"),
    [
        ([WEATHER], {"type": "function", "function": {"name": "tides"}}, "Tool choice 'tides' not found in 'tools'"),
        ([WEATHER], {"type": "file_search"}, "Tool choice 'file_search' not found in 'tools'"),
        ([], "required", "Tool choice 'required' must be specified with 'tools'"),
    ],
)
def test_a_choice_of_a_tool_that_is_not_there_is_refused(sdk: OpenAI, tools: Any, choice: Any, sentence: str):
    assistant, thread = ask(sdk, "Hello", tools=tools)
    for given in ({"thread_id": thread}, {}):
        make = sdk.beta.threads.runs.create if given else sdk.beta.threads.create_and_run
        with pytest.raises(BadRequestError, match=sentence) as refused:
            make(**given, assistant_id=assistant, tool_choice=choice)
        assert refused.value.param == "tool_choice"
    assert sdk.beta.threads.runs.list(thread).data == []


def test_a_tool_that_the_run_brings_along_can_be_chosen(sdk: OpenAI):
    assistant, thread = ask(sdk, "Hello")
    run = sdk.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=assistant, tools=[WEATHER], tool_choice="required"
    )
    assert run.status == "requires_action"
