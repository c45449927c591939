"""Calls that go well: what is sent, and how answers are read that take liberties."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

from plugins.upstream import (
    DONE,
    HANG,
    FakeUpstream,
    Reply,
    Wait,
    calling,
    chunk,
    event,
    refusal,
    saying,
    streamed,
    whole,
)
from providers.conftest import KEY, Make, Sleeps, asking, batches_of, end_of, news_of, text_of
from respun.core.chat import (
    AssistantMessage,
    CalledFunction,
    ChatFunction,
    ChatTool,
    ChatToolCall,
    ModelError,
    ModelRequest,
    News,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolMessage,
    UserMessage,
)
from respun.core.usage import Usage
from respun.providers.asking import Capabilities, expected_of

TOOL = ChatTool(ChatFunction("look", "Looks.", {"type": "object", "properties": {"at": {"type": "string"}}}))


def call(index: int | None, ident: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"function": {"name": name, "arguments": arguments}}
    return made | ({} if index is None else {"index": index}) | ({} if ident is None else {"id": ident})


def calls_of(news: list[News]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call; every first piece carries id and name, and only that one."""
    calls: dict[int, tuple[str, str, str]] = {}
    for each in news:
        if isinstance(each, ToolCallDelta):
            assert (each.id is None) == (each.index in calls) == (each.name is None)
            ident, name, arguments = calls.get(each.index, (each.id or "", each.name or "", ""))
            calls[each.index] = (ident, name, arguments + each.arguments)
    assert list(calls) == list(range(len(calls)))
    return list(calls.values())


async def test_an_answer_comes_as_text_and_ends_with_its_usage(provider_of: Make) -> None:
    news = await news_of(provider_of(), asking())
    assert text_of(news) == "Hello world."
    end = end_of(news)
    assert (end.reason, end.usage, end.model) == ("stop", Usage(11, 2), "fake-1")


