"""Programs of the stock openai SDK's asynchronous client, 1.21 to 3.x: its handlers, its helpers and its raw answers.

What a version does not have yet is left out: vector stores outside `beta`, `submit_tool_outputs_and_poll`.
"""

import asyncio
import json
import sys
import warnings

from openai import AssistantEventHandler, AsyncAssistantEventHandler, AsyncOpenAI, OpenAI

warnings.simplefilter("ignore")

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SCRIPT = '@call weather {"city":"Rome"}\n@call weather {"city":"Oslo"}\n@then\n@say Warm and cold.'


class Hearing(AsyncAssistantEventHandler):
    """Notes what it is told, and answers the calls of its run in a stream of their own."""

    def __init__(self, client, heard):
        super().__init__()
        self.client = client
        self.heard = heard

    async def on_event(self, event):
        self.heard.setdefault("events", []).append(event.event)
        if event.event == "thread.run.requires_action":
            async with self.client.beta.threads.runs.submit_tool_outputs_stream(
                thread_id=event.data.thread_id,
                run_id=event.data.id,
                tool_outputs=outputs_of(event.data),
                event_handler=Hearing(self.client, self.heard),
            ) as stream:
                await stream.until_done()

    async def on_tool_call_created(self, tool_call):
        self.heard.setdefault("calls", []).append(tool_call.function.name)

    async def on_tool_call_delta(self, delta, snapshot):
        self.heard["arguments"] = self.heard.get("arguments", "") + (delta.function.arguments or "")

    async def on_text_created(self, text):
        self.heard["began"] = text.value

    async def on_text_delta(self, delta, snapshot):
        self.heard["said"] = self.heard.get("said", "") + delta.value

    async def on_text_done(self, text):
        self.heard["text"] = text.value

    async def on_message_done(self, message):
        self.heard["message"] = message.id

    async def on_run_step_done(self, run_step):
        self.heard.setdefault("steps", []).append(run_step.type)

    async def on_end(self):
        self.heard["ends"] = self.heard.get("ends", 0) + 1


def outputs_of(run):
    calls = run.required_action.submit_tool_outputs.tool_calls
    return [{"tool_call_id": call.id, "output": json.loads(call.function.arguments)["city"]} for call in calls]


async def hear_with_handlers(client, assistant):
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": SCRIPT}])
    heard = {}
    async with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant, event_handler=Hearing(client, heard)
    ) as stream:
        await stream.until_done()
    assert heard["calls"] == ["weather", "weather"], heard
    assert heard["arguments"] == '{"city":"Rome"}{"city":"Oslo"}', heard
    assert heard["said"] == heard["text"] == "Warm and cold.", heard
    assert heard["steps"] == ["tool_calls", "message_creation"], heard
    assert heard["ends"] == 2, heard
    assert heard["events"][0] == "thread.run.created", heard
    assert heard["events"][-1] == "thread.run.completed", heard


async def poll_and_iterate(client, assistant):
    threads = client.beta.threads
    run = await threads.create_and_run_poll(
        assistant_id=assistant, thread={"messages": [{"role": "user", "content": SCRIPT}]}
    )
    assert run.status == "requires_action", run
    stream = threads.runs.submit_tool_outputs_stream(
        thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs_of(run)
    )
    async with stream as events:
        said = [piece async for piece in events.text_deltas]
        assert "".join(said) == "Warm and cold.", said
        assert (await events.get_final_run()).status == "completed"
        (message,) = await events.get_final_messages()
        assert message.content[0].text.value == "Warm and cold.", message
        assert "message_creation" in [step.type for step in await events.get_final_run_steps()]
    async for event in await threads.create_and_run(
        assistant_id=assistant, thread={"messages": [{"role": "user", "content": "@say Hi"}]}, stream=True
    ):
        last = event.event
    assert last == "thread.run.completed", last


async def read_raw(client, assistant):
    """Raw and streamed answers, with the header that makes pollers quick."""
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": SCRIPT}])
    raw = await client.beta.threads.runs.with_raw_response.create(thread.id, assistant_id=assistant)
    assert int(raw.headers["openai-poll-after-ms"]) > 0, raw.headers
    assert raw.headers["openai-version"] == "2020-10-01", raw.headers
    run = raw.parse()
    assert run.status == "queued", run
    async with client.beta.threads.runs.with_streaming_response.retrieve(run.id, thread_id=thread.id) as answer:
        assert (await answer.parse()).id == run.id
    run = await client.beta.threads.runs.poll(run.id, thread_id=thread.id)
    run = await client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=outputs_of(run)
    )
    assert run.status == "completed", run


async def keep_files(client):
    """Vector stores, wherever this version has them, with a batch that is polled."""
    stores = client.vector_stores if hasattr(client, "vector_stores") else client.beta.vector_stores
    store = await stores.create(name="Notes")
    batch = await stores.file_batches.upload_and_poll(
        store.id, files=[("a.txt", b"Rome is warm."), ("b.txt", b"Oslo.")]
    )
    assert (batch.status, batch.file_counts.completed) == ("completed", 2), batch
    assert len([file async for file in stores.files.list(store.id, limit=1)]) == 2
    assert (await stores.delete(store.id)).deleted


def hear_synchronously(base_url, assistant):
    """The other client, with an event handler and without."""

    class Printing(AssistantEventHandler):
        said = ""

        def on_text_delta(self, delta, snapshot):
            Printing.said += delta.value

    client = OpenAI(api_key="none", base_url=base_url, max_retries=0)
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "@say Hello you"}])
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant, event_handler=Printing()
    ) as stream:
        stream.until_done()
    assert Printing.said == "Hello you", Printing.said
    client.beta.threads.messages.create(thread.id, role="user", content="@say Again")
    with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant) as stream:
        assert "".join(stream.text_deltas) == "Again"
        assert stream.get_final_messages()[0].content[0].text.value == "Again"


async def main(base_url):
    client = AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0)
    assistant = (await client.beta.assistants.create(model="gpt-4-turbo", tools=[WEATHER])).id
    await hear_with_handlers(client, assistant)
    await poll_and_iterate(client, assistant)
    await read_raw(client, assistant)
    await keep_files(client)
    await asyncio.to_thread(hear_synchronously, base_url, assistant)
    assert (await client.beta.assistants.delete(assistant)).deleted
    await client.close()


asyncio.run(main(sys.argv[1]))
