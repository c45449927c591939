"""Calls that go well, and what is sent."""


from providers.conftest import Make, asking, end_of, news_of, text_of
from respun.core.usage import Usage


async def test_an_answer_comes_as_text_and_ends_with_its_usage(provider_of: Make) -> None:
    news = await news_of(provider_of(), asking())
    assert text_of(news) == "Hello world."
    end = end_of(news)
    assert (end.reason, end.usage, end.model) == ("stop", Usage(11, 2), "fake-1")
