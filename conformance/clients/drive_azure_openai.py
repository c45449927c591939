"""A program of an Azure OpenAI resource, with the stock SDK's own Azure clients, 1.21 to 3.x."""

import asyncio
import json
import sys
import warnings

from openai import AsyncAzureOpenAI, AzureOpenAI, NotFoundError

warnings.simplefilter("ignore")

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SCRIPT = '@call weather {"city":"Rome"}\n@then\n@say It is warm.'
ORIGIN = sys.argv[1].removesuffix("/v1")
RESOURCE = {"azure_endpoint": ORIGIN, "api_key": "none", "api_version": "2024-05-01-preview", "max_retries": 0}


def outputs_of(run):
    calls = run.required_action.submit_tool_outputs.tool_calls
    return [{"tool_call_id": call.id, "output": json.loads(call.function.arguments)["city"]} for call in calls]


def poll(client):
    assistant = client.beta.assistants.create(model="my-deployment", tools=[WEATHER])
    thread = client.beta.threads.create(messages=[{"role": "user", "content": SCRIPT}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    with client.beta.threads.runs.submit_tool_outputs_stream(
        thread_id=thread.id, run_id=run.id, tool_outputs=outputs_of(run)
    ) as stream:
        assert "".join(stream.text_deltas) == "It is warm."
    file = client.files.create(file=("a.txt", b"Rome is warm."), purpose="assistants")
    assert client.files.delete(file.id).deleted
    assert client.beta.threads.delete(thread.id).deleted
    try:
        client.beta.threads.retrieve(thread.id)
    except NotFoundError as error:
        assert "No thread found" in error.message, error
    else:
        raise AssertionError("The thread is still there.")


async def stream(client):
    assistant = await client.beta.assistants.create(model="my-deployment", tools=[WEATHER])
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": SCRIPT}])
    async with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as events:
        run = await events.get_final_run()
    assert run.status == "requires_action", run
    run = await client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=outputs_of(run)
    )
    assert run.status == "completed", run
    await client.close()


poll(AzureOpenAI(**RESOURCE))
asyncio.run(stream(AsyncAzureOpenAI(**RESOURCE)))
