"""Write a selection as the messages that a model reads.

Instructions with what stands for ever, the window, then one labelled block of excerpts at the head of the newest
user message: what changes with every question stands last, so that two consecutive prompts begin alike. The block is
only in the prompt, never in the thread.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct, structs

from respun.core.chat import (
    AssistantMessage,
    ChatMessage,
    ChatToolCall,
    ContentPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from respun.core.context.clip import join
from respun.core.context.digest import digest_block
from respun.core.context.selection import Excerpt, Kept, Selection

RECALLED_HEADING: Final = "Earlier in this conversation (excerpts chosen by relevance; […] marks omitted text):"
RECALLED_END: Final = "End of the excerpts."
PINNED_HEADING: Final = "Said earlier in this conversation and still to be respected:"


class Prompt(Struct, frozen=True):
    """`stable` messages from the start are the same in the next prompt while the window's start is: cache them."""

    messages: tuple[ChatMessage, ...]
    stable: int


def text_of(message: ChatMessage) -> str:
    """The text that passages and spans count in: what an index must have read."""
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def render(
    selection: Selection,
    messages: Mapping[int, ChatMessage],
    instructions: str = "",
    query: UserMessage | None = None,
    digest: str = "",
) -> Prompt:
    """`messages` has those of `selection.positions()`; one that is gone by now is left out.

    `query`: the newest user message, where it is not one of the thread. `digest` is sent if the selection says so: it
    changes no more often than the window's start does, so it stands before the window.
    """
    before = [*_system(selection, messages, instructions, digest if selection.digest else "")]
    window = _window(selection, messages)
    newest = selection.newest
    block = _block(RECALLED_HEADING, selection.recalled, messages, RECALLED_END)
    place = next((at for at, (n, _) in enumerate(window) if n == newest), len(window))
    said = [message for _, message in window]
    if query is not None:
        said.append(query)
    if block:
        said[place : place + 1] = [_headed(block, said[place] if place < len(said) else None)]
    return Prompt((*before, *said), stable=len(before) + place)


def _system(
    selection: Selection, messages: Mapping[int, ChatMessage], instructions: str, digest: str
) -> Iterable[ChatMessage]:
    told = digest_block(digest) if digest else ""
    block = _block(PINNED_HEADING, selection.pinned, messages)
    content = "\n\n".join(piece for piece in (instructions, block, told) if piece)
    if content:
        yield SystemMessage(content)


def _window(selection: Selection, messages: Mapping[int, ChatMessage]) -> list[tuple[int, ChatMessage]]:
    kept = [each for each in selection.window if each.n in messages]
    written = [(each.n, _shortened(each, messages[each.n])) for each in kept]
    answered = _answered([message for _, message in written])
    return [(n, whole) for n, message in written if (whole := _paired(message, answered)) is not None]


def _shortened(kept: Kept, message: ChatMessage) -> ChatMessage:
    if kept.cleared and isinstance(message, ToolMessage):
        return ToolMessage(message.tool_call_id, f"[result of {kept.of} tokens cleared]")
    if kept.spans is None:
        return message
    return structs.replace(message, content=join(text_of(message), kept.spans))


def _answered(messages: Sequence[ChatMessage]) -> frozenset[str]:
    """Calls with a result right after them; a model refuses a prompt with one and not the other."""
    answered: set[str] = set()
    open_calls: set[str] = set()
    for message in messages:
        if isinstance(message, ToolMessage):
            answered |= open_calls & {message.tool_call_id}
        else:
            open_calls = {call.id for call in _calls(message)}
    return frozenset(answered)


def _calls(message: ChatMessage) -> tuple[ChatToolCall, ...]:
    if isinstance(message, AssistantMessage) and message.tool_calls is not UNSET:
        return message.tool_calls or ()
    return ()


def _paired(message: ChatMessage, answered: frozenset[str]) -> ChatMessage | None:
    """The message without calls that have no result, None if nothing is left of it."""
    if isinstance(message, ToolMessage):
        return message if message.tool_call_id in answered else None
    if not isinstance(message, AssistantMessage) or not message.tool_calls:
        return message
    calls = tuple(call for call in message.tool_calls if call.id in answered)
    if len(calls) == len(message.tool_calls):
        return message
    return AssistantMessage(message.content, calls or UNSET) if calls or message.content else None


def _block(heading: str, excerpts: Sequence[Excerpt], messages: Mapping[int, ChatMessage], end: str = "") -> str:
    lines = [heading]
    day = ""
    for each in excerpts:
        if each.n not in messages:
            continue
        if each.day and each.day != day:
            lines.append(each.day)
            day = each.day
        text = text_of(messages[each.n])
        lines.append(f"[#{each.n} {each.role}] {text if each.spans is None else join(text, each.spans)}")
    if len(lines) == 1:
        return ""
    return "\n".join([*lines, end] if end else lines)


def _headed(block: str, message: ChatMessage | None) -> UserMessage:
    """The user's message under the block; the block by itself where the user said nothing."""
    if not isinstance(message, UserMessage):
        return UserMessage(block)
    if isinstance(message.content, str):
        return UserMessage(f"{block}\n\n{message.content}")
    parts: tuple[ContentPart, ...] = (TextPart(block), *message.content)
    return UserMessage(parts)
