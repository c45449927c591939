"""The JSON that a caller asked for, from upstreams that enforce it, that can't, and that only say they do."""

from typing import Any

import pytest

from plugins.upstream import DONE, Act, FakeUpstream, Reply, Wait, event, refusal, saying, streamed, whole
from providers.conftest import Make, asking, batches_of, end_of, news_of, text_of
from respun.core.chat import ChatFunction, ChatTool, ModelError, ModelRequest, News, ToolCallDelta
from respun.core.usage import Usage
from respun.providers.asking import Capabilities
from respun.providers.chat import ChatProvider
from respun.providers.route import Route, Router, Target
from respun.providers.schema_tools import SchemaTools
from respun.providers.structured import Structured

AGE: dict[str, Any] = {
    "type": "object",
    "properties": {"people": {"type": "array", "items": {"properties": {"age": {"type": "integer"}}}}},
    "required": ["people"],
}
GOOD = '{"people": [{"age": 3}]}'
BAD = '{"people": [{"age": "secret"}]}'
OBJECT = {"type": "json_object"}
INCAPABLE = Capabilities(json_schema=False)


def schema(*, strict: bool = False, of: dict[str, Any] = AGE) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "ages", "schema": of, "strict": strict}}


def held(chat: ChatProvider) -> Structured:
    return Structured(chat, chat.capabilities)


def answer(*words: str, finish: str = "stop") -> Reply:
    return streamed(*saying(*words, finish=finish))


def slowly(*words: str) -> Reply:
    """The same, one network read a word."""
    acts: list[Act] = []
    for each in saying(*words):
        acts += [event(each), Wait(0.02)]
    return Reply([*acts, DONE])


async def heard_before(provider: Structured, request: ModelRequest, kind: str) -> str:
    """The text that was shown before a call failed in this way."""
    news: list[News] = []
    try:
        async for batch in provider.stream(request):
            news += batch
    except ModelError as error:
        assert error.kind == kind
        return text_of(news)
    raise AssertionError("The call did not fail.")


