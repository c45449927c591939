"""Which upstream answers for a name, and who steps in when it cannot."""

from collections.abc import AsyncIterator, Sequence

import pytest

from plugins.upstream import FakeUpstream, Reply, chunk, event
from providers.conftest import Make, asking, news_of, text_of
from respun.core.chat import Finished, ModelError, ModelErrorKind, ModelRequest, News, Provider, TextDelta
from respun.providers.route import Choice, OnFirstUse, Route, Router, Routes, Target


def route(pattern: str, *targets: str) -> Route:
    """`a` or `a=model`."""
    return Route(pattern, tuple(Target(name, model or None) for name, _, model in (t.partition("=") for t in targets)))


ROUTES = Routes(
    [
        route("*", "any"),
        route("gpt-*", "openai"),
        route("gpt-4o-*", "azure"),
        route("gpt-4o", "openai", "spare=llama3"),
        route("meta/*", "meta"),
    ]
)


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("gpt-4o", [Choice("openai", "gpt-4o"), Choice("spare", "llama3")]),
        ("gpt-4o-mini", [Choice("azure", "gpt-4o-mini")]),
        ("gpt-5", [Choice("openai", "gpt-5")]),
        ("openai/gpt-4o", [Choice("openai", "gpt-4o"), Choice("spare", "llama3")]),
        ("openai/gpt-5", [Choice("openai", "gpt-5")]),
        ("meta/llama", [Choice("meta", "meta/llama")]),
        ("qwen/qwen3", [Choice("any", "qwen/qwen3")]),
        ("GPT-4o", [Choice("any", "GPT-4o")]),
    ],
)
def test_the_most_particular_route_wins(name: str, choices: list[Choice]) -> None:
    assert list(ROUTES.choices(name)) == choices


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("house/llama", [Choice("house", "llama")]),
        ("house/gpt-4o", [Choice("house", "gpt-4o")]),
        ("openai/gpt-4o", [Choice("azure", "gpt-4o")]),
        ("azure/gpt-4o", [Choice("azure", "gpt-4o")]),
        ("openai/o9", [Choice("openai", "o9")]),
        ("house/fixed", [Choice("house", "qwen"), Choice("openai", "fixed")]),
        ("vendor/model", [Choice("any", "vendor/model")]),
        ("house/", [Choice("any", "house/")]),
    ],
)
def test_a_name_may_begin_with_its_upstream(name: str, choices: list[Choice]) -> None:
    routes = [route("*", "any"), route("gpt-*", "azure"), route("fixed", "house=qwen", "openai")]
    assert list(Routes(routes, ("any", "azure", "house", "openai")).choices(name)) == choices


def test_openais_vendor_is_left_out_where_everything_goes_one_way() -> None:
    assert Routes([route("*", "any")]).choices("openai/gpt-4o") == (Choice("any", "gpt-4o"),)


def test_without_a_rest_route_a_strange_name_has_no_choice() -> None:
    assert Routes([route("gpt-*", "a")]).choices("llama") == ()


class Says:
    """Answers with its name, or fails as told."""

    def __init__(
        self, name: str, fail: ModelErrorKind | None = None, after: str = "", models: Sequence[str] = ()
    ) -> None:
        self.name, self.fail, self.after, self.listed = name, fail, after, models
        self.asked: list[str] = []
        self.lists = 0
        self.closed = False

    async def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        self.asked.append(request.model)
        if self.after:
            yield [TextDelta(self.after)]
        if self.fail:
            raise ModelError(self.fail, f"{self.name} failed.", retry_after=3.0)
        yield []
        yield [TextDelta(f"{self.name}:{request.model}"), Finished("stop")]

    async def models(self) -> Sequence[str]:
        self.lists += 1
        if self.fail:
            raise ModelError(self.fail, f"{self.name} failed.")
        return self.listed

    async def aclose(self) -> None:
        self.closed = True


PASSED_ON: list[ModelErrorKind] = [
    "unreachable",
    "timeout",
    "broken",
    "rate_limited",
    "quota",
    "auth",
    "server",
    "unavailable",
]


@pytest.mark.parametrize("kind", PASSED_ON)
async def test_the_next_upstream_answers_for_one_that_cannot(kind: ModelErrorKind) -> None:
    first, second = Says("first", kind), Says("second")
    router = Router([route("small", "a", "b=other")], {"a": first, "b": second})
    assert text_of(await news_of(router, asking())) == "second:other"
    assert first.asked == ["small"]


