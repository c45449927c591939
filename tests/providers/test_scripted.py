"""The scripted model does what it is told."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.conftest import Sleeps, asking, batches_of, end_of, news_of, text_of
from respun.core.chat import (
    AssistantMessage,
    CalledFunction,
    ChatFunction,
    ChatTool,
    ChatToolCall,
    ModelError,
    ModelRequest,
    NamedFunction,
    NamedTool,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolMessage,
    UserMessage,
)
from respun.core.usage import Usage
from respun.providers.scripted import Rule, Scripted, pieces_of

TOOLS = (ChatTool(ChatFunction("look")), ChatTool(ChatFunction("listen")))


async def test_without_a_script_it_says_what_it_is_and_what_it_saw() -> None:
    news = await news_of(Scripted(), asking("How are you?", tools=TOOLS))
    expected = (
        'This is the scripted model, not a language model. You said: "How are you?" I saw 1 message and the tools '
    )
    assert text_of(news) == expected + "look, listen."
    end = end_of(news)
    assert end.usage is not None
    assert end.usage.prompt > 0
    assert end.usage.completion > 0
    assert news == await news_of(Scripted(), asking("How are you?", tools=TOOLS))


async def test_a_script_sets_text_pieces_delays_and_usage(sleeps: Sleeps) -> None:
    script = "@pieces 2\n@delay 0.5\n@say one two three\n@usage 7 3"
    batches = await batches_of(Scripted(sleep=sleeps), asking(script))
    assert batches[:-1] == [[TextDelta("one two")], [TextDelta(" three")]]
    assert sleeps.taken == [0.5, 0.5]
    assert end_of(batches[-1]).usage == Usage(7, 3)


async def test_calls_come_in_parallel_and_the_next_turn_follows_the_outputs() -> None:
    script = '@call look {"at": "the sky"}\n@call listen\n@then\n@say I saw it.'
    news = await news_of(Scripted(new_call_id=iter(["c1", "c2"]).__next__), asking(script, tools=TOOLS))
    starts = [each for each in news if isinstance(each, ToolCallDelta) and each.id]
    assert [(each.index, each.id, each.name) for each in starts] == [(0, "c1", "look"), (1, "c2", "listen")]
    arguments = "".join(each.arguments for each in news if isinstance(each, ToolCallDelta) and each.index == 0)
    assert arguments == '{"at": "the sky"}'
    assert end_of(news).reason == "tool_calls"
    called = AssistantMessage(tool_calls=(ChatToolCall("c1", CalledFunction("look", "{}")),))
    later = ModelRequest("m", (UserMessage(script), called, ToolMessage("c1", "blue")), tools=TOOLS)
    assert text_of(await news_of(Scripted(), later)) == "I saw it."


async def test_unscripted_outputs_are_reported() -> None:
    called = AssistantMessage(tool_calls=(ChatToolCall("c1", CalledFunction("look", "{}")),))
    later = ModelRequest("m", (UserMessage("@call look"), called, ToolMessage("c1", "blue")))
    assert text_of(await news_of(Scripted(), later)) == "The tools answered: c1 -> blue"


@pytest.mark.parametrize("choice", ["required", NamedTool(NamedFunction("listen"))])
async def test_a_demanded_tool_is_called_without_a_script(choice: Any) -> None:
    news = await news_of(Scripted(), asking(tools=TOOLS, tool_choice=choice))
    assert isinstance(news[0], ToolCallDelta)
    assert news[0].name == ("look" if choice == "required" else "listen")


async def test_thoughts_refusals_and_endings() -> None:
    news = await news_of(Scripted(), asking("@think hm\n@refuse No.\n@length\n@usage none"))
    assert news[:2] == [ReasoningDelta("hm"), RefusalDelta("No.")]
    assert (end_of(news).reason, end_of(news).usage) == ("length", None)
    assert end_of(await news_of(Scripted(), asking("@say x\n@filter"))).reason == "content_filter"


async def test_it_fails_as_told_after_what_it_said() -> None:
    stream = Scripted().stream(asking("@say Hel\n@fail rate_limited Slow down."))
    assert list(await anext(stream)) == [TextDelta("Hel")]
    with pytest.raises(ModelError, match=r"Slow down\.") as raised:
        await anext(stream)
    assert raised.value.kind == "rate_limited"


async def test_it_hangs_until_the_call_is_ended() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await news_of(Scripted(), asking("@hang"))


async def test_rules_go_by_model_and_text() -> None:
    model = Scripted([Rule("@say big", model="big-*"), Rule("@say weather", text=r"(?i)weather"), Rule("@repeat 3 ab")])
    assert text_of(await news_of(model, ModelRequest("big-1", (UserMessage("weather"),)))) == "big"
    assert text_of(await news_of(model, asking("The Weather?"))) == "weather"
    assert text_of(await news_of(model, asking("Hi"))) == "ababab"


@pytest.mark.parametrize("script", ["@jump", "@fail oddly", "@pieces x", "@delay x", "@usage 1", "@repeat 999999999 x"])
async def test_a_mistake_in_a_script_is_explained(script: str) -> None:
    with pytest.raises(ModelError, match="cannot read its script"):
        await news_of(Scripted(), asking(script))
    with pytest.raises(ValueError, match=r"no directive|no kind|no number|at most"):
        Scripted([Rule(script)])


@given(st.text(), st.integers(1, 5))
def test_pieces_make_up_the_text(text: str, words: int) -> None:
    assert "".join(pieces_of(text, words)) == text
