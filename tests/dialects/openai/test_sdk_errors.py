"""What the stock SDK raises for bad input: the class, and the message, param and code that programs match on."""

from collections.abc import Callable
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI

from plugins.stock import ask

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")

Calls = Callable[[Any], Any]


def refused(call: Callable[[], Any], kind: type[APIStatusError] = BadRequestError) -> list[Any]:
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert error.request_id
    assert error.type == "invalid_request_error"
    assert isinstance(error.body, dict)
    return [error.body["message"], error.param, error.code]


LIMITS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "17 pairs": (
        {"metadata": {str(n): "" for n in range(17)}},
        [
            "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an "
            "object with 17 properties instead.",
            "metadata",
            "object_above_max_properties",
        ],
    ),
    "a long value": (
        {"metadata": {"k": "v" * 513}},
        [
            "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with "
            "length 513 instead.",
            "metadata.k",
            "string_above_max_length",
        ],
    ),
    "a value that is no text": (
        {"metadata": {"modified": True}},
        [
            "Invalid type for 'metadata.modified': expected a string, but got a boolean instead.",
            "metadata.modified",
            "invalid_type",
        ],
    ),
    "a long name": (
        {"name": "n" * 257},
        [
            "Invalid 'name': string too long. Expected a string with maximum length 256, but got a string with length "
            "257 instead.",
            "name",
            "string_above_max_length",
        ],
    ),
    "an unknown tool": (
        {"tools": [{"type": "retrieval"}]},
        [
            "Invalid value: 'retrieval'. Supported values are: 'code_interpreter', 'function', and 'file_search'.",
            "tools[0].type",
            "invalid_value",
        ],
    ),
    "129 tools": (
        {"tools": [{"type": "code_interpreter"}] * 129},
        [
            "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with length "
            "129 instead.",
            "tools",
            "array_above_max_length",
        ],
    ),
    "an unknown key": ({"extra_body": {"nope": 1}}, ["Unknown parameter: 'nope'.", "nope", "unknown_parameter"]),
}


@pytest.mark.parametrize("case", LIMITS)
def test_a_body_beyond_a_limit_is_refused_in_openais_words(sdk: OpenAI, case: str):
    given, expected = LIMITS[case]
    assert refused(lambda: sdk.beta.assistants.create(model="scripted", **given)) == expected


def test_metadata_at_its_limits_is_kept(sdk: OpenAI):
    metadata = {f"{n:064}": "v" * 512 for n in range(16)}
    assert sdk.beta.threads.create(metadata=metadata).metadata == metadata


def test_a_missing_parameter_is_named(sdk: OpenAI):
    answer: list[Any] = refused(lambda: sdk.post("/assistants", body={}, cast_to=object))
    assert answer == ["Missing required parameter: 'model'.", "model", "missing_required_parameter"]


ABSENT: dict[str, tuple[Calls, str]] = {
    "assistant": (lambda beta: beta.assistants.retrieve("asst_x"), "No assistant found with id 'asst_x'."),
    "thread": (lambda beta: beta.threads.retrieve("thread_x"), "No thread found with id 'thread_x'."),
    "a thread's runs": (lambda beta: beta.threads.runs.list("thread_x"), "No thread found with id 'thread_x'."),
}


@pytest.mark.parametrize("case", ABSENT)
def test_an_unknown_id_is_404(sdk: OpenAI, case: str):
    call, message = ABSENT[case]
    found = refused(lambda: call(sdk.beta), NotFoundError)
    assert found[0].startswith(message)


def test_unknown_messages_runs_and_steps_are_404(sdk: OpenAI):
    assistant, thread = ask(sdk, "@say Hi")
    run = sdk.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant).id
    threads = sdk.beta.threads
    for call in (
        lambda: threads.messages.retrieve("msg_x", thread_id=thread),
        lambda: threads.runs.retrieve("run_x", thread_id=thread),
        lambda: threads.runs.steps.retrieve("step_x", thread_id=thread, run_id=run),
        lambda: threads.messages.delete("msg_x", thread_id=thread),
    ):
        assert "found with id" in refused(call, NotFoundError)[0]


def test_an_id_of_the_wrong_kind_is_refused(sdk: OpenAI):
    assert refused(lambda: sdk.beta.threads.retrieve("undefined")) == [
        "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'.",
        "thread_id",
        "invalid_value",
    ]


def test_a_second_delete_is_404(sdk: OpenAI):
    assistant, thread = ask(sdk, "x")
    for delete, ident in ((sdk.beta.assistants.delete, assistant), (sdk.beta.threads.delete, thread)):
        assert delete(ident).deleted
        refused(lambda delete=delete, ident=ident: delete(ident), NotFoundError)  # type: ignore[misc]


@pytest.mark.parametrize("limit", [0, 101])
def test_a_limit_out_of_range_is_refused(sdk: OpenAI, limit: int):
    assert refused(lambda: sdk.beta.assistants.list(limit=limit))[1] == "limit"


def test_answers_carry_openais_headers(sdk: OpenAI):
    answer = sdk.beta.threads.with_raw_response.create()
    assert answer.headers["openai-version"] == "2020-10-01"
    assert answer.request_id
    assert float(answer.headers["openai-processing-ms"]) >= 0