async def test_an_upstream_that_does_not_stream_gives_the_same_news(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [whole({"content": "Hello world.", "tool_calls": [call(None, "c1", "look", "{}")]})]
    news = await news_of(provider_of(streaming=False), asking())
    assert text_of(news) == "Hello world."
    assert calls_of(news) == [("c1", "look", "{}")]
    assert (end_of(news).reason, end_of(news).usage) == ("tool_calls", Usage(11, 2))
    assert "stream" not in upstream.received[0].json


async def test_a_whole_answer_to_a_streaming_call_is_taken(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [whole({"content": "All at once."})]
    assert text_of(await news_of(provider_of(), asking())) == "All at once."


async def test_what_arrives_in_one_read_is_one_batch(provider_of: Make, upstream: FakeUpstream) -> None:
    first = b"".join(event(chunk({"content": word})) for word in ("a", "b", "c"))
    rest = b"".join(event(each) for each in saying("d")) + DONE
    upstream.script = [Reply([first, Wait(0.05), rest])]
    batches = await batches_of(provider_of(), asking())
    assert batches[0] == [TextDelta("abc")]
    assert len(batches) == 2


async def test_the_request_carries_key_model_and_conversation(provider_of: Make, upstream: FakeUpstream) -> None:
    asked = ModelRequest(
        "small",
        (
            UserMessage("Look."),
            AssistantMessage(tool_calls=(ChatToolCall("c1", CalledFunction("look", "{}")),)),
            ToolMessage("c1", "a tree"),
        ),
        tools=(TOOL,),
        tool_choice="auto",
        temperature=0.5,
        max_completion_tokens=9,
        prompt_cache_key="thread_1",
    )
    await news_of(provider_of(model="llama3"), asked)
    got = upstream.received[0]
    assert (got.method, got.path) == ("POST", "/v1/chat/completions")
    assert got.headers["authorization"] == f"Bearer {KEY}"
    assert got.json == {
        "model": "llama3",
        "messages": [
            {"role": "user", "content": "Look."},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a tree"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "Looks.", "parameters": TOOL.function.parameters},
            }
        ],
        "tool_choice": "auto",
        "temperature": 0.5,
        "max_tokens": 9,
    }


async def test_a_query_in_the_base_url_is_kept_and_headers_are_added(provider_of: Make, upstream: FakeUpstream) -> None:
    provider = provider_of(base_url=upstream.base_url + "/?api-version=7", headers={"api-key": "other-secret"})
    await news_of(provider, asking())
    assert upstream.received[0].path == "/v1/chat/completions?api-version=7"
    assert upstream.received[0].headers["api-key"] == "other-secret"


async def test_calls_share_a_connection(provider_of: Make, upstream: FakeUpstream) -> None:
    provider = provider_of()
    for _ in range(3):
        await news_of(provider, asking())
        await asyncio.sleep(0)
    assert len(upstream.received) == 3
    assert upstream.connections == 1


async def test_closing_the_iterator_ends_the_upstream_call(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [Reply([event(chunk({"content": "a"})), HANG])]
    stream = provider_of().stream(asking())
    assert list(await anext(stream)) == [TextDelta("a")]
    await stream.aclose()
    async with asyncio.timeout(1):
        await upstream.gone.wait()


async def test_cancelling_the_reader_ends_the_upstream_call(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [Reply([HANG])]
    provider = provider_of()
    task = asyncio.create_task(news_of(provider, asking()))
    while not upstream.received:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(1):
        await upstream.gone.wait()


async def test_refusals_and_reasoning_are_news_of_their_own(provider_of: Make, upstream: FakeUpstream) -> None:
    chunks = [
        chunk({"reasoning_content": "hm"}),
        chunk({"reasoning": "m"}),
        chunk({"refusal": "No."}),
        chunk({}, "stop"),
    ]
    upstream.script = [streamed(*chunks)]
    news = await news_of(provider_of(), asking())
    assert news[:-1] == [ReasoningDelta("hm"), ReasoningDelta("m"), RefusalDelta("No.")]


CALLS = {
    "split arguments": (
        [call(0, "a", "look", ""), call(0, None, None, '{"at":"\\u00'), call(0, None, None, 'e9"}')],
        [("a", "look", '{"at":"\\u00e9"}')],
    ),
    "two in parallel, mixed": (
        [call(0, "a", "f", ""), call(1, "b", "g", "{"), call(0, None, None, "1"), call(1, None, None, "}")],
        [("a", "f", "1"), ("b", "g", "{}")],
    ),
    "indexes that start at 1": ([call(1, "a", "f", "{}")], [("a", "f", "{}")]),
    "no index, ids": ([call(None, "a", "f", "{}"), call(None, "b", "g", "{}")], [("a", "f", "{}"), ("b", "g", "{}")]),
    "no index, pieces": ([call(None, "a", "f", ""), call(None, None, None, "{}")], [("a", "f", "{}")]),
    "no index, no id": (
        [call(None, None, "f", "1"), call(None, None, "f", "2")],
        [("made_0", "f", "1"), ("made_1", "f", "2")],
    ),
    "duplicate ids": ([call(0, "a", "f", "1"), call(1, "a", "g", "2")], [("a", "f", "1"), ("made_0", "g", "2")]),
    "duplicate ids, no index": (
        [call(None, "a", "f", "1"), call(None, "a", "f", "2")],
        [("a", "f", "1"), ("made_0", "f", "2")],
    ),
    "all numbered 0": ([call(0, "a", "f", "1"), call(0, "b", "f", "2")], [("a", "f", "1"), ("b", "f", "2")]),
    "id and name repeated": ([call(0, "a", "f", "1"), call(0, "a", "f", "2")], [("a", "f", "12")]),
    "no id": ([call(0, None, "f", "{}"), call(1, "", "g", "{}")], [("made_0", "f", "{}"), ("made_1", "g", "{}")]),
    "the name comes late": ([call(0, "a", None, "{"), call(0, None, "f", "}")], [("a", "f", "{}")]),
    "an object for arguments": ([call(0, "a", "f", {"at": 1})], [("a", "f", '{"at":1}')]),
    "malformed arguments": ([call(0, "a", "f", '{"at": tru')], [("a", "f", '{"at": tru')]),
    "an unknown tool": ([call(0, "a", "nobody", "{}")], [("a", "nobody", "{}")]),
    "a megabyte": ([call(0, "a", "f", "x" * (1 << 20))], [("a", "f", "x" * (1 << 20))]),
}


@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize("done", [True, False], ids=["done", "no done"])
async def test_tool_calls_are_told_apart(provider_of: Make, upstream: FakeUpstream, how: str, done: bool) -> None:
    pieces, expected = CALLS[how]
    upstream.script = [streamed(*calling(*pieces), done=done)]
    news = await news_of(provider_of(), asking(tools=(TOOL,)))
    assert calls_of(news) == expected
    assert end_of(news).reason == "tool_calls"


@pytest.mark.parametrize(
    ("given", "with_calls", "expected"),
    [
        ("stop", True, "tool_calls"),
        ("tool_calls", False, "stop"),
        ("function_call", True, "tool_calls"),
        ("length", True, "length"),
        ("max_tokens", False, "length"),
        ("content_filter", False, "content_filter"),
        ("SAFETY", False, "content_filter"),
        ("eos", False, "stop"),
        ("gibberish", True, "tool_calls"),
    ],
)
async def test_a_finish_reason_is_put_right(
    provider_of: Make, upstream: FakeUpstream, given: str, with_calls: bool, expected: str
) -> None:
    chunks = calling(call(0, "a", "look", "{}"), finish=given) if with_calls else saying("Hi", finish=given)
    upstream.script = [streamed(*chunks)]
    assert end_of(await news_of(provider_of(), asking())).reason == expected


@pytest.mark.parametrize(
    "usage",
    [None, {"prompt_tokens": -1, "completion_tokens": 5}, "many", {}, {"prompt_tokens": "x"}],
    ids=["null", "negative", "a word", "empty", "not a number"],
)
async def test_usage_that_makes_no_sense_is_unknown(provider_of: Make, upstream: FakeUpstream, usage: Any) -> None:
    upstream.script = [streamed(*saying("Hi", usage=usage))]
    news = await news_of(provider_of(), asking())
    assert (text_of(news), end_of(news).usage) == ("Hi", None)


async def test_cached_and_reasoning_tokens_are_counted(provider_of: Make, upstream: FakeUpstream) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 1}}
    upstream.script = [streamed(*saying("Hi", usage={"prompt_tokens": 5, "completion_tokens": 2} | details))]
    assert end_of(await news_of(provider_of(), asking())).usage == Usage(5, 2, 4, 1)


LEARNED = [
    ("Unrecognized request argument supplied: stream_options", {}, "stream_options", None),
    ("Extra inputs are not permitted: parallel_tool_calls", {}, "parallel_tool_calls", None),
    ("unknown field", {"param": "reasoning_effort", "code": "unknown_parameter"}, "reasoning_effort", None),
    ("property 'prompt_cache_key' is unsupported", {}, "prompt_cache_key", None),
    (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        {"param": "max_tokens", "code": "unsupported_parameter"},
        "max_tokens",
        "max_completion_tokens",
    ),
]


@pytest.mark.parametrize(("message", "more", "gone", "instead"), LEARNED, ids=[each[2] for each in LEARNED])
async def test_a_parameter_the_upstream_does_not_know_is_learnt_once(
    provider_of: Make, upstream: FakeUpstream, sleeps: Sleeps, message: str, more: Any, gone: str, instead: str | None
) -> None:
    upstream.script = [refusal(400, message, **more), upstream.script[0]]
    provider = provider_of(capabilities=Capabilities(prompt_cache_key=True))
    asked = asking(
        tools=(TOOL,), parallel_tool_calls=False, reasoning_effort="low", prompt_cache_key="k", max_completion_tokens=5
    )
    assert text_of(await news_of(provider, asked)) == "Hello world."
    await news_of(provider, asked)
    first, *later = (each.json for each in upstream.received)
    assert gone in first
    assert [gone in body for body in later] == [False, False]
    assert instead is None or [body[instead] for body in later] == [5, 5]
    assert sleeps.taken == []


async def test_a_limit_named_max_completion_tokens_is_renamed_for_who_knows_only_max_tokens(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [refusal(422, "max_completion_tokens: extra fields not permitted"), upstream.script[0]]
    provider = provider_of(capabilities=Capabilities(max_completion_tokens=True))
    await news_of(provider, asking(max_completion_tokens=5))
    assert upstream.received[1].json["max_tokens"] == 5


async def test_a_wished_schema_is_put_in_words_for_who_knows_only_json_object(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    wish = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "title": "Wished"}}}
    upstream.script = [refusal(400, "response_format json_schema is not supported"), upstream.script[0]]
    await news_of(provider_of(), asking(response_format=wish))
    second = upstream.received[1].json
    assert second["response_format"] == {"type": "json_object"}
    assert "Wished" in second["messages"][0]["content"]


