"""Azure's agents client (no /v1 in its paths): a tool call, a stream, lists to their end, threads listed."""

import json
import sys

from azure.ai.agents import AgentsClient
from azure.ai.agents.models import (
    AgentEventHandler,
    FunctionTool,
    ListSortOrder,
    RequiredFunctionToolCall,
    RunStatus,
    ToolOutput,
    ToolSet,
)
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.policies import AzureKeyCredentialPolicy

SCRIPT = '@call weather {"city":"Rome"}\n@then\n@say It is warm there.'


def weather(city: str) -> str:
    """
    The weather in a city.

    :param city: The city.
    :return: The weather.
    """
    return json.dumps({"weather": f"warm in {city}"})


class Hearing(AgentEventHandler):
    def __init__(self):
        super().__init__()
        self.said = ""
        self.ended = False

    def on_message_delta(self, delta):
        self.said += delta.text

    def on_done(self):
        self.ended = True


origin = sys.argv[1].removesuffix("/v1")
policy = AzureKeyCredentialPolicy(AzureKeyCredential("none"), "Authorization", prefix="Bearer")
with AgentsClient(endpoint=origin, credential=AzureKeyCredential("none"), authentication_policy=policy) as client:
    functions = FunctionTool({weather})
    agent = client.create_agent(model="gpt-4-turbo", name="A", instructions="Be brief.", tools=functions.definitions)

    thread = client.threads.create(metadata={"of": "azure"})
    client.messages.create(thread_id=thread.id, role="user", content=SCRIPT)
    run = client.runs.create(thread_id=thread.id, agent_id=agent.id)
    while run.status in (RunStatus.QUEUED, RunStatus.IN_PROGRESS):
        run = client.runs.get(thread_id=thread.id, run_id=run.id)
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert isinstance(call, RequiredFunctionToolCall)
    output = ToolOutput(tool_call_id=call.id, output=functions.execute(call))
    client.runs.submit_tool_outputs(thread_id=thread.id, run_id=run.id, tool_outputs=[output])
    while (run := client.runs.get(thread_id=thread.id, run_id=run.id)).status != RunStatus.COMPLETED:
        assert run.status in (RunStatus.QUEUED, RunStatus.IN_PROGRESS), run
    assert [step.type for step in client.run_steps.list(thread_id=thread.id, run_id=run.id)] == [
        "message_creation",
        "tool_calls",
    ]

    tools = ToolSet()
    tools.add(functions)
    client.enable_auto_function_calls(tools)
    client.messages.create(thread_id=thread.id, role="user", content=SCRIPT)
    with client.runs.stream(thread_id=thread.id, agent_id=agent.id, event_handler=Hearing()) as hearing:
        hearing.until_done()
    assert hearing.said == "It is warm there.", hearing.said
    assert hearing.ended

    listed = list(client.messages.list(thread_id=thread.id, order=ListSortOrder.ASCENDING, limit=2))
    assert [message.role for message in listed] == ["user", "assistant", "user", "assistant"], listed
    assert (
        client.messages.get_last_message_text_by_role(thread_id=thread.id, role="assistant").text.value == hearing.said
    )
    assert thread.id in [each.id for each in client.threads.list(limit=1)]
    client.threads.delete(thread.id)
    client.delete_agent(agent.id)
