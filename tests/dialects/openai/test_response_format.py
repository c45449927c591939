"""Formats of answers, through the stock SDK: what is refused when it is asked for."""

from collections.abc import Callable
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


def described(schema: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}


NO_TYPE = described({"type": "object", "properties": {"age": {"type": "number of years"}}})
GOOD = described({"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]})


def create_run(sdk: OpenAI, wanted: Any) -> object:
    assistant = sdk.beta.assistants.create(model="scripted")
    thread = sdk.beta.threads.create()
    return sdk.beta.threads.runs.create(thread.id, assistant_id=assistant.id, response_format=wanted)


def create_thread_and_run(sdk: OpenAI, wanted: Any) -> object:
    assistant = sdk.beta.assistants.create(model="scripted")
    return sdk.beta.threads.create_and_run(assistant_id=assistant.id, response_format=wanted)


def change_assistant(sdk: OpenAI, wanted: Any) -> object:
    assistant = sdk.beta.assistants.create(model="scripted", response_format=GOOD)
    return sdk.beta.assistants.update(assistant.id, response_format=wanted)


ASKING: tuple[Callable[[OpenAI, Any], object], ...] = (
    lambda sdk, wanted: sdk.beta.assistants.create(model="scripted", response_format=wanted),
    change_assistant,
    create_run,
    create_thread_and_run,
)


@pytest.mark.parametrize("ask", ASKING)
def test_a_schema_that_is_none_is_refused_wherever_it_is_given(sdk: OpenAI, ask: Callable[..., object]) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(sdk, NO_TYPE)
    assert caught.value.param == "response_format.json_schema.schema"
    assert "Invalid schema for response_format 'person': at $.properties.age.type, " in caught.value.message


@pytest.mark.parametrize("ask", ASKING)
def test_a_good_schema_is_taken_wherever_it_is_given(sdk: OpenAI, ask: Callable[..., object]) -> None:
    assert ask(sdk, GOOD)


@pytest.mark.parametrize("schema", [[1], "object", {"$ref": "http://127.0.0.1:1/schema.json"}, {"$ref": "#/gone"}])
def test_what_is_no_schema_of_its_own_is_refused(sdk: OpenAI, schema: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        sdk.beta.assistants.create(model="scripted", response_format=described(schema))
    assert caught.value.param == "response_format.json_schema.schema"
