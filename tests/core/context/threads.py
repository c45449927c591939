"""Threads made up for the tests, and how to fit and render them."""

from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from respun.core.chat import (
    AssistantMessage,
    CalledFunction,
    ChatMessage,
    ChatToolCall,
    ToolMessage,
    UserMessage,
)
from respun.core.context.fit import Ask, fit
from respun.core.context.languages import Language
from respun.core.context.memory import MemoryIndex, Said
from respun.core.context.selection import DoesNotFit, Selection, WindowState
from respun.core.context.strategies import Auto, DropMiddle, DropOldest, LastMessages, Strategy

T = TypeVar("T")

WORDS = [
    "apple",
    "bridge",
    "candle",
    "dragon",
    "engine",
    "forest",
    "garden",
    "harbor",
    "island",
    "jungle",
    "kettle",
    "ladder",
    "market",
    "needle",
]


def count(text: str) -> int:
    """A token for every four bytes."""
    return (len(text.encode()) + 3) // 4


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """An index in memory never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("waited")


def index_of(said: Iterable[Said], language: Language | None = None) -> MemoryIndex:
    return MemoryIndex(said, count, language)


def outcome(
    said: Iterable[Said] | MemoryIndex,
    budget: int,
    strategy: Strategy = Auto(),  # noqa: B008 frozen
    state: WindowState = WindowState(),  # noqa: B008 frozen
    query: str | None = None,
) -> Selection | DoesNotFit:
    index = said if isinstance(said, MemoryIndex) else index_of(said)
    return run(fit(Ask(budget, strategy, state, query), index))


def select(*given: Any, **named: Any) -> Selection:
    found = outcome(*given, **named)
    assert isinstance(found, Selection), found
    return found


def chat(said: Sequence[Said]) -> dict[int, ChatMessage]:
    """The messages as a model reads them; each tool result answers the nearest call before it."""
    messages: dict[int, ChatMessage] = {}
    call = ""
    for n, each in enumerate(said, 1):
        if each.role == "user":
            messages[n] = UserMessage(each.text)
        elif each.role == "tool":
            messages[n] = ToolMessage(call, each.text)
        elif each.calls:
            call = f"call_{n}"
            calls = (ChatToolCall(call, CalledFunction("look", "{}")),)
            messages[n] = AssistantMessage(each.text, calls)
        else:
            messages[n] = AssistantMessage(each.text)
    return messages


def small_talk(turns: int, length: int = 12) -> list[Said]:
    said = []
    for turn in range(turns):
        words = [WORDS[(turn * 7 + at * 3) % len(WORDS)] for at in range(length)]
        said.append(Said("user", f"Turn {turn}: what about the {' '.join(words)}?"))
        said.append(Said("assistant", f"On turn {turn} I say the {' '.join(reversed(words))}."))
    return said


texts = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=400).map(" ".join),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(". ".join),
    st.text(max_size=200),
    st.sampled_from(
        ["总是用中文回答。", "Always answer in French.", "```py\nx = 1\n```\n" * 30, "字" * 900, "x" * 3000]
    ),
)
turns = st.one_of(
    st.tuples(st.builds(Said, st.just("user"), texts, pinned=st.sampled_from([False, False, False, True]))),
    st.tuples(
        st.builds(Said, st.just("user"), texts, day=st.sampled_from(["", "2026-01-02", "2026-01-03"])),
        st.builds(Said, st.just("assistant"), texts),
    ),
    st.builds(
        lambda ask, texts, answer: (
            Said("user", ask),
            Said("assistant", "", calls=True),
            *(Said("tool", text) for text in texts),
            Said("assistant", answer),
        ),
        texts,
        st.lists(texts, min_size=1, max_size=5),
        texts,
    ),
)
threads = st.lists(turns, min_size=1, max_size=14).map(lambda turns: [said for turn in turns for said in turn])
strategies = st.one_of(
    st.builds(
        Auto,
        recall_share=st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]),
        window_keep=st.sampled_from([0.0, 0.5, 1.0]),
        fill=st.booleans(),
        pins=st.booleans(),
    ),
    st.builds(LastMessages, st.integers(1, 40)),
    st.just(DropMiddle()),
    st.just(DropOldest()),
)
