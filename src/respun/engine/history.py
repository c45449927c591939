"""What a model reads of a thread, in order: its messages, and before each answer the tool calls that led to it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from msgspec import Struct

from respun.core import chat
from respun.core.context.memory import Said
from respun.core.context.passages import Count
from respun.core.context.recent import tokens_of
from respun.core.context.render import text_of
from respun.core.context.score import FRAME_TOKENS
from respun.core.context.thread import Role
from respun.core.runs import Step
from respun.core.threads import ImageFile, ImageLink, Message
from respun.engine import prompt
from respun.store import contexts, messages
from respun.store.backend import Tx
from respun.store.contexts import Known, Source
from respun.store.thread_index import text_of_step

IMAGE_TOKENS: Final = 800
_NAME_TOKENS: Final = 8
"""Of a call: its name and id."""
_PAGE: Final = 50
_ABOVE_ALL: Final = 1 << 62


class Item(Struct, frozen=True):
    """One thing a model reads. `source` and `part` say where it is stored (`store.contexts.Entry`).

    `position` is the message's to which it belongs, 0 if that is not stored yet.
    """

    source: str
    part: int
    position: int
    message: chat.ChatMessage
    said: Said


class Newest(Struct, frozen=True):
    """The newest items, oldest first, each with its tokens; between the index and them are `missing` messages."""

    items: tuple[Item, ...]
    tokens: tuple[int, ...]
    missing: int = 0


async def read_newest(
    tx: Tx, thread: str, run: str, drafts: Sequence[Message], known: Known | None, count: Count, room: int
) -> Newest:
    """Back to where the index ends, or until `room` tokens are passed.

    `drafts` are messages of the run that may not be stored yet. What the run itself said is left out. Where a whole
    thread fits, what there is to read is what there is to send; else this ends at the budget, however long the thread.
    """
    end = known.upto if known else 0
    if known and drafts:
        indexed = await contexts.stored_below(tx, [draft.id for draft in drafts], end)
        drafts = [draft for draft in drafts if draft.id not in indexed]
    found = [item for draft in reversed(drafts) for item in _items(draft, {})]
    tokens = [tokens_of(item.said, count) for item in found]
    spent, below = sum(tokens), _ABOVE_ALL
    seen = {draft.id for draft in drafts}
    while spent <= room:
        page = await messages.newest(tx, thread, below, _PAGE, end)
        read = await read_items(tx, [each for each in page if each.id not in seen and each.run != run])
        costs = [tokens_of(item.said, count) for item in read]
        found += reversed(read)
        tokens += reversed(costs)
        spent += sum(costs)
        if len(page) < _PAGE:
            return Newest(tuple(found[::-1]), tuple(tokens[::-1]))
        below = page[-1].position
    return Newest(tuple(found[::-1]), tuple(tokens[::-1]), max(0, below - end - 1))


async def read_items(tx: Tx, page: Iterable[Message]) -> list[Item]:
    """The items of these messages, in the order of the thread."""
    ordered = sorted(page, key=lambda message: message.position)
    steps = await contexts.steps_of_runs(tx, {message.run for message in ordered if message.run})
    return [item for message in ordered for item in _items(message, steps)]


class Loaded(Struct, frozen=True):
    """What entries of the index are to a model, and the ids of their messages or steps; absent are those gone."""

    messages: Mapping[int, chat.ChatMessage]
    names: Mapping[int, str]


async def load_entries(tx: Tx, known: Known, ns: Iterable[int]) -> Loaded:
    wanted = await contexts.sources(tx, known, [n for n in ns if n <= known.last])
    there = await contexts.texts(tx, wanted)
    loaded: dict[int, chat.ChatMessage] = {}
    for source in wanted:
        if source.source in there.messages:
            shown = prompt.of_message(there.messages[source.source])
            if shown is not None:
                loaded[source.n] = shown
        elif source.source in there.steps:
            loaded[source.n] = _of_step(there.steps[source.source], source)
    return Loaded(loaded, {source.n: source.source for source in wanted})


def _of_step(step: Step, source: Source) -> chat.ChatMessage:
    if source.part:
        return chat.ToolMessage(step.calls[source.part - 1].id, text_of_step(step, source))
    return prompt.asked(step, None)


def _items(message: Message, steps: Mapping[str, Sequence[Step]]) -> list[Item]:
    shown = prompt.of_message(message)
    items = [
        item
        for step in _calls_before(message, steps.get(message.run or "", ()))
        for item in _step_items(step, message.position)
    ]
    if shown is not None:
        items.append(Item(message.id, 0, message.position, shown, _said(message)))
    return items


def _calls_before(message: Message, steps: Sequence[Step]) -> list[Step]:
    """The steps of calls between the run's message before and this one."""
    before: list[Step] = []
    for step in steps:
        if step.message == message.id:
            return before
        if step.message is not None:
            before = []
        elif step.calls and step.status == "completed":
            before.append(step)
    return []


def _step_items(step: Step, position: int) -> list[Item]:
    asked = prompt.asked(step, None)
    cost = sum(len(call.arguments.encode()) // 4 + _NAME_TOKENS for call in step.calls)
    calls = Item(step.id, 0, position, asked, Said("assistant", "", calls=True, day=_day(step.created_at), beside=cost))
    results = [
        Item(
            step.id,
            part,
            position,
            chat.ToolMessage(call.id, call.output or ""),
            Said("tool", call.output or "", day=_day(step.created_at)),
        )
        for part, call in enumerate(step.calls, 1)
    ]
    return [calls, *results]


def _said(message: Message) -> Said:
    role: Role = message.role
    images = sum(isinstance(part, ImageFile | ImageLink) for part in message.content)
    return Said(
        role,
        message.text,
        pinned=contexts.is_pinned(message),
        day=_day(message.created_at),
        beside=images * IMAGE_TOKENS,
    )


def cost_of(message: chat.ChatMessage, count: Count) -> int:
    """What any message costs in a prompt."""
    calls = message.tool_calls if isinstance(message, chat.AssistantMessage) and message.tool_calls else ()
    asked = sum(len(call.function.arguments.encode()) // 4 + _NAME_TOKENS for call in calls)
    parts = message.content if isinstance(message.content, tuple) else ()
    images = sum(isinstance(part, chat.ImagePart | chat.ImageFilePart) for part in parts)
    return count(text_of(message)) + FRAME_TOKENS + asked + images * IMAGE_TOKENS


def _day(at: float) -> str:
    return _date(int(at // 86_400))


@lru_cache
def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
