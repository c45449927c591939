"""LlamaIndex's OpenAIAssistantAgent: a chat with a function tool, then its history and a reset."""

import os
import sys
import warnings

warnings.simplefilter("ignore")
os.environ |= {"OPENAI_BASE_URL": sys.argv[1], "OPENAI_API_KEY": "none"}

from llama_index.agent.openai import OpenAIAssistantAgent
from llama_index.core.tools import FunctionTool

SCRIPT = '@call weather {"city":"Rome"}\n@then\n@say It is warm there.'


def weather(city: str) -> str:
    """The weather in a city."""
    return f"warm in {city}"


agent = OpenAIAssistantAgent.from_new(
    name="A",
    instructions="Be brief.",
    model="gpt-4-turbo",
    tools=[FunctionTool.from_defaults(fn=weather)],
    run_retrieve_sleep_time=0.01,
)
answer = agent.chat(SCRIPT)
assert answer.response == "It is warm there.", answer
assert answer.sources[0].content == "warm in Rome", answer.sources
assert [message.role.value for message in agent.chat_history] == ["user", "assistant"], agent.chat_history
agent.reset()
assert agent.chat_history == []
again = OpenAIAssistantAgent.from_existing(agent.assistant.id, run_retrieve_sleep_time=0.01)
assert again.chat("@say Hello").response == "Hello"