@pytest.mark.parametrize("kind", ["rejected", "context_length"])
async def test_a_request_at_fault_is_not_passed_on(kind: ModelErrorKind) -> None:
    second = Says("second")
    router = Router([route("small", "a", "b")], {"a": Says("first", kind), "b": second})
    with pytest.raises(ModelError, match="first failed") as raised:
        await news_of(router, asking())
    assert (raised.value.kind, second.asked) == (kind, [])


async def test_after_the_first_news_nobody_else_is_asked() -> None:
    second = Says("second")
    router = Router([route("small", "a", "b")], {"a": Says("first", "server", after="Hel"), "b": second})
    seen: list[News] = []

    async def read() -> None:
        async for batch in router.stream(asking()):
            seen.extend(batch)

    with pytest.raises(ModelError, match="first failed"):
        await read()
    assert (text_of(seen), second.asked) == ("Hel", [])


async def test_when_all_fail_the_error_tells_of_all() -> None:
    router = Router([route("small", "a", "b")], {"a": Says("first", "auth"), "b": Says("second", "rate_limited")})
    with pytest.raises(ModelError) as raised:
        await news_of(router, asking())
    error = raised.value
    assert (error.kind, error.retry_after) == ("rate_limited", 3.0)
    assert error.message == "second failed. Tried before it: first failed."


async def test_a_name_that_nothing_serves_is_said_so_with_what_is_served() -> None:
    router = Router([route("gpt-*", "a"), route("tiny", "a")], {"a": Says("a")})
    with pytest.raises(ModelError) as raised:
        await news_of(router, asking())
    assert raised.value.kind == "unavailable"
    assert raised.value.message == "No upstream serves the model 'small'. Routes are set for: tiny, gpt-*."


def test_a_route_to_an_upstream_that_is_not_set_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="Route 'x' names the upstream 'b', which is not set"):
        Router([route("x", "b")], {"a": Says("a")})


async def test_a_factory_starts_its_provider_at_the_first_call_and_once() -> None:
    started: list[Says] = []

    async def start() -> Provider:
        started.append(Says("embedded"))
        return started[-1]

    router = Router([route("*", "local")], {"local": OnFirstUse(start)})
    assert await router.models() == []
    assert started == []
    assert text_of(await news_of(router, asking())) == "embedded:small"
    await news_of(router, asking())
    await router.aclose()
    assert len(started) == 1
    assert started[0].closed


async def test_a_factory_that_fails_is_passed_over_and_asked_again() -> None:
    tries: list[int] = []

    async def start() -> Provider:
        tries.append(1)
        if len(tries) == 1:
            raise ModelError("unavailable", "The embedded model does not fit in memory.")
        return Says("embedded")

    router = Router([route("*", "local", "spare")], {"local": OnFirstUse(start), "spare": Says("spare")})
    assert text_of(await news_of(router, asking())) == "spare:small"
    assert text_of(await news_of(router, asking())) == "embedded:small"


async def test_models_are_configured_names_and_what_upstreams_list() -> None:
    now = [0.0]
    openai, down = Says("openai", models=["gpt-5", "gpt-5", "dall-e"]), Says("down", "unreachable")
    routes = [route("tiny", "down"), route("gpt-*", "openai", "down=gpt-x"), route("*", "down")]
    router = Router(routes, {"openai": openai, "down": down}, clock=lambda: now[0])
    assert await router.models() == ["tiny", "gpt-5", "gpt-x"]
    await router.models()
    assert openai.lists == 1
    now[0] = 61.0
    openai.listed = ["gpt-6"]
    assert await router.models() == ["tiny", "gpt-6", "gpt-x"]
    openai.fail, now[0] = "server", 122.0
    assert await router.models() == ["tiny", "gpt-6", "gpt-x"]


async def test_a_dead_upstream_is_stepped_over_on_the_wire(provider_of: Make, upstream: FakeUpstream) -> None:
    dead = provider_of(base_url="http://127.0.0.1:9/v1", retries=0)
    router = Router([route("*", "dead", "alive")], {"dead": dead, "alive": provider_of()})
    assert text_of(await news_of(router, asking())) == "Hello world."


async def test_closing_a_routed_call_ends_it_upstream(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [Reply([event(chunk({"content": "a"})), "hang"])]
    stream = Router([route("*", "a")], {"a": provider_of()}).stream(asking())
    await anext(stream)
    await stream.aclose()
    await upstream.gone.wait()
