"""A program of the stock openai SDK, 1.29 to 3.x: tools answered in a polled run, then in a stream."""

import json
import sys
import warnings

from openai import AssistantEventHandler, BadRequestError, OpenAI
from openai.pagination import SyncCursorPage

warnings.simplefilter("ignore")

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SCRIPT = '@call weather {"city":"Rome"}\n@call weather {"city":"Oslo"}\n@then\n@say Warm and cold.'


class Printing(AssistantEventHandler):
    def __init__(self, client, said):
        super().__init__()
        self.client = client
        self.said = said

    def on_text_delta(self, delta, snapshot):
        self.said.append(delta.value)

    def on_event(self, event):
        if event.event == "thread.run.requires_action":
            with self.client.beta.threads.runs.submit_tool_outputs_stream(
                thread_id=event.data.thread_id,
                run_id=event.data.id,
                tool_outputs=outputs_of(event.data),
                event_handler=Printing(self.client, self.said),
            ) as stream:
                stream.until_done()


def outputs_of(run):
    calls = run.required_action.submit_tool_outputs.tool_calls
    return [{"tool_call_id": call.id, "output": json.loads(call.function.arguments)["city"]} for call in calls]


def main(base_url):
    client = OpenAI(api_key="none", base_url=base_url, max_retries=0)
    threads = client.beta.threads
    assistant = client.beta.assistants.create(model="gpt-4-turbo", name="A", instructions="Be brief.", tools=[WEATHER])
    thread = threads.create(messages=[{"role": "user", "content": SCRIPT}])

    run = threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "requires_action", run
    try:
        threads.messages.create(thread.id, role="user", content="Too early")
    except BadRequestError as error:
        assert "while a run" in error.message, error
    else:
        raise AssertionError("The thread was not locked.")
    run = threads.runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=thread.id, tool_outputs=outputs_of(run))
    assert run.status == "completed", run
    assert [step.type for step in threads.runs.steps.list(run.id, thread_id=thread.id)] == [
        "message_creation",
        "tool_calls",
    ]

    threads.messages.create(thread.id, role="user", content=SCRIPT)
    said = []
    with threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=Printing(client, said)
    ) as stream:
        stream.until_done()
    assert "".join(said) == "Warm and cold.", said
    messages = threads.messages.list(thread.id, limit=1)
    assert isinstance(messages, SyncCursorPage)
    assert [message.role for message in messages] == ["assistant", "user", "assistant", "user"]
    assert client.beta.assistants.delete(assistant.id).deleted
    assert threads.delete(thread.id).deleted


main(sys.argv[1])