async def test_a_refused_value_is_reported_rather_than_dropped(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [
        refusal(400, "Unsupported value: 'reasoning_effort' does not support 'max'. Supported values are: 'low'.")
    ]
    with pytest.raises(ModelError, match="Supported values") as raised:
        await news_of(provider_of(), asking(reasoning_effort="max"))
    assert raised.value.kind == "rejected"
    assert len(upstream.received) == 1


async def test_an_upstream_that_never_stops_complaining_is_left(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [refusal(400, "unknown parameter stream_options")]
    with pytest.raises(ModelError, match="stream_options"):
        await news_of(provider_of(), asking())
    assert len(upstream.received) == 2


async def test_tools_are_not_dropped_in_silence(provider_of: Make, upstream: FakeUpstream) -> None:
    with pytest.raises(ModelError, match="does not know tools"):
        await news_of(provider_of(capabilities=Capabilities(tools=False)), asking(tools=(TOOL,)))
    assert upstream.received == []


def test_only_openai_is_assumed_to_know_its_newest_parameters() -> None:
    assert expected_of("https://api.openai.com/v1").max_completion_tokens
    assert not expected_of("http://127.0.0.1:11434/v1").prompt_cache_key
    assert not expected_of("https://openai.com.example.org/v1").prompt_cache_key


async def test_the_models_of_an_upstream_are_listed(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [Reply([b'{"object":"list","data":[{"id":"a"},{"id":"b"}]}'], content_type="application/json")]
    assert await provider_of().models() == ["a", "b"]
    assert (upstream.received[0].method, upstream.received[0].path) == ("GET", "/v1/models")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply([HANG]), "timeout"),
        (refusal(401), "auth"),
        (Reply([b"never HTTP\r\n\r\n"], raw=True), "unreachable"),
    ],
    ids=["hangs", "refuses", "no HTTP"],
)
async def test_a_list_of_models_that_does_not_come_is_a_model_error(
    provider_of: Make, upstream: FakeUpstream, reply: Reply, kind: str
) -> None:
    upstream.script = [reply]
    with pytest.raises(ModelError) as raised:
        await provider_of().models()
    assert raised.value.kind == kind


def test_the_http_client_is_imported_when_first_used() -> None:
    code = "import sys, respun.providers.chat, respun.providers.route; assert 'aiohttp' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)})
