"""Whatever an upstream does wrong, the run is retried or fails with a reason, and its thread can be used again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from engine.world import TOOLS, World, world
from plugins.upstream import (
    CUT,
    DONE,
    HANG,
    FakeUpstream,
    Reply,
    calling,
    chunk,
    event,
    refusal,
    saying,
    streamed,
    upstream,
)
from providers.conftest import KEY, QUICK, Sleeps
from respun.providers.chat import ChatProvider
from respun.providers.upstream import Effects, Upstream

__all__ = ["upstream"]

GOOD = streamed(*saying("Hello", " world."))
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"at":'}}
HALF = [event(chunk({"role": "assistant", "content": "Half"}))]

# What comes before any answer, and is over when it is asked again.
RETRIED = {
    "500": [refusal(500)],
    "503 twice": [refusal(503), refusal(503)],
    "529": [refusal(529)],
    "429 with a time": [refusal(429, headers={"Retry-After": "1"})],
    "408": [refusal(408)],
    "cut before an answer": [Reply([CUT], raw=True)],
    "cut in the head": [Reply([b"HTTP/1.1 200 OK\r\nContent-", CUT], raw=True)],
}
# What can't be mended: by its nature, or because something was shown.
FAILED = {
    "400": [refusal(400)],
    "401": [refusal(401)],
    "404": [refusal(404)],
    "500 for ever": [refusal(500)] * 9,
    "429 for ever": [refusal(429)] * 9,
    "429 with an absurd time": [refusal(429, headers={"Retry-After": "1000000000"})] * 9,
    "silence": [Reply([HANG])] * 9,
    "silence in mid-answer": [Reply([*HALF, HANG])],
    "cut in mid-answer": [Reply([*HALF, CUT])],
    "cut in mid-frame": [Reply([*HALF, b'data: {"choices": [{"del', CUT])],
    "end without an end": [Reply(HALF)],
    "garbage in the stream": [Reply([*HALF, b"data: {not json}\n\n"])],
    "garbage instead of a stream": [Reply([b"<html>busy</html>"], content_type="text/html")] * 9,
    "an error inside the stream": [Reply([*HALF, event({"error": {"message": "overloaded", "type": "server_error"}})])],
    "cut in a call": [Reply([event(chunk({"tool_calls": [CALL]})), CUT])],
    "filtered": [streamed(*saying("Half", finish="content_filter"))],
}


@pytest_asyncio.fixture
async def faulty(tmp_path: Path, upstream: FakeUpstream) -> AsyncIterator[World]:
    effects = Effects(sleep=Sleeps(), chance=lambda: 1.0, now=lambda: 1_000_000.0, new_call_id=lambda: "made_1")
    provider = ChatProvider(Upstream(base_url=upstream.base_url, api_key=KEY, timeouts=QUICK), effects)
    async with world(str(tmp_path / "data"), model=provider) as here:
        yield here
    await provider.aclose()


@pytest.mark.parametrize("replies", RETRIED.values(), ids=RETRIED)
async def test_what_passes_is_tried_again(faulty: World, upstream: FakeUpstream, replies: list[Reply]) -> None:
    upstream.script = [*replies, GOOD]
    run = await faulty.ended(await faulty.start("Hi"))
    assert (run.status, run.last_error) == ("completed", None)
    assert [message.text for message in await faulty.answers(run)] == ["Hello world."]


@pytest.mark.parametrize("replies", FAILED.values(), ids=FAILED)
async def test_what_lasts_fails_the_run_with_a_reason(
    faulty: World, upstream: FakeUpstream, replies: list[Reply]
) -> None:
    upstream.script = list(replies)
    run = await faulty.ended(await faulty.start("Hi"))
    assert run.status == "failed"
    assert run.last_error is not None
    assert len(run.last_error.message) > 10
    assert KEY not in run.last_error.message
    for message in await faulty.answers(run):
        assert message.status == "incomplete"
    assert all(step.status != "in_progress" for step in await faulty.steps(run))
    upstream.script = [GOOD]
    assert (await faulty.ended(await faulty.start("Again", run.thread))).status == "completed"


async def test_calls_that_end_with_a_wrong_reason_are_calls(faulty: World, upstream: FakeUpstream) -> None:
    whole_call = {**CALL, "function": {"name": TOOLS[0].function.name, "arguments": "{}"}}
    upstream.script = [streamed(*calling(whole_call, finish="stop")), GOOD]
    waiting = await faulty.reached(await faulty.start("Hi"), "requires_action")
    await faulty.submit(waiting)
    assert (await faulty.ended(waiting)).status == "completed"


async def test_an_answer_in_the_smallest_pieces_is_whole(faulty: World, upstream: FakeUpstream) -> None:
    raw = b"".join(event(each) for each in saying("Grüße", " 🌍")) + DONE
    upstream.script = [Reply([raw[at : at + 1] for at in range(len(raw))])]
    run = await faulty.ended(await faulty.start("Hi"))
    assert [message.text for message in await faulty.answers(run)] == ["Grüße 🌍"]
