"""LangChain's two runnables: one tool call answered by hand, then a whole loop with LangChain's own executor rules."""

import sys
import warnings

warnings.simplefilter("ignore")

try:
    from langchain_classic.agents.openai_assistant import OpenAIAssistantRunnable
except ImportError:
    from langchain.agents.openai_assistant import OpenAIAssistantRunnable
from langchain_community.agents.openai_assistant import OpenAIAssistantV2Runnable
from langchain_core.agents import AgentFinish
from langchain_core.tools import tool
from openai import OpenAI

SCRIPT = '@call weather {"city":"Rome"}\n@call weather {"city":"Oslo"}\n@then\n@say Warm and cold.'


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return {"Rome": "warm", "Oslo": "cold"}[city]


def drive(runnable, client):
    agent = runnable.create_assistant(
        name="A", instructions="Be brief.", tools=[weather], model="gpt-4-turbo", client=client, as_agent=True
    )
    found = agent.invoke({"content": SCRIPT})
    assert [action.tool_input for action in found] == [{"city": "Rome"}, {"city": "Oslo"}], found
    outputs = [{"tool_call_id": each.tool_call_id, "output": weather.invoke(each.tool_input)} for each in found]
    ids = {"run_id": found[0].run_id, "thread_id": found[0].thread_id}
    finish = agent.invoke({"tool_outputs": outputs, **ids})
    assert isinstance(finish, AgentFinish), finish
    assert finish.return_values["output"] == "Warm and cold.", finish
    again = agent.invoke({"content": "@say Hello again", "thread_id": finish.return_values["thread_id"]})
    assert again.return_values["output"] == "Hello again", again


client = OpenAI(api_key="none", base_url=sys.argv[1], max_retries=0)
for runnable in (OpenAIAssistantRunnable, OpenAIAssistantV2Runnable):
    drive(runnable, client)
