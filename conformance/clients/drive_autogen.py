"""AutoGen's OpenAIAssistantAgent: it calls a Python function, reports each event of its run, and can be reset."""

import asyncio
import sys
import warnings

warnings.simplefilter("ignore")

from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.agents.openai import OpenAIAssistantAgent
from openai import AsyncOpenAI

SCRIPT = '@call weather {"city":"Rome"}\n@then\n@say It is warm there.'


async def weather(city: str) -> str:
    """The weather in a city."""
    return f"warm in {city}"


async def main(base_url):
    client = AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0)
    agent = OpenAIAssistantAgent(
        name="A", description="d", client=client, model="gpt-4-turbo", instructions="Be brief.", tools=[weather]
    )
    token = CancellationToken()
    events = [event async for event in agent.on_messages_stream([TextMessage(content=SCRIPT, source="user")], token)]
    assert [type(event).__name__ for event in events] == [
        "ToolCallRequestEvent",
        "ToolCallExecutionEvent",
        "Response",
    ], events
    assert events[1].content[0].content == "warm in Rome", events[1]
    assert isinstance(events[2], Response)
    assert events[2].chat_message.content == "It is warm there.", events[2]
    await agent.on_reset(token)
    listed = await client.beta.threads.messages.list(agent._thread_id)
    assert listed.data == [], listed
    await agent.delete_assistant(token)


asyncio.run(main(sys.argv[1]))
