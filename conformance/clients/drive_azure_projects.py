"""Azure's asynchronous agents client and the one of a project: a tool call and a stream below a project's path.

Arguments: the base URL. Versions 1.0 to 1.2; the project's client where it is installed.
"""

import asyncio
import json
import sys

from azure.ai.agents.aio import AgentsClient
from azure.ai.agents.models import AsyncAgentEventHandler, AsyncFunctionTool, AsyncToolSet, MessageDeltaChunk
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.policies import AzureKeyCredentialPolicy

try:
    from azure.ai.projects.aio import AIProjectClient
except ImportError:
    AIProjectClient = None

SCRIPT = '@call weather {"city":"Rome"}\n@then\n@say It is warm there.'
PROJECT = sys.argv[1].removesuffix("/v1") + "/api/projects/mine"


async def weather(city: str) -> str:
    """
    The weather in a city.

    :param city: The city.
    :return: The weather.
    """
    return json.dumps({"weather": f"warm in {city}"})


class Hearing(AsyncAgentEventHandler[str]):
    async def on_message_delta(self, delta: MessageDeltaChunk):
        return delta.text


async def drive(client):
    tools = AsyncToolSet()
    tools.add(AsyncFunctionTool({weather}))
    client.enable_auto_function_calls(tools)
    agent = await client.create_agent(model="gpt-4o", name="A", instructions="Be brief.", toolset=tools)
    thread = await client.threads.create()
    await client.messages.create(thread_id=thread.id, role="user", content=SCRIPT)
    run = await client.runs.create_and_process(thread_id=thread.id, agent_id=agent.id, polling_interval=0.02)
    assert str(run.status) == "RunStatus.COMPLETED", run

    await client.messages.create(thread_id=thread.id, role="user", content=SCRIPT)
    said = ""
    async with await client.runs.stream(thread_id=thread.id, agent_id=agent.id, event_handler=Hearing()) as events:
        async for _, _, text in events:
            said += text or ""
    assert said == "It is warm there.", said
    assert len([message async for message in client.messages.list(thread_id=thread.id, limit=1)]) == 4
    file = await client.files.upload_and_poll(file_path=__file__, purpose="assistants")
    batch = await client.vector_stores.create_and_poll(file_ids=[file.id], name="Notes", polling_interval=0.02)
    assert batch.file_counts.completed + batch.file_counts.failed == 1, batch
    await client.delete_agent(agent.id)


async def main():
    policy = AzureKeyCredentialPolicy(AzureKeyCredential("none"), "Authorization", prefix="Bearer")
    options = {"credential": AzureKeyCredential("none"), "authentication_policy": policy}
    async with AgentsClient(endpoint=PROJECT, **options) as client:
        await drive(client)
    if AIProjectClient is not None:
        async with AIProjectClient(endpoint=PROJECT, **options) as project:
            await drive(project.agents)


asyncio.run(main())
