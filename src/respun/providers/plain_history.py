"""Tell a conversation with tool calls to a model that knows none: calls and their outputs become plain messages.

Pure.
"""

from collections.abc import Sequence

import msgspec

from respun.core.chat import (
    AssistantMessage,
    ChatMessage,
    ChatToolCall,
    SystemMessage,
    ToolMessage,
    UserMessage,
)


def in_plain_words(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """A call is shown as the JSON the model answers with, an output as a user's message; roles still alternate."""
    names: dict[str, str] = {}
    plain: list[ChatMessage] = []
    for message in messages:
        match message:
            case AssistantMessage(content, tuple() as calls) if calls:
                names |= {call.id: call.function.name for call in calls}
                said = [content] if content else []
                plain.append(AssistantMessage("\n".join([*said, *map(_written, calls)])))
            case ToolMessage(ident, content):
                _add_output(plain, f"The tool {names.get(ident, ident)} answered:\n{content}", ident in names)
            case _:
                plain.append(message)
    return tuple(plain)


def with_system(messages: Sequence[ChatMessage], text: str) -> tuple[ChatMessage, ...]:
    """The text at the end of the first system message: many small models read only one."""
    first = messages[0] if messages else None
    if isinstance(first, SystemMessage):
        return (SystemMessage(f"{first.content}\n\n{text}"), *messages[1:])
    return (SystemMessage(text), *messages)


def _written(call: ChatToolCall) -> str:
    name = msgspec.json.encode(call.function.name).decode()
    return f'{{"tool": {name}, "arguments": {call.function.arguments or "{}"}}}'


def _add_output(plain: list[ChatMessage], text: str, known: bool) -> None:
    last = plain[-1] if plain else None
    if (
        known
        and isinstance(last, UserMessage)
        and isinstance(last.content, str)
        and last.content.startswith("The tool ")
    ):
        plain[-1] = UserMessage(f"{last.content}\n\n{text}")
    else:
        plain.append(UserMessage(text))
