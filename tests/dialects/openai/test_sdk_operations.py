"""Each of the 23 operations, called by the stock SDK, sync and async, on both stores, its answer validated strictly."""

from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from plugins.server import BOTH_STORES
from plugins.stock import WEATHER, ask, made_run

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


class World:
    """Objects in the state that an operation wants, made when asked for."""

    def __init__(self, sdk: OpenAI) -> None:
        self.sdk = sdk
        self.assistant, self.thread = ask(sdk, "@say Hi", instructions="Be brief.")

    def message(self) -> str:
        return self.sdk.beta.threads.messages.create(self.thread, role="user", content="@say Hi").id

    def run(self) -> str:
        return self.sdk.beta.threads.runs.create_and_poll(thread_id=self.thread, assistant_id=self.assistant).id

    def step(self, run: str) -> str:
        return self.sdk.beta.threads.runs.steps.list(run, thread_id=self.thread).data[0].id

    def told(self, script: str, status: str) -> Any:
        """A run of a thread of its own, once it has the status."""
        return made_run(self.sdk, script, status, instructions="Be brief.", tools=[WEATHER])


def _submit(beta: Any, world: World) -> Any:
    run = world.told("@call weather {}", "requires_action")
    call = run.required_action.submit_tool_outputs.tool_calls[0].id
    outputs = [{"tool_call_id": call, "output": "20"}]
    return beta.threads.runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=outputs)


def _cancel(beta: Any, world: World) -> Any:
    run = world.told("@hang", "in_progress")
    return beta.threads.runs.cancel(run.id, thread_id=run.thread_id)


def _step(beta: Any, world: World) -> Any:
    run = world.run()
    return beta.threads.runs.steps.retrieve(world.step(run), thread_id=world.thread, run_id=run)


OPERATIONS: dict[str, tuple[Callable[[Any, World], Any], str]] = {
    "createAssistant": (lambda beta, w: beta.assistants.create(model="scripted"), "assistant"),
    "listAssistants": (lambda beta, w: beta.assistants.list(limit=2), "list"),
    "getAssistant": (lambda beta, w: beta.assistants.retrieve(w.assistant), "assistant"),
    "modifyAssistant": (lambda beta, w: beta.assistants.update(w.assistant, name="A"), "assistant"),
    "deleteAssistant": (lambda beta, w: beta.assistants.delete(w.assistant), "assistant.deleted"),
    "createThread": (lambda beta, w: beta.threads.create(), "thread"),
    "getThread": (lambda beta, w: beta.threads.retrieve(w.thread), "thread"),
    "modifyThread": (lambda beta, w: beta.threads.update(w.thread, metadata={"a": "b"}), "thread"),
    "deleteThread": (lambda beta, w: beta.threads.delete(w.thread), "thread.deleted"),
    "createMessage": (
        lambda beta, w: beta.threads.messages.create(w.thread, role="user", content="x"),
        "thread.message",
    ),
    "listMessages": (lambda beta, w: beta.threads.messages.list(w.thread), "list"),
    "getMessage": (lambda beta, w: beta.threads.messages.retrieve(w.message(), thread_id=w.thread), "thread.message"),
    "modifyMessage": (
        lambda beta, w: beta.threads.messages.update(w.message(), thread_id=w.thread, metadata={"a": "b"}),
        "thread.message",
    ),
    "deleteMessage": (
        lambda beta, w: beta.threads.messages.delete(w.message(), thread_id=w.thread),
        "thread.message.deleted",
    ),
    "createThreadAndRun": (lambda beta, w: beta.threads.create_and_run(assistant_id=w.assistant), "thread.run"),
    "createRun": (lambda beta, w: beta.threads.runs.create(w.thread, assistant_id=w.assistant), "thread.run"),
    "listRuns": (lambda beta, w: beta.threads.runs.list(w.thread), "list"),
    "getRun": (lambda beta, w: beta.threads.runs.retrieve(w.run(), thread_id=w.thread), "thread.run"),
    "modifyRun": (
        lambda beta, w: beta.threads.runs.update(w.run(), thread_id=w.thread, metadata={"a": "b"}),
        "thread.run",
    ),
    "cancelRun": (_cancel, "thread.run"),
    "submitToolOutputsToRun": (_submit, "thread.run"),
    "listRunSteps": (lambda beta, w: beta.threads.runs.steps.list(w.run(), thread_id=w.thread), "list"),
    "getRunStep": (_step, "thread.run.step"),
}


def test_there_are_23_operations():
    assert len(OPERATIONS) == 23


@BOTH_STORES
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_answers_the_sync_sdk_with_its_object(sdk: OpenAI, name: str):
    operation, kind = OPERATIONS[name]
    strict = sdk.with_options(_extra_kwargs={"_strict_response_validation": True})
    assert operation(strict.beta, World(sdk)).object == kind


@BOTH_STORES
@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_answers_the_async_sdk_with_its_object(sdk: OpenAI, async_sdk: AsyncOpenAI, name: str):
    operation, kind = OPERATIONS[name]
    strict = async_sdk.with_options(_extra_kwargs={"_strict_response_validation": True})
    assert (await operation(strict.beta, World(sdk))).object == kind
