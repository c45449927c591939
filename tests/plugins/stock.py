"""What programs of stock SDKs do before the part that a test is about.

The last message of a thread tells the scripted model what to do (see `respun.providers.scripted`).
"""

from time import monotonic, sleep
from typing import Any

from openai import OpenAI
from openai.types.beta.threads import Run

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
TWO_CITIES = '@call weather {"city":"Rome"}\n@call weather {"city":"Oslo"}\n@then\n@say Warm and cold.'
_LONGEST_WAIT = 10.0


def ask(sdk: OpenAI, script: str, **assistant: Any) -> tuple[str, str]:
    """The ids of an assistant and of a thread with the script."""
    made = sdk.beta.assistants.create(model="scripted", **assistant)
    thread = sdk.beta.threads.create(messages=[{"role": "user", "content": script}])
    return made.id, thread.id


def made_run(sdk: OpenAI, script: str, status: str, **assistant: Any) -> Run:
    """A run on a thread of its own, once it has the status."""
    made, thread = ask(sdk, script, **assistant)
    run = sdk.beta.threads.runs.create(thread, assistant_id=made)
    return awaited(sdk, run, status)


def awaited(sdk: OpenAI, run: Run, status: str) -> Run:
    until = monotonic() + _LONGEST_WAIT
    while run.status != status:
        assert monotonic() < until, f"The run is {run.status}, not {status}, after {_LONGEST_WAIT} s."
        sleep(0.005)
        run = sdk.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    return run


def outputs_of(run: Run, output: str = "20") -> Any:
    """The same output for each call that the run waits for."""
    assert run.required_action
    return [{"tool_call_id": call.id, "output": output} for call in run.required_action.submit_tool_outputs.tool_calls]
