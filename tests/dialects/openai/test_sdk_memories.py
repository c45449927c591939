"""Memories for programs of the OpenAI SDK: a field of the assistant or the run, and the facts that Backboard shows."""

from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import httpx
import pytest
from openai import BadRequestError, OpenAI

from plugins.server import BOTH_STORES, Server
from plugins.stock import ask
from respun.core.ids import uuid_of

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


def memory_of(run: Any) -> Any:
    return run.model_extra.get("memory")


def memories(server: Server, assistant: str) -> list[str]:
    path = f"{server.origin}/api/assistants/{uuid_of('assistant', assistant)}/memories"
    return [each["content"] for each in httpx.get(path).json()["memories"]]


def run(sdk: OpenAI, assistant: str, text: str, **memory: Any) -> Any:
    thread = sdk.beta.threads.create(messages=[{"role": "user", "content": text}]).id
    more = {"memory": memory} if memory else {}
    return sdk.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant, extra_body=more)


@BOTH_STORES
def test_an_assistant_with_memory_remembers_across_threads(sdk: OpenAI, server: Server):
    assistant, _ = ask(sdk, "Hi", extra_body={"memory": {"mode": "auto"}})
    assert memory_of(sdk.beta.assistants.retrieve(assistant)) == {"mode": "auto"}
    town = f"Town{uuid4().hex[:6]}"
    first = run(sdk, assistant, f"I live in {town} by the sea.")
    assert memory_of(first)["operation_id"]
    second = run(sdk, assistant, "Where do I live by the sea?", mode="readonly")
    assert town in memory_of(second)["recalled"][0]["text"]
    assert memory_of(second)["operation_id"] is None
    until = monotonic() + 10
    while not (found := memories(server, assistant)):
        assert monotonic() < until
        sleep(0.02)
    assert found == [f"I live in {town} by the sea."]
    assert memory_of(run(sdk, assistant, "Where do I live?", mode="off")) is None
    sdk.beta.assistants.update(assistant, extra_body={"memory": None})
    assert memory_of(sdk.beta.assistants.retrieve(assistant)) is None


def test_a_run_names_the_user_whose_memories_it_may_see(sdk: OpenAI, server: Server):
    assistant, _ = ask(sdk, "Hi")
    run(sdk, assistant, "My dog is called Rex.", mode="auto", user="ada")
    for user, knows in (("ada", True), ("bob", False)):
        asked = run(sdk, assistant, "How is my dog called?", mode="readonly", user=user)
        assert bool(memory_of(asked)["recalled"]) is knows


def test_a_mode_that_there_is_not_is_refused(sdk: OpenAI):
    with pytest.raises(BadRequestError, match="Invalid value: 'sometimes'"):
        ask(sdk, "Hi", extra_body={"memory": {"mode": "sometimes"}})
