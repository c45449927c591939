"""What an upstream can do wrong, and what a caller then sees: a whole answer, or a `ModelError` that says what to do.

The scripts are those of the reliability plan; each is run against a streaming and an unstreamed provider where both
can meet it.
"""

import asyncio
import logging
import socket
import traceback
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from gzip import compress
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from plugins.upstream import (
    CUT,
    DONE,
    HANG,
    Act,
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
from providers.conftest import KEY, QUICK, Make, Sleeps, asking, end_of, news_of, text_of
from respun.core.chat import Finished, ModelError, News
from respun.providers.chat import ChatProvider
from respun.providers.upstream import Effects, Upstream

SHORT = replace(QUICK, total=0.4)
GOOD = streamed(*saying("Hello", " world."))
GOOD_WHOLE = whole({"content": "Hello world."})


async def error_of(provider: ChatProvider, seen: list[News] | None = None, **more: Any) -> ModelError:
    """The error of a call that must fail; news before it land in `seen`. No answer may both finish and fail."""
    news = [] if seen is None else seen

    async def read() -> None:
        async for batch in provider.stream(asking(**more)):
            news.extend(batch)

    with pytest.raises(ModelError) as raised:
        await read()
    assert not any(isinstance(each, Finished) for each in news)
    return raised.value


# --- statuses, before any answer

STATUSES = [
    (400, "rejected", 1),
    (401, "auth", 1),
    (402, "quota", 1),
    (403, "auth", 1),
    (404, "unavailable", 1),
    (408, "server", 3),
    (409, "server", 3),
    (422, "rejected", 1),
    (429, "rate_limited", 3),
    (500, "server", 3),
    (502, "server", 3),
    (503, "server", 3),
    (529, "server", 3),
]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("status", "kind", "attempts"), STATUSES)
async def test_a_status_becomes_an_error_and_only_passing_ones_are_tried_again(
    provider_of: Make, upstream: FakeUpstream, sleeps: Sleeps, status: int, kind: str, attempts: int, streaming: bool
) -> None:
    upstream.script = [refusal(status, "Something is off.")]
    error = await error_of(provider_of(streaming=streaming))
    assert (error.kind, error.status) == (kind, status)
    assert f"127.0.0.1:{upstream.port} (model small) answered {status}: Something is off." in error.message
    assert len(upstream.received) == attempts
    assert sleeps.taken == [0.5, 1.0][: attempts - 1]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("first", [408, 409, 429, 500, 503, 529])
async def test_an_upstream_that_recovers_gives_its_answer(
    provider_of: Make, upstream: FakeUpstream, first: int, streaming: bool
) -> None:
    upstream.script = [refusal(first), GOOD if streaming else GOOD_WHOLE]
    assert text_of(await news_of(provider_of(streaming=streaming), asking())) == "Hello world."


@pytest.mark.parametrize(
    ("headers", "slept"),
    [
        ({"Retry-After": "2"}, 2.0),
        ({"Retry-After": formatdate(1_000_000 + 7, usegmt=True)}, 7.0),
        ({"Retry-After": formatdate(5, usegmt=True)}, 0.0),
        ({"Retry-After": "2", "Retry-After-Ms": "40"}, 0.04),
        ({"Retry-After": "soon"}, 0.5),
        ({"Retry-After": "-4"}, 0.5),
        ({"Retry-After": "nan"}, 0.5),
    ],
)
async def test_the_wait_an_upstream_asks_for_is_kept(
    provider_of: Make, upstream: FakeUpstream, sleeps: Sleeps, headers: dict[str, str], slept: float
) -> None:
    upstream.script = [refusal(429, headers=headers), GOOD]
    await news_of(provider_of(), asking())
    assert sleeps.taken == [pytest.approx(slept)]


@pytest.mark.parametrize("absurd", ["1e9", "1000000000", "inf", formatdate(2_000_000_000)])
async def test_an_absurd_wait_is_capped(provider_of: Make, upstream: FakeUpstream, sleeps: Sleeps, absurd: str) -> None:
    upstream.script = [refusal(429, headers={"Retry-After": absurd}), GOOD]
    await news_of(provider_of(), asking())
    assert sleeps.taken == [30.0]


async def test_a_wait_beyond_the_deadline_is_not_begun(
    provider_of: Make, upstream: FakeUpstream, sleeps: Sleeps
) -> None:
    upstream.script = [refusal(429, headers={"Retry-After": "20"})]
    error = await error_of(provider_of(timeouts=SHORT))
    assert (error.kind, error.retry_after, sleeps.taken) == ("rate_limited", 20.0, [])


