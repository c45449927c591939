"""The shapes of a run's stream, each read by the accumulators of the stock SDKs and compared with what was stored.

Run as a program by an environment of the openai SDK it reads the shapes and prints what the accumulators made of them;
`shapes.mjs` does the same for npm's.
"""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# The script for the model, and the status that the stream ends with.
SHAPES: dict[str, tuple[str, str]] = {
    "text": ("@say Hello there, you", "completed"),
    "one big piece": ("@pieces 99\n@say Hello there, you", "completed"),
    "emoji and citations": ("@say 🌮 【4:0†a.txt】 ﷽", "completed"),
    "a refusal": ("@refuse I would rather not.", "completed"),
    "an empty answer": ("@usage 3 0", "completed"),
    "a call": ('@call weather {"city":"Rome"}', "requires_action"),
    "parallel calls": ('@call weather {"city":"Rome"}\n@call weather {"city":"Oslo"}', "requires_action"),
    "a call without arguments": ("@call weather", "requires_action"),
    "text, then a call": ('@say Let me look.\n@call weather {"city":"Rome"}', "requires_action"),
    "text after outputs": ("@call weather\n@then\n@say Warm.", "completed"),
    "two rounds of calls": ("@call weather\n@then\n@call weather\n@then\n@say Done.", "completed"),
    "cut off": ("@say One two\n@length", "incomplete"),
    "failed in the middle": ("@say One two\n@fail unavailable The model is down.", "failed"),
    "failed at once": ("@fail unavailable The model is down.", "failed"),
    "cancelled": ("@say One\n@hang", "cancelled"),
}

EXCEPTIONS = {
    ("openai-node-4", "cut off"): "openai 4.104 knows no `thread.run.incomplete` and rejects; so it did with OpenAI.",
}
"""Where an SDK can't read what OpenAI sent, and why."""

Facts = dict[str, Any]


def stored(client: Any, thread: str) -> Facts:
    """What a shape's run left behind, read by REST."""
    run = client.get(f"/threads/{thread}/runs").json()["data"][0]
    messages = client.get(f"/threads/{thread}/messages?order=asc").json()["data"]
    steps = client.get(f"/threads/{thread}/runs/{run['id']}/steps?order=asc").json()["data"]
    return {
        "status": run["status"],
        "text": [part_of(message["content"]) for message in messages if message["role"] == "assistant"],
        "calls": [
            [call["function"]["name"], call["function"]["arguments"]]
            for step in steps
            for call in step["step_details"].get("tool_calls", [])
        ],
    }


def part_of(content: list[Any]) -> str:
    """The text or the refusal of a message, empty for none."""
    return "".join(part["text"]["value"] if part["type"] == "text" else part["refusal"] for part in content)


def read_by(command: list[str], base_url: str) -> dict[str, Facts]:
    """What the accumulators that a program drives made of each shape, with the thread's id."""
    done = subprocess.run(
        [*command, base_url], input=json.dumps(SHAPES), capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def main(base_url: str) -> None:
    from openai import AssistantEventHandler, OpenAI

    warnings.simplefilter("ignore")
    client = OpenAI(api_key="none", base_url=base_url, max_retries=0)
    parameters: Any = {"type": "object", "properties": {}}
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    assistant = client.beta.assistants.create(model="scripted", tools=tools).id
    threads = client.beta.threads
    read: dict[str, Facts] = {}
    for name, (script, status) in json.load(sys.stdin).items():
        thread = threads.create(messages=[{"role": "user", "content": script}]).id
        facts: Facts = {"thread": thread, "text": [], "calls": []}
        handler: Any = AssistantEventHandler()
        with threads.runs.stream(thread_id=thread, assistant_id=assistant, event_handler=handler) as stream:
            _listen(stream, facts, partial(threads.runs.cancel, thread_id=thread), status)
        while handler.current_run.status == "requires_action" != status:
            run = handler.current_run
            outputs = [
                {"tool_call_id": c.id, "output": "x"} for c in run.required_action.submit_tool_outputs.tool_calls
            ]
            handler = AssistantEventHandler()
            with threads.runs.submit_tool_outputs_stream(
                thread_id=thread, run_id=run.id, tool_outputs=outputs, event_handler=handler
            ) as stream:
                _listen(stream, facts, lambda run: None, status)
        facts["status"] = handler.current_run.status
        read[name] = facts
    json.dump(read, sys.stdout)


def _listen(stream: Any, facts: Facts, cancel: Callable[[str], Any], status: str) -> None:
    """The SDK raises where it is asked for messages or steps and there were none."""
    names = set()
    for event in stream:
        if event.event == "thread.message.delta" and status == "cancelled" and event.event not in names:
            cancel(stream.current_run.id)
        names.add(event.event)
    for step in stream.get_final_run_steps() if "thread.run.step.created" in names else ():
        if step.step_details.type == "tool_calls":
            facts["calls"] += [[call.function.name, call.function.arguments] for call in step.step_details.tool_calls]
    for message in stream.get_final_messages() if "thread.message.created" in names else ():
        facts["text"].append(part_of(message.to_dict()["content"]))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(sys.argv[1])
