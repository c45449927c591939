"""The GPTAssistantAgent of AutoGen 0.2, which polls, calls a function and is found by its name; then LiteLLM."""

import os
import sys
import warnings

warnings.simplefilter("ignore")
os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "AUTOGEN_USE_DOCKER": "False"}

import litellm
from autogen import UserProxyAgent
from autogen.agentchat.contrib.gpt_assistant_agent import GPTAssistantAgent

BASE_URL = sys.argv[1]
SCRIPT = '@call weather {"city":"Rome"}\n@then\n@say It is warm there.'
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
LITELLM = {"custom_llm_provider": "openai", "api_key": "none", "api_base": BASE_URL}


def drive_autogen():
    config = {"config_list": [{"model": "gpt-4-turbo", "api_key": "none", "base_url": BASE_URL}], "check_every_ms": 20}
    options = {"instructions": "Be brief.", "llm_config": config, "assistant_config": {"tools": [WEATHER]}}
    agent = GPTAssistantAgent(name="Forecaster", **options)
    asked = []

    def weather(city):
        asked.append(city)
        return f"warm in {city}"

    agent.register_function({"weather": weather})
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False, max_consecutive_auto_reply=0)
    result = user.initiate_chat(agent, message=SCRIPT, silent=True)
    assert result.chat_history[-1]["content"].strip() == "It is warm there.", result
    assert asked == ["Rome"], asked
    again = GPTAssistantAgent(name="Forecaster", **options)
    assert again.assistant_id == agent.assistant_id
    agent.delete_assistant()


def drive_litellm():
    made = litellm.create_assistants(model="gpt-4-turbo", name="A", **LITELLM)
    assert made.id in [each.id for each in litellm.get_assistants(**LITELLM).data]
    thread = litellm.create_thread(messages=[{"role": "user", "content": "@say Hello"}], **LITELLM)
    assert litellm.run_thread(thread_id=thread.id, assistant_id=made.id, **LITELLM).status == "completed"
    found = litellm.get_messages(thread_id=thread.id, **LITELLM)
    assert [message.content[0].text.value for message in found.data] == ["Hello", "@say Hello"], found
    litellm.add_message(thread_id=thread.id, role="user", content="@say Again", **LITELLM)
    with litellm.run_thread_stream(thread_id=thread.id, assistant_id=made.id, **LITELLM) as stream:
        assert "".join(stream.text_deltas) == "Again"
    assert litellm.delete_assistant(assistant_id=made.id, **LITELLM).deleted


drive_autogen()
drive_litellm()
