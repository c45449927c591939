"""The validator's grammar, row by row (contract section 5), and that nothing else ever comes out of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from respun.core.assistants import FileSearchTool, FunctionTool, JsonSchemaFormat, ToolResources
from respun.core.problems import Problem
from respun.core.runs import NamedToolChoice, Truncation
from respun.core.threads import ImageFile, ImageLink, Text
from respun.dialects.openai import bodies, queries, requests
from respun.dialects.openai.validate import Object

Read = Callable[[bytes, bool], Any]

READERS: tuple[Read, ...] = (
    requests.assistant,
    requests.assistant_changes,
    requests.thread,
    requests.thread_changes,
    requests.message,
    requests.metadata,
    requests.run,
    requests.thread_and_run,
    requests.outputs,
)

SAID = {"role": "user", "content": "Hi"}
ASKED = {"assistant_id": "asst_1"}
MADE = {"model": "m"}


def refusal(read: Read, body: object) -> Problem:
    with pytest.raises(Problem) as caught:
        read(body if isinstance(body, bytes) else json.dumps(body).encode(), True)
    return caught.value


def long_string(field: str, most: int, length: int) -> str:
    return (
        f"Invalid '{field}': string too long. Expected a string with maximum length {most}, "
        f"but got a string with length {length} instead."
    )


ROWS: list[tuple[Read, object, str, str | None, str | None]] = [
    (requests.assistant, {}, "Missing required parameter: 'model'.", "model", "missing_required_parameter"),
    (requests.run, {}, "Missing required parameter: 'assistant_id'.", "assistant_id", "missing_required_parameter"),
    (
        requests.thread,
        {"messages": [{"content": "x"}]},
        "Missing required parameter: 'messages[0].role'.",
        "messages[0].role",
        "missing_required_parameter",
    ),
    (
        requests.run,
        {**ASKED, "truncation_strategy": {"type": "last_messages"}},
        "Missing required parameter: 'truncation_strategy.last_messages'.",
        "truncation_strategy.last_messages",
        "missing_required_parameter",
    ),
    (requests.assistant, {**MADE, "x": 1}, "Unknown parameter: 'x'.", "x", "unknown_parameter"),
    (
        requests.message,
        {**SAID, "file_ids": []},
        "Unknown parameter: 'file_ids'.",
        "file_ids",
        "unknown_parameter",
    ),
    (
        requests.thread_and_run,
        {**ASKED, "thread": {"name": "x"}},
        "Unknown parameter: 'thread.name'.",
        "thread.name",
        "unknown_parameter",
    ),
    (
        requests.thread_changes,
        {"metadata": {"modified": True}},
        "Invalid type for 'metadata.modified': expected a string, but got a boolean instead.",
        "metadata.modified",
        "invalid_type",
    ),
    (
        requests.run,
        {**ASKED, "max_prompt_tokens": "many"},
        "Invalid type for 'max_prompt_tokens': expected an integer, but got a string instead.",
        "max_prompt_tokens",
        "invalid_type",
    ),
    (
        requests.run,
        {**ASKED, "max_prompt_tokens": 1.5},
        "Invalid type for 'max_prompt_tokens': expected an integer, but got a decimal number instead.",
        "max_prompt_tokens",
        "invalid_type",
    ),
    (
        requests.message,
        {"role": "user", "content": 3},
        "Invalid type for 'content': expected one of a string or array of objects, but got an integer instead.",
        "content",
        "invalid_type",
    ),
    (
        requests.assistant,
        {**MADE, "tools": None},
        "Invalid type for 'tools': expected an array of objects, but got null instead.",
        "tools",
        "invalid_type",
    ),
    (
        requests.assistant,
        {**MADE, "temperature": "hot"},
        "Invalid type for 'temperature': expected a decimal, but got a string instead.",
        "temperature",
        "invalid_type",
    ),
    (
        requests.run,
        {**ASKED, "stream": {}},
        "Invalid type for 'stream': expected a boolean, but got an object instead.",
        "stream",
        "invalid_type",
    ),
    (
        requests.assistant,
        {**MADE, "tools": [{"type": "retrieval"}]},
        "Invalid value: 'retrieval'. Supported values are: 'code_interpreter', 'function', and 'file_search'.",
        "tools[0].type",
        "invalid_value",
    ),
    (
        requests.message,
        {"role": "system", "content": "x"},
        "Invalid value: 'system'. Supported values are: 'user' and 'assistant'.",
        "role",
        "invalid_value",
    ),
    (
        requests.run,
        {**ASKED, "when_busy": "wait"},
        "Invalid value: 'wait'. Supported values are: 'reject', 'enqueue', and 'interrupt'.",
        "when_busy",
        "invalid_value",
    ),
    (
        requests.run,
        {"assistant_id": "undefined"},
        "Invalid 'assistant_id': 'undefined'. Expected an ID that begins with 'asst'.",
        "assistant_id",
        "invalid_value",
    ),
    (
        requests.run,
        {**ASKED, "truncation_strategy": {"type": "last_messages", "last_messages": 0}},
        "Invalid 'truncation_strategy.last_messages': integer below minimum value. "
        "Expected a value >= 1, but got 0 instead.",
        "truncation_strategy.last_messages",
        "integer_below_min_value",
    ),
    (
        requests.assistant,
        {**MADE, "tools": [{"type": "file_search", "file_search": {"max_num_results": 51}}]},
        "Invalid 'tools[0].file_search.max_num_results': integer above maximum value. "
        "Expected a value <= 50, but got 51 instead.",
        "tools[0].file_search.max_num_results",
        "integer_above_max_value",
    ),
    (
        requests.assistant,
        {**MADE, "temperature": 2.5},
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
        "temperature",
        "decimal_above_max_value",
    ),
    (
        requests.assistant,
        {**MADE, "top_p": -0.5},
        "Invalid 'top_p': decimal below minimum value. Expected a value >= 0, but got -0.5 instead.",
        "top_p",
        "decimal_below_min_value",
    ),
    (
        requests.message,
        {"role": "user", "content": []},
        "Invalid 'content': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        "content",
        "empty_array",
    ),
    (
        requests.assistant,
        {**MADE, "tools": [{"type": "code_interpreter"}] * 150},
        "Invalid 'tools': array too long. Expected an array with maximum length 128, "
        "but got an array with length 150 instead.",
        "tools",
        "array_above_max_length",
    ),
    (
        requests.message,
        {**SAID, "metadata": {str(n): "" for n in range(17)}},
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
        "but got an object with 17 properties instead.",
        "metadata",
        "object_above_max_properties",
    ),
    (
        requests.message,
        {**SAID, "metadata": {"k": "x" * 600}},
        long_string("metadata.k", 512, 600),
        "metadata.k",
        "string_above_max_length",
    ),
    (
        requests.message,
        {**SAID, "metadata": {"k" * 70: ""}},
        "Invalid property name in 'metadata': 'kkk...kkk' is too long. Expected a string with maximum length 64, "
        "but got a string with length 70 instead.",
        "metadata",
        "property_name_above_max_length",
    ),
    (
        requests.message,
        {"role": "user", "content": "x" * 256_001},
        long_string("content", 256_000, 256_001),
        "content",
        "string_above_max_length",
    ),
    (
        requests.assistant,
        {**MADE, "name": "x" * 257},
        long_string("name", 256, 257),
        "name",
        "string_above_max_length",
    ),
    (
        requests.assistant,
        {**MADE, "description": "x" * 513},
        long_string("description", 512, 513),
        "description",
        "string_above_max_length",
    ),
    (
        requests.assistant,
        {**MADE, "instructions": "x" * 256_001},
        long_string("instructions", 256_000, 256_001),
        "instructions",
        "string_above_max_length",
    ),
    (
        requests.assistant,
        {**MADE, "tools": [{"type": "function", "function": {"name": "a b"}}]},
        "Invalid 'tools[0].function.name': string does not match pattern. "
        "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
        "tools[0].function.name",
        "invalid_value",
    ),
    (
        requests.assistant,
        {**MADE, "tool_resources": {"code_interpreter": {"file_ids": ["f"] * 21}}},
        "Invalid 'tool_resources.code_interpreter.file_ids': array too long. Expected an array with maximum length 20, "
        "but got an array with length 21 instead.",
        "tool_resources.code_interpreter.file_ids",
        "array_above_max_length",
    ),
    (
        requests.thread_and_run,
        {
            **ASKED,
            "thread": {"tool_resources": {"file_search": {"vector_stores": [{}], "vector_store_ids": ["vs_1"]}}},
        },
        "Mutually exclusive parameters: 'thread.tool_resources.file_search.vector_stores'. Ensure you are only "
        "providing one of: 'vector_store_ids' or 'vector_stores'.",
        "thread.tool_resources.file_search.vector_stores",
        "mutually_exclusive_parameters",
    ),
    (
        requests.message,
        {"role": "user", "content": [{"type": "text", "text": "a\0b"}]},
        "Invalid 'content[0].text': it contains a NUL character (\\u0000), which cannot be stored. Remove it.",
        "content[0].text",
        "invalid_value",
    ),
    (
        requests.message,
        [],
        "Invalid type for 'body': expected an object, but got an array instead.",
        "body",
        "invalid_type",
    ),
]


@pytest.mark.parametrize(("read", "body", "message", "param", "code"), ROWS, ids=[row[2][:60] for row in ROWS])
def test_a_fault_is_refused_in_openais_words(read: Read, body: object, message: str, param: str, code: str):
    problem = refusal(read, body)
    assert (problem.message, problem.param, problem.code) == (message, param, code)
    assert problem.kind == "invalid"


def test_a_missing_field_is_told_before_an_unknown_one_and_that_before_a_wrong_type():
    assert refusal(requests.message, {"content": 3, "x": 1}).code == "missing_required_parameter"
    assert refusal(requests.message, {"role": "user", "content": 3, "x": 1}).code == "unknown_parameter"
    assert refusal(requests.message, {"role": "user", "content": 3}).code == "invalid_type"


@pytest.mark.parametrize(
    "body",
    [
        b'{"role":',
        b'{"role":"user","content":"\\ud800 alone"}',
        b'{"role":"user","content":"\xff"}',
        b'{"role":"user","content":NaN}',
        b'{"role":"user","content":1e999}',
        b"[" * 100_000,
        b'{"a":' * 99 + b"[[]]" + b"}" * 99,
    ],
    ids=["cut off", "lone surrogate", "not UTF-8", "NaN", "infinite", "abyss", "deep"],
)
def test_what_is_not_json_of_ours_is_refused(body: bytes):
    assert refusal(requests.message, body).kind == "invalid"


def test_half_a_pair_of_surrogates_is_named():
    assert "surrogates" in refusal(requests.message, b'{"role":"user","content":"\\ud800 alone"}').message


@pytest.mark.parametrize("url", ["", "cat.png", "file:///etc/passwd", "https://", "data:text/html,x"])
def test_an_image_comes_from_the_web_or_in_its_address(url: str):
    part = {"type": "image_url", "image_url": {"url": url}}
    problem = refusal(requests.message, {"role": "user", "content": [part]})
    assert problem.message == (
        "Invalid 'content[0].image_url.url'. Expected a valid URL, but got a value with an invalid format."
    )


def test_of_a_repeated_key_the_last_one_counts():
    assert requests.message(b'{"role":"user","role":"assistant","content":"x"}', True).role == "assistant"


def test_a_backslash_before_u0000_is_text_and_no_nul():
    assert requests.message(rb'{"role":"user","content":"\\u0000"}', True).content == (Text(r"\u0000"),)


def test_where_the_dialect_is_lenient_unknown_keys_are_ignored():
    body = {**SAID, "x": 1, "content": [{"type": "text", "text": "Hi", "y": 2}]}
    assert requests.message(json.dumps(body).encode(), False).content == (Text("Hi"),)


def test_an_empty_body_is_an_empty_object():
    assert requests.thread(b"", True) == requests.thread(b"{}", True)


def test_content_is_read_into_parts():
    body = {
        "role": "user",
        "content": [
            {"type": "text", "text": "Look"},
            {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        ],
        "attachments": [{"file_id": "file-2", "tools": [{"type": "code_interpreter"}]}],
        "metadata": None,
    }
    draft = requests.message(json.dumps(body).encode(), True)
    assert draft.content == (Text("Look"), ImageFile("file-1", "low"), ImageLink("https://example.org/a.png"))
    assert draft.attachments[0].tools == ("code_interpreter",)
    assert draft.metadata == {}


def test_an_assistant_is_read_with_all_its_fields():
    body = {
        "model": "m",
        "name": None,
        "tools": [
            {"type": "function", "function": {"name": "f", "description": None, "parameters": None, "strict": True}},
            {"type": "file_search", "file_search": {"ranking_options": {"score_threshold": 1, "ranker": "auto"}}},
        ],
        "tool_resources": {
            "code_interpreter": {"file_ids": []},
            "file_search": {"vector_store_ids": ["vs_1"]},
        },
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "strict": None}},
        "temperature": 1,
    }
    draft = requests.assistant(json.dumps(body).encode(), True)
    function, search = draft.tools
    assert isinstance(function, FunctionTool)
    assert function.function.strict is True
    assert isinstance(search, FileSearchTool)
    assert search.file_search.ranking_options
    assert search.file_search.ranking_options.score_threshold == 1.0
    assert draft.tool_resources == ToolResources((), ("vs_1",))
    assert isinstance(draft.response_format, JsonSchemaFormat)
    assert draft.response_format.json_schema.definition == {"a": 1}


def test_a_change_tells_what_was_cleared_from_what_was_left_out():
    changes = requests.assistant_changes(b'{"name":null,"response_format":"auto","metadata":null}', True)
    assert (changes.name, changes.response_format, changes.metadata) == (None, None, {})
    untouched = requests.assistant_changes(b"{}", True)
    assert untouched == type(untouched)()


def test_a_run_is_read_with_its_overrides():
    body = {
        **ASKED,
        "tools": [],
        "response_format": "auto",
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "truncation_strategy": {"type": "last_messages", "last_messages": 3},
        "parallel_tool_calls": False,
        "additional_messages": [SAID],
        "max_completion_tokens": 16,
        "when_busy": "enqueue",
        "stream": True,
    }
    given_run = requests.run(json.dumps(body).encode(), True)
    draft = given_run.draft
    assert given_run.stream
    assert draft.tools == ()
    assert draft.response_format == "auto"
    assert draft.tool_choice == NamedToolChoice("function", "f")
    assert draft.truncation == Truncation("last_messages", 3)
    assert not draft.parallel_tool_calls
    assert draft.max_completion_tokens == 16
    assert draft.when_busy == "enqueue"
    assert requests.run(b'{"assistant_id":"asst_1"}', True).draft.tools is None


@pytest.mark.parametrize("ident", ["thread_é", "thread_\0", "thread_a b\n", "thread_" + "x" * 500])
def test_an_id_that_cannot_be_one_is_not_found(ident: str):
    with pytest.raises(Problem) as caught:
        requests.check_id("thread_id", "thread", ident)
    assert caught.value.kind == "not_found"
    assert caught.value.message.isprintable()


# Any JSON, and JSON that is nearly right

json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = [name for body in vars(bodies).values() if isinstance(body, Object) for name in body.fields]
WORDS = ["user", "auto", "function", "file_search", "last_messages", "json_schema", "asst_1", "text", "\0", "x" * 300]
nearly_right = some.recursive(
    json_values | some.sampled_from(WORDS),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


def refused(attempt: Callable[[], object]) -> Problem | None:
    try:
        attempt()
    except Problem as problem:
        return problem
    return None


@given(some.sampled_from(READERS), nearly_right | json_values, some.booleans())
def test_any_json_is_taken_or_refused_with_a_problem(read: Read, value: object, strict: bool):
    problem = refused(lambda: read(json.dumps(value).encode(), strict))
    assert problem is None or (problem.kind == "invalid" and problem.message)


@given(some.sampled_from(READERS), some.binary(max_size=60))
def test_any_bytes_are_taken_or_refused_with_a_problem(read: Read, body: bytes):
    problem = refused(lambda: read(body, True))
    assert problem is None or problem.kind == "invalid"


# Queries


@pytest.mark.parametrize(
    ("query", "message", "code"),
    [
        (
            b"limit=0",
            "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "integer_below_min_value",
        ),
        (
            b"limit=101",
            "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
            "integer_above_max_value",
        ),
        (
            b"limit=ten",
            "Invalid type for 'limit': expected an integer, but got a string instead.",
            "invalid_type",
        ),
        (b"order=up", "Invalid value: 'up'. Supported values are: 'asc' and 'desc'.", "invalid_value"),
    ],
)
def test_a_wrong_page_is_refused(query: bytes, message: str, code: str):
    with pytest.raises(Problem) as caught:
        queries.page(queries.read(query))
    assert (caught.value.message, caught.value.code) == (message, code)
    assert caught.value.param in ("limit", "order")


def test_unknown_query_keys_are_ignored():
    page = queries.page(queries.read(b"api-version=v1&limit=5&order=asc&after=msg_1&before="))
    assert (page.limit, page.order, page.after, page.before) == (5, "asc", "msg_1", None)


def test_content_of_search_results_is_given_only_when_asked_for():
    assert queries.wants_content(
        queries.read(b"include[]=step_details.tool_calls%5B%2A%5D.file_search.results%5B%2A%5D.content")
    )
    assert not queries.wants_content({})
    with pytest.raises(Problem, match="Invalid value: 'all'"):
        queries.wants_content(queries.read(b"include[]=all"))


def test_threads_are_filtered_by_metadata_time_and_assistant():
    wanted = queries.threads(
        queries.read(b"metadata[user]=42&metadata%5Bplan%5D=free&created_after=5&assistant_id=asst_1")
    )
    assert wanted.metadata == {"user": "42", "plan": "free"}
    assert (wanted.created_from, wanted.created_to, wanted.assistant) == (5, None, "asst_1")


@given(
    some.sampled_from((queries.page, queries.threads, queries.wants_content, queries.searched)),
    some.binary(max_size=40),
)
def test_any_query_is_read_or_refused_with_a_problem(read: Callable[[queries.Query], object], query: bytes):
    problem = refused(lambda: read(queries.read(query)))
    assert problem is None or problem.kind == "invalid"
