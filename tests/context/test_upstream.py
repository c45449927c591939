"""What a real upstream is sent over HTTP: the same beginning turn after turn, and marks where it takes them."""

import json
from typing import Any

from context_world import small_talk, world

from plugins.upstream import FakeUpstream, refusal, saying, streamed, upstream
from respun.core.chat import AssistantMessage, ModelRequest, SystemMessage, ToolMessage, UserMessage
from respun.providers.asking import Capabilities, body_of
from respun.providers.chat import ChatProvider
from respun.providers.upstream import Upstream

__all__ = ["upstream"]


async def test_two_turns_send_the_window_byte_for_byte_alike(place: str, upstream: FakeUpstream) -> None:
    usage = {"prompt_tokens": 2000, "completion_tokens": 2, "total_tokens": 2002}
    usage["prompt_tokens_details"] = {"cached_tokens": 1500}  # type: ignore[assignment]
    upstream.script = [streamed(*saying("Fine.", usage=usage))]
    provider = ChatProvider(Upstream(upstream.base_url))
    async with world(place, provider=provider) as shop:
        thread = await shop.thread(small_talk(150))
        await shop.indexed(thread)
        await shop.ask(thread, "What about week 30 in Turin?")
        run = await shop.ask(thread, "And week 40 in Oslo?")
        first, second = (_messages(each.body) for each in upstream.received[-2:])
        shared = _shared(first, second)
        # All of the first prompt but its question.
        assert len(first) - shared <= 1
        assert sum(len(each) for each in first[:shared]) > 3_000
        assert run.usage.cached == 1500
    await provider.aclose()


async def test_a_prompt_that_is_refused_for_its_length_is_asked_once_more(place: str, upstream: FakeUpstream) -> None:
    too_long = refusal(400, "This model's maximum context length is 2000 tokens.", code="context_length_exceeded")
    upstream.script = [too_long, streamed(*saying("Fine."))]
    provider = ChatProvider(Upstream(upstream.base_url))
    async with world(place, provider=provider) as shop:
        thread = await shop.thread(small_talk(150))
        await shop.indexed(thread)
        run = await shop.ask(thread, "What about week 30 in Turin?")
        assert run.status == "completed"
        first, second = (len(each.body) for each in upstream.received[-2:])
        assert second < first
    await provider.aclose()


def test_an_upstream_that_knows_marks_is_sent_one_at_the_end_of_what_stays() -> None:
    messages = (
        SystemMessage("Be kind."),
        UserMessage("One?"),
        AssistantMessage("Two."),
        ToolMessage("call_1", "three"),
        UserMessage("Four?"),
    )
    request = ModelRequest("m", messages, stable=4)
    sent = json.loads(body_of(request, Capabilities(cache_control=True), stream=False))["messages"]
    marked = [n for n, each in enumerate(sent) if isinstance(each["content"], list)]
    assert marked == [2]
    assert sent[2] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral"}}],
    }
    plain = body_of(request, Capabilities(), stream=False)
    assert b"cache_control" not in plain
    assert b"stable" not in plain


def _messages(body: bytes) -> list[bytes]:
    return [json.dumps(each).encode() for each in json.loads(body)["messages"]]


def _shared(first: list[Any], second: list[Any]) -> int:
    return next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first))
