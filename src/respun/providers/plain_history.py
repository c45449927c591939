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
    outputs: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            name = names.get(message.tool_call_id, message.tool_call_id)
            outputs.append(f"The tool {name} answered:\n{message.content}")
            continue
        _tell(plain, outputs)
        match message:
            case AssistantMessage(content, tuple() as calls) if calls:
                names |= {call.id: call.function.name for call in calls}
                plain.append(AssistantMessage("\n".join([*([content] if content else []), *map(_written, calls)])))
            case _:
                plain.append(message)
    _tell(plain, outputs)
    return tuple(plain)


def with_outputs_in_front(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """The newest outputs told before the question that they are for: a small model answers what it reads last."""
    asked = next((n for n in range(len(messages) - 1, -1, -1) if isinstance(messages[n], UserMessage)), None)
    if asked is None:
        return tuple(messages)
    question = messages[asked]
    outputs = [message.content for message in messages[asked + 1 :] if isinstance(message, ToolMessage)]
    assert isinstance(question, UserMessage)
    if not outputs or not isinstance(question.content, str):
        return tuple(messages)
    return (*messages[:asked], UserMessage("\n\n".join((*outputs, question.content))))


def _tell(plain: list[ChatMessage], outputs: list[str]) -> None:
    if outputs:
        plain.append(UserMessage("\n\n".join(outputs)))
        outputs.clear()


def with_system(messages: Sequence[ChatMessage], text: str) -> tuple[ChatMessage, ...]:
    """The text at the end of the first system message: many small models read only one."""
    first = messages[0] if messages else None
    if isinstance(first, SystemMessage):
        return (SystemMessage(f"{first.content}\n\n{text}"), *messages[1:])
    return (SystemMessage(text), *messages)


def _written(call: ChatToolCall) -> str:
    name = msgspec.json.encode(call.function.name).decode()
    return f'{{"tool": {name}, "arguments": {call.function.arguments or "{}"}}}'