async def test_an_upstream_that_enforces_schemas_is_streamed_as_it_comes(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [slowly('{"people":', " []}")]
    batches = await batches_of(held(provider_of()), asking(response_format=schema(strict=True)))
    assert len(batches) > 2
    assert text_of([news for batch in batches for news in batch]) == '{"people": []}'
    assert upstream.received[0].json["response_format"] == schema(strict=True)


async def test_an_upstream_that_cannot_is_told_in_words_and_shown_in_one_piece(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [answer("```json\n", GOOD, "\n```")]
    news = await news_of(held(provider_of(capabilities=INCAPABLE)), asking(response_format=schema()))
    assert [text_of([each]) for each in news] == [GOOD, ""]
    assert len(upstream.received) == 1
    assert '"people"' in upstream.received[0].json["messages"][0]["content"]


async def test_an_answer_that_does_not_fit_is_repaired_once_with_its_fault_named(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [answer(BAD), answer(GOOD)]
    request = asking(response_format=schema(), max_completion_tokens=10)
    news = await news_of(held(provider_of(capabilities=INCAPABLE)), request)
    assert text_of(news) == GOOD
    assert end_of(news).usage == Usage(22, 4)
    shown, told = upstream.received[1].json["messages"][-2:]
    assert shown == {"role": "assistant", "content": BAD}
    assert "at $.people[0].age" in told["content"]
    assert upstream.received[1].json["max_tokens"] == 8


async def test_tokens_that_the_upstream_does_not_count_are_estimated_for_both_calls(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [streamed(*saying(BAD, usage=None)), streamed(*saying(GOOD, usage=None))]
    news = await news_of(held(provider_of(capabilities=INCAPABLE)), asking(response_format=schema()))
    usage = end_of(news).usage
    assert usage is not None
    assert usage.completion > len(BAD) // 4
    assert usage.prompt > 0


async def test_an_answer_that_still_does_not_fit_is_an_error_that_names_the_place(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [answer(BAD)]
    with pytest.raises(ModelError, match=r"at \$\.people\[0\]\.age, .* not of type \"integer\"") as raised:
        await news_of(held(provider_of(capabilities=INCAPABLE)), asking(response_format=schema()))
    assert raised.value.kind == "broken"
    assert "secret" not in raised.value.message
    assert len(upstream.received) == 2


async def test_a_schema_that_an_upstream_refuses_is_held_to_from_then_on(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    unknown = refusal(400, "json_schema is not supported", param="response_format")
    upstream.script = [unknown, answer("nonsense"), answer(GOOD), answer("nonsense"), answer(GOOD)]
    provider = held(provider_of())
    assert text_of(await news_of(provider, asking(response_format=schema()))) == GOOD
    assert text_of(await news_of(provider, asking(response_format=schema()))) == GOOD
    assert [each.json.get("response_format", {}).get("type") for each in upstream.received] == [
        "json_schema",
        *["json_object"] * 4,
    ]


async def test_an_upstream_without_any_json_mode_is_asked_in_words_alone(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    unknown = refusal(400, "Unknown parameter: response_format", param="response_format")
    upstream.script = [unknown, unknown, answer("Sure!"), answer(GOOD)]
    assert text_of(await news_of(held(provider_of()), asking(response_format=schema()))) == GOOD
    assert "response_format" not in upstream.received[-1].json


async def test_a_json_object_is_repaired_where_there_is_no_json_mode(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [answer("[1]"), answer('{"a": 1}')]
    provider = held(provider_of(capabilities=Capabilities(json_object=False)))
    assert text_of(await news_of(provider, asking(response_format=OBJECT))) == '{"a": 1}'
    assert "at $, it is not an object" in upstream.received[1].json["messages"][-1]["content"]


async def test_a_strict_schema_that_passed_unheeded_fails_and_is_enforced_from_then_on(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [slowly(BAD[:8], BAD[8:]), answer(BAD), answer(GOOD)]
    provider = held(provider_of())
    assert await heard_before(provider, asking(response_format=schema(strict=True)), "broken") == BAD
    assert text_of(await news_of(provider, asking(response_format=schema(strict=True)))) == GOOD


async def test_a_strict_answer_that_comes_whole_is_repaired_before_it_is_shown(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [whole({"content": BAD}), whole({"content": GOOD})]
    provider = held(provider_of(streaming=False))
    assert text_of(await news_of(provider, asking(response_format=schema(strict=True)))) == GOOD


async def test_a_schema_that_is_not_strict_is_left_to_an_upstream_that_knows_schemas(
    provider_of: Make, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.script = [slowly(BAD[:8], BAD[8:])]
    assert text_of(await news_of(held(provider_of()), asking(response_format=schema()))) == BAD
    assert "does not fit its format" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_what_a_limit_cut_off_is_not_asked_for_again(
    provider_of: Make, upstream: FakeUpstream, finish: str
) -> None:
    upstream.script = [answer('{"peo', finish=finish)]
    news = await news_of(held(provider_of(capabilities=INCAPABLE)), asking(response_format=schema()))
    assert (text_of(news), end_of(news).reason) == ('{"peo', finish)
    assert len(upstream.received) == 1


async def test_tool_calls_are_held_to_no_format_and_a_repair_calls_none(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    tool = ChatTool(ChatFunction("look", "Looks."))
    upstream.script = [answer('{"tool": "look", "arguments": {}}'), answer('{"reply": 5}'), answer(GOOD)]
    chat = provider_of(capabilities=INCAPABLE)
    provider = Structured(SchemaTools(chat), chat.capabilities)
    request = asking(tools=(tool,), response_format=schema())
    assert isinstance((await news_of(provider, request))[0], ToolCallDelta)
    assert text_of(await news_of(provider, request)) == GOOD


async def test_a_route_goes_on_to_its_fallback_when_the_answer_never_fits(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [answer("a"), answer("b"), answer(GOOD)]
    router = Router(
        [Route("*", (Target("small"), Target("able")))],
        {"small": held(provider_of(capabilities=INCAPABLE)), "able": held(provider_of())},
    )
    assert text_of(await news_of(router, asking(response_format=schema(strict=True)))) == GOOD


async def test_a_schema_that_is_none_is_an_error_not_a_fault(provider_of: Make, upstream: FakeUpstream) -> None:
    with pytest.raises(ModelError, match="can't be used: at \\$.type") as raised:
        await news_of(
            held(provider_of(capabilities=INCAPABLE)), asking(response_format=schema(of={"type": "nonsense"}))
        )
    assert raised.value.kind == "rejected"
