"""agent-framework's OpenAIAssistantsClient: a function is called in an answer that comes whole, and in a stream."""

import asyncio
import sys
import warnings

warnings.simplefilter("ignore")

from agent_framework import Agent, tool
from agent_framework.openai import OpenAIAssistantsClient
from openai import AsyncOpenAI

SCRIPT = '@call weather {"city":"Rome"}\n@then\n@say It is warm there.'
asked = []


@tool(approval_mode="never_require")
def weather(city: str) -> str:
    """The weather in a city."""
    asked.append(city)
    return f"warm in {city}"


async def main(base_url):
    sdk = AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0)
    async with OpenAIAssistantsClient(model_id="gpt-4-turbo", async_client=sdk, assistant_name="A") as client:
        agent = Agent(client=client, instructions="Be brief.", tools=[weather])
        # This version tells a text twice: as deltas, and whole when its message is completed.
        answer = await agent.run(SCRIPT)
        assert answer.text == "It is warm there." * 2, answer
        said = [update.text async for update in agent.run(SCRIPT, stream=True)]
        assert "".join(each for each in said if each) == "It is warm there." * 2, said
    assert asked == ["Rome", "Rome"], asked
    await sdk.close()


asyncio.run(main(sys.argv[1]))
