"""What the provider tests share: the fake upstream, and a provider in front of it that never really sleeps."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from plugins.upstream import FakeUpstream, upstream
from respun.core.chat import Finished, ModelRequest, News, Provider, TextDelta, UserMessage
from respun.providers.chat import ChatProvider
from respun.providers.upstream import Effects, Timeouts, Upstream

__all__ = ["upstream"]

KEY = "sk-test-4f9a8b7c6d5e4f3a2b1c"
QUICK = Timeouts(connect=2.0, first_byte=0.5, idle=0.3, total=60.0, listing=0.5)


@dataclass
class Sleeps:
    """Time that was slept in name only."""

    taken: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


Make = Callable[..., ChatProvider]


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
async def provider_of(upstream: FakeUpstream, sleeps: Sleeps) -> AsyncIterator[Make]:
    made: list[ChatProvider] = []
    ids = iter(range(1000))
    effects = Effects(
        sleep=sleeps, chance=lambda: 1.0, now=lambda: 1_000_000.0, new_call_id=lambda: f"made_{next(ids)}"
    )

    def make(**options: Any) -> ChatProvider:
        base = Upstream(base_url=upstream.base_url, api_key=KEY, timeouts=QUICK)
        provider = ChatProvider(replace(base, **options), effects)
        made.append(provider)
        return provider

    yield make
    for provider in made:
        await provider.aclose()


def asking(text: str = "Hi", **more: Any) -> ModelRequest:
    return ModelRequest("small", (UserMessage(text),), **more)


async def batches_of(provider: Provider, request: ModelRequest) -> list[list[News]]:
    return [list(batch) async for batch in provider.stream(request)]


async def news_of(provider: Provider, request: ModelRequest) -> list[News]:
    return [news for batch in await batches_of(provider, request) for news in batch]


def text_of(news: list[News]) -> str:
    return "".join(each.text for each in news if isinstance(each, TextDelta))


def end_of(news: list[News]) -> Finished:
    last = news[-1]
    assert isinstance(last, Finished)
    assert sum(isinstance(each, Finished) for each in news) == 1
    return last