async def test_an_upstream_that_says_not_to_retry_is_obeyed(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [refusal(500, headers={"x-should-retry": "false"})]
    await error_of(provider_of())
    assert len(upstream.received) == 1


MARKED = {
    "OpenAI's context": (refusal(400, "This model's maximum", code="context_length_exceeded"), "context_length"),
    "llama.cpp's context": (
        refusal(
            400, "request (9000 tokens) exceeds", type="exceed_context_size_error", n_prompt_tokens=9000, n_ctx=4096
        ),
        "context_length",
    ),
    "vLLM's context": (
        refusal(400, "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens"),
        "context_length",
    ),
    "a full account": (refusal(429, "You exceeded your quota", code="insufficient_quota"), "quota"),
    "plain text": (Reply([b"the file limit is reached"], status=400, content_type="text/plain"), "rejected"),
    "a list": (
        Reply([b'[{"error":{"message":"odd","code":400}}]'], status=400, content_type="application/json"),
        "rejected",
    ),
    "FastAPI": (Reply([b'{"detail":[{"msg":"odd"}]}'], status=422, content_type="application/json"), "rejected"),
}


@pytest.mark.parametrize("how", MARKED)
async def test_what_an_upstream_means_is_recognised(provider_of: Make, upstream: FakeUpstream, how: str) -> None:
    reply, kind = MARKED[how]
    upstream.script = [reply]
    assert (await error_of(provider_of())).kind == kind
    assert len(upstream.received) == 1


async def test_a_context_that_is_too_long_is_put_in_numbers(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [MARKED["llama.cpp's context"][0]]
    message = (await error_of(provider_of())).message
    assert "the prompt has 9000 tokens, the model reads 4096" in message
    assert "Send fewer or shorter messages" in message


async def test_a_proxys_page_is_told_by_its_title(provider_of: Make, upstream: FakeUpstream) -> None:
    page = b"<html><head><title>502 Bad\nGateway</title></head><body>" + b"x" * 9000
    upstream.script = [Reply([page], status=502, content_type="text/html")]
    assert "answered 502: 502 Bad Gateway. Try again" in (await error_of(provider_of(retries=0))).message


async def test_an_endless_refusal_is_cut_short(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [Reply([b"x" * 65536] * 100, status=400, content_type="text/plain")]
    assert len((await error_of(provider_of())).message) < 600


async def test_a_redirect_is_not_followed(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [Reply([], status=307, headers={"Location": "/v1/elsewhere"})]
    error = await error_of(provider_of())
    assert "redirect (307), which is not followed" in error.message
    assert [each.path for each in upstream.received] == ["/v1/chat/completions"]


# --- connections


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def test_a_refused_connection_is_unreachable_after_its_retries(provider_of: Make, sleeps: Sleeps) -> None:
    error = await error_of(provider_of(base_url=f"http://127.0.0.1:{closed_port()}/v1"))
    assert error.kind == "unreachable"
    assert "Check its base_url" in error.message
    assert len(sleeps.taken) == 2


class NoNames(AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        raise OSError(-2, "Name or service not known")

    async def close(self) -> None: ...


async def test_a_name_without_an_address_is_said_to_have_none(sleeps: Sleeps) -> None:
    upstream = Upstream("http://models.example/v1", KEY, timeouts=QUICK)
    provider = ChatProvider(upstream, Effects(sleep=sleeps), lambda: aiohttp.TCPConnector(resolver=NoNames()))
    error = await error_of(provider)
    await provider.aclose()
    assert error.kind == "unreachable"
    assert "models.example (model small) cannot be reached: its name has no address." in error.message


async def test_plain_http_behind_https_is_a_tls_error(provider_of: Make) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await error_of(provider_of(base_url=f"https://127.0.0.1:{port}/v1"))
    assert error.kind == "unreachable"
    assert "TLS" in error.message


async def test_an_upstream_that_does_not_speak_http_is_unreachable(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [Reply([b"220 mail.example ESMTP\r\n"], raw=True)]
    assert (await error_of(provider_of())).kind == "unreachable"


# --- silence


@pytest.mark.parametrize("streaming", [True, False])
async def test_silence_before_the_answer_is_a_timeout(
    provider_of: Make, upstream: FakeUpstream, streaming: bool
) -> None:
    upstream.script = [Reply([HANG], raw=True)]
    error = await error_of(provider_of(streaming=streaming, retries=1, timeouts=SHORT))
    assert error.kind == "timeout"
    assert "did not answer within" in error.message


@pytest.mark.parametrize("streaming", [True, False])
async def test_silence_after_the_head_is_a_timeout(provider_of: Make, upstream: FakeUpstream, streaming: bool) -> None:
    upstream.script = [Reply([HANG], content_type="text/event-stream" if streaming else "application/json")]
    assert (await error_of(provider_of(streaming=streaming, retries=0, timeouts=SHORT))).kind == "timeout"


async def test_silence_in_mid_answer_is_a_timeout_that_is_not_retried(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [Reply([event(chunk({"content": "Hel"})), HANG])]
    seen: list[News] = []
    error = await error_of(provider_of(), seen)
    assert (error.kind, text_of(seen), len(upstream.received)) == ("timeout", "Hel", 1)
    assert "sent nothing more within 0.3 seconds" in error.message


async def test_a_slow_first_token_has_the_longer_limit(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [replace(GOOD, acts=[b": processing\n\n", Wait(0.1), *GOOD.acts])]
    provider = provider_of(timeouts=replace(QUICK, idle=0.05, first_byte=0.5))
    assert text_of(await news_of(provider, asking())) == "Hello world."


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_drip_of_single_bytes_ends_at_the_total_limit(
    provider_of: Make, upstream: FakeUpstream, streaming: bool
) -> None:
    drip: list[Act] = [act for at in range(100) for act in (b" ", Wait(0.03))]
    kind = "text/event-stream" if streaming else "application/json"
    upstream.script = [Reply([event(chunk({"content": "a"})) if streaming else b"{", *drip], content_type=kind)]
    started = asyncio.get_running_loop().time()
    error = await error_of(provider_of(streaming=streaming, timeouts=replace(QUICK, total=0.3)))
    assert error.kind == "timeout"
    assert asyncio.get_running_loop().time() - started < 1.5


async def test_an_upstream_that_forgets_to_hang_up_after_its_answer_is_not_waited_for_long(
    provider_of: Make, upstream: FakeUpstream
) -> None:
    upstream.script = [streamed(*saying("Hi"), done=False, tail=[HANG])]
    assert end_of(await news_of(provider_of(), asking())).reason == "stop"


# --- cuts

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENTS = b"".join(event(each) for each in saying("Hello", " world."))
STREAM_WIRE = HEAD % b"text/event-stream" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_EVENTS + DONE), _EVENTS + DONE)
_BODY = GOOD_WHOLE.acts[0]
assert isinstance(_BODY, bytes)
WHOLE_WIRE = HEAD % b"application/json" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("end", ["reset", "close"])
async def test_a_cut_at_any_byte_gives_the_whole_answer_or_an_error(
    provider_of: Make, upstream: FakeUpstream, streaming: bool, end: str
) -> None:
    wire = STREAM_WIRE if streaming else WHOLE_WIRE
    tail: list[Act] = [CUT] if end == "reset" else []
    provider = provider_of(streaming=streaming, retries=0)
    for at in range(len(wire)):
        upstream.script = [Reply([wire[:at], *tail], raw=True)]
        seen, failed = await seen_of(provider)
        if failed is None:
            assert (text_of(seen), end_of(seen).reason) == ("Hello world.", "stop"), at
        else:
            assert failed in ("unreachable", "broken"), at


async def seen_of(provider: ChatProvider) -> tuple[list[News], str | None]:
    """The news of a call that may fail, and the kind of its error."""
    try:
        return await news_of(provider, asking()), None
    except ModelError as error:
        return [], error.kind


async def test_a_cut_before_the_first_news_is_tried_again(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [Reply([event(chunk({"role": "assistant", "content": ""})), Wait(0.02), CUT]), GOOD]
    assert text_of(await news_of(provider_of(), asking())) == "Hello world."


async def test_a_cut_after_the_first_news_is_not(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [Reply([event(chunk({"content": "Hel"})), Wait(0.02), CUT]), GOOD]
    seen: list[News] = []
    error = await error_of(provider_of(), seen)
    assert (error.kind, text_of(seen), len(upstream.received)) == ("broken", "Hel", 1)


async def test_any_split_of_the_bytes_gives_the_same_answer(provider_of: Make, upstream: FakeUpstream) -> None:
    stream = "".join(event(each, "\r\n").decode() for each in saying("H\u00e9llo \U0001f642")).encode() + DONE
    provider = provider_of()
    for at in range(1, len(stream), 3):
        upstream.script = [Reply([stream[:at], Wait(0), stream[at:]])]
        assert text_of(await news_of(provider, asking())) == "H\u00e9llo \U0001f642", at


# --- answers that are not what the protocol says; None: the answer is whole all the same

ODD: dict[str, tuple[Callable[[], Reply], str | None]] = {
    "CRLF": (lambda: Reply([event(each, "\r\n") for each in saying("Hi")] + [DONE]), None),
    "CR": (lambda: Reply([event(each, "\r") for each in saying("Hi")] + [DONE]), None),
    "BOM": (lambda: Reply([b"\xef\xbb", b"\xbf", *(event(each) for each in saying("Hi")), DONE]), None),
    "comments": (lambda: Reply([x for each in saying("Hi") for x in (b": ping\n\n", event(each))] + [DONE]), None),
    "no [DONE]": (lambda: streamed(*saying("Hi"), done=False), None),
    "[DONE] twice": (lambda: streamed(*saying("Hi"), tail=[DONE]), None),
    "rubbish after [DONE]": (lambda: streamed(*saying("Hi"), tail=[b"data: {]\n\n"]), None),
    "reset after [DONE]": (lambda: streamed(*saying("Hi"), tail=[Wait(0.02), CUT]), None),
    "no role": (lambda: streamed(chunk({"content": "Hi"}), chunk({}, "stop")), None),
    "no finish reason, but [DONE]": (lambda: streamed(*saying("Hi", finish=None)), None),
    "no finish reason, no [DONE]": (lambda: streamed(*saying("Hi", finish=None), done=False), "broken"),
    "empty finish reasons": (lambda: streamed(chunk({"content": "Hi"}, ""), chunk({}, "stop")), None),
    "empty choices": (lambda: streamed({"choices": []}, *saying("Hi"), {"choices": None}, {}), None),
    "another choice": (
        lambda: streamed({"choices": [{"index": 1, "delta": {"content": "No"}}]}, *saying("Hi")),
        None,
    ),
    "bad UTF-8": (lambda: Reply([b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', *GOOD.acts]), None),
    "invalid JSON": (lambda: Reply([b'data: {"choices": [}\n\n', *GOOD.acts]), "broken"),
    "not an object": (lambda: Reply([b"data: 7\n\n", *GOOD.acts]), "broken"),
    "deep JSON": (lambda: Reply([b"data: " + b"[" * 100_000 + b"\n\n", *GOOD.acts]), "broken"),
    "a 1 MB line": (lambda: streamed(*saying("x" * (1 << 20))), None),
    "a line beyond the cap": (lambda: streamed(*saying("x" * (1 << 21))), "broken"),
    "nothing but [DONE]": (lambda: streamed(), "broken"),
    "nothing at all": (lambda: Reply([]), "broken"),
    "compressed, though it was asked not to": (
        lambda: Reply([compress(b"".join(map(event, saying("Hi"))) + DONE)], headers={"Content-Encoding": "gzip"}),
        None,
    ),
    "not compressed, though it says so": (lambda: replace(GOOD, headers={"Content-Encoding": "gzip"}), "broken"),
    "an encoding that nobody knows": (lambda: replace(GOOD, headers={"Content-Encoding": "dust"}), None),
    "usage without choices": (
        lambda: streamed(*saying("Hi"), {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
        None,
    ),
    "an error object": (lambda: streamed({"error": {"message": "ran out of memory"}}), "server"),
    "an error text": (lambda: streamed({"error": "ran out of memory"}), "server"),
    "an overloaded error": (lambda: streamed({"error": {"message": "slow down", "code": 429}}), "rate_limited"),
    "a context error": (
        lambda: streamed({"error": {"message": "x", "code": "context_length_exceeded"}}),
        "context_length",
    ),
    "a failed finish": (lambda: streamed(*saying("Hi", finish="error")), "broken"),
    "a call without a name": (
        lambda: streamed(*calling({"index": 0, "id": "a", "function": {"arguments": "{}"}})),
        "broken",
    ),
    "HTML with status 200": (lambda: Reply([b"<html>hi</html>"], content_type="text/html"), "broken"),
    "50 MB": (lambda: streamed(*[chunk({"content": "x" * 500_000})] * 100), "broken"),
}


@pytest.mark.parametrize("how", ODD)
async def test_an_odd_stream_gives_its_text_or_an_error(provider_of: Make, upstream: FakeUpstream, how: str) -> None:
    make, kind = ODD[how]
    upstream.script = [make()]
    provider = provider_of(retries=0, max_event=3 << 19, max_answer=8 << 20, timeouts=replace(QUICK, total=5, idle=2))
    if kind is not None:
        assert (await error_of(provider)).kind == kind
        return
    news = await news_of(provider, asking())
    assert text_of(news)
    assert end_of(news).reason == "stop"


ODD_WHOLE = {
    "cut JSON": (Reply([b'{"choices": ['], content_type="application/json"), "broken"),
    "not JSON": (Reply([b"Hello"], content_type="text/plain"), "broken"),
    "empty": (Reply([], content_type="application/json"), "broken"),
    "no choices": (Reply([b"{}"], content_type="application/json"), "broken"),
    "an error object": (Reply([b'{"error":{"message":"no"}}'], content_type="application/json"), "server"),
    "too long": (whole({"content": "x" * (9 << 20)}), "broken"),
}


@pytest.mark.parametrize("how", ODD_WHOLE)
async def test_an_odd_whole_answer_is_an_error(provider_of: Make, upstream: FakeUpstream, how: str) -> None:
    upstream.script = [ODD_WHOLE[how][0]]
    error = await error_of(
        provider_of(streaming=False, retries=0, max_answer=8 << 20, timeouts=replace(QUICK, total=5))
    )
    assert error.kind == ODD_WHOLE[how][1]


async def test_an_error_object_after_news_ends_the_call(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [streamed(chunk({"content": "Hel"}), {"error": {"message": "worker died", "code": 503}})]
    upstream.script = [Reply([upstream.script[0].acts[0], Wait(0.02), *upstream.script[0].acts[1:]])]
    seen: list[News] = []
    error = await error_of(provider_of(), seen)
    assert (error.kind, text_of(seen)) == ("server", "Hel")
    assert "worker died" in error.message


# --- the key


def everything_in(error: BaseException | None) -> str:
    """All that a log or a tracker could show of an exception, with the values of every frame's variables."""
    if error is None:
        return ""
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return "\n".join(
        [
            shown,
            repr(error),
            str(error),
            repr(vars(error)),
            everything_in(error.__cause__),
            everything_in(error.__context__),
        ]
    )


LEAKS: dict[str, Reply] = {
    "echoed key": refusal(401, f"Incorrect API key provided: {KEY}. Find yours elsewhere."),
    "echoed header": refusal(400, f"Bad header Authorization: Bearer {KEY}"),
    "other keys": refusal(400, "Keys sk-proj-abcdefghijklmnop1234 and AIzaSyA1234567890abcdefg are wrong"),
    "in the stream": streamed({"error": {"message": f"key {KEY}"}}),
    "in broken JSON": Reply([f'data: {{"{KEY}": }}\n\n'.encode()]),
    "not HTTP": Reply([f"{KEY}\r\n\r\n".encode()], raw=True),
    "cut": Reply([CUT], raw=True),
    "hang": Reply([HANG], raw=True),
    "redirect": Reply([], status=302, headers={"Location": f"http://127.0.0.1:1/?key={KEY}"}),
}


@pytest.mark.parametrize("how", LEAKS)
async def test_no_key_shows_in_errors_logs_or_reprs(
    provider_of: Make, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream.script = [LEAKS[how]]
    provider = provider_of(retries=1, headers={"X-Other": "quite-another-secret"})
    error = await error_of(provider)
    shown = everything_in(error) + caplog.text + repr(provider) + repr(provider.upstream) + repr(vars(provider))
    assert "".join(each.headers.get("authorization", "") for each in upstream.received).count(KEY) in (1, 2)
    for secret in (KEY, "quite-another-secret", "abcdefghijklmnop1234", "SyA1234567890abcdefg"):
        assert secret not in shown


async def test_a_base_url_keeps_its_password_to_itself(sleeps: Sleeps) -> None:
    upstream = Upstream(f"http://me:hidden-word@127.0.0.1:{closed_port()}/v1", timeouts=QUICK)
    provider = ChatProvider(upstream, Effects(sleep=sleeps))
    error = await error_of(provider)
    await provider.aclose()
    assert "hidden-word" not in everything_in(error) + repr(provider)


@pytest.mark.parametrize("wrong", ["", "api.example.com/v1", "ftp://x/v1", "http://"])
def test_a_base_url_that_is_none_is_refused_at_once(wrong: str) -> None:
    with pytest.raises(ValueError, match="base_url must look like"):
        Upstream(wrong)


def test_pauses_grow_and_differ_by_chance() -> None:
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    async def fail(chance: float) -> None:
        upstream = Upstream(f"http://127.0.0.1:{closed_port()}/v1", retries=7)
        provider = ChatProvider(upstream, Effects(sleep=sleep, chance=lambda: chance))
        await error_of(provider)
        await provider.aclose()

    asyncio.run(fail(1.0))
    assert taken == [0.5, 1, 2, 4, 8, 8, 8]
    taken.clear()
    asyncio.run(fail(0.0))
    assert taken == [0.25, 0.5, 1, 2, 4, 4, 4]
