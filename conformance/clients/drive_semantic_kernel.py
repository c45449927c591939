"""Semantic Kernel's OpenAIAssistantAgent: a function of a plugin is called in a polled run and in a streamed one."""

import asyncio
import sys
import warnings

warnings.simplefilter("ignore")

from openai import AsyncOpenAI
from semantic_kernel.agents import AssistantAgentThread, OpenAIAssistantAgent
from semantic_kernel.functions import kernel_function

SCRIPT = '@call Sky-weather {"city":"Rome"}\n@then\n@say It is warm there.'


class Sky:
    def __init__(self):
        self.asked = []

    @kernel_function(description="The weather in a city.")
    def weather(self, city: str) -> str:
        self.asked.append(city)
        return "warm"


async def main(base_url):
    client = AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0)
    sky = Sky()
    definition = await client.beta.assistants.create(model="gpt-4-turbo", name="A", instructions="Be brief.")
    agent = OpenAIAssistantAgent(client=client, definition=definition, plugins=[sky])
    agent.kernel.add_plugin(sky, plugin_name="Sky")
    thread = AssistantAgentThread(client=client)
    response = await agent.get_response(messages=SCRIPT, thread=thread)
    assert str(response) == "It is warm there.", response
    said = [str(piece.content) async for piece in agent.invoke_stream(messages=SCRIPT, thread=thread)]
    assert "".join(said) == "It is warm there.", said
    assert sky.asked == ["Rome", "Rome"], sky.asked
    messages = [message async for message in thread.get_messages()]
    assert len(messages) == 4, messages
    await thread.delete()
    await client.beta.assistants.delete(definition.id)


asyncio.run(main(sys.argv[1]))
