"""From records to what a model is sent: messages of the thread, turns of the run, tools and choices."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from respun.core import chat
from respun.core.assistants import (
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    ResponseFormat,
)
from respun.core.recall import told
from respun.core.runs import NamedToolChoice, Plan, Run, Step
from respun.core.threads import ImageFile, ImageLink, Message, Refusal, Text


def of_message(message: Message) -> chat.ChatMessage | None:
    """None for what says nothing: an empty or unfinished message."""
    if message.role == "assistant":
        text = message.text
        return chat.AssistantMessage(text) if text and message.status != "in_progress" else None
    if not any(isinstance(part, ImageLink | ImageFile) for part in message.content):
        return chat.UserMessage(message.text)
    return chat.UserMessage(tuple(_part(part) for part in message.content if not isinstance(part, Refusal)))


def instructions(plan: Plan) -> str:
    """The assistant's, and what it remembers."""
    use = plan.memory
    remembered = told([each.text for each in use.recalled], cite=use.cite) if use.recalled else ""
    return "\n\n".join(part for part in (plan.instructions, remembered) if part)


def of_steps(steps: Iterable[Step], texts: dict[str, str]) -> list[chat.ChatMessage]:
    """The turns of a run so far: what the model said (`texts` by message id), asked for and was told."""
    turns: list[chat.ChatMessage] = []
    said: dict[int, str] = {}
    for step in steps:
        if step.message is not None:
            # A message that a worker's end cut off is written again: the model must not go on from its half.
            if step.status == "completed" and (text := texts.get(step.message)):
                said[step.turn] = text
                turns.append(chat.AssistantMessage(text))
        elif step.calls and step.status == "completed":
            if step.turn in said:
                turns.pop()
            turns.append(asked(step, said.get(step.turn)))
            turns += [chat.ToolMessage(call.id, call.output or "") for call in step.calls]
    return turns


def request(
    run: Run, messages: Sequence[chat.ChatMessage], hosted: tuple[chat.ChatTool, ...] = ()
) -> chat.ModelRequest:
    """`hosted`: how our own tools are offered, behind the caller's functions."""
    plan = run.plan
    offered = (*tools(run), *hosted)
    left = plan.max_completion_tokens
    return chat.ModelRequest(
        model=plan.model,
        messages=tuple(messages),
        tools=offered,
        tool_choice=_choice(run) if offered else None,
        parallel_tool_calls=plan.parallel_tool_calls if offered and not plan.parallel_tool_calls else None,
        response_format=_format(plan.response_format),
        temperature=plan.temperature,
        top_p=plan.top_p,
        reasoning_effort=plan.reasoning_effort,
        max_completion_tokens=left - run.usage.completion if left else None,
        prompt_cache_key=run.thread,
    )


def tools(run: Run) -> tuple[chat.ChatTool, ...]:
    return tuple(_tool(tool) for tool in run.plan.tools if isinstance(tool, FunctionTool))


def merged(messages: Iterable[chat.ChatMessage]) -> list[chat.ChatMessage]:
    """What a model said before it called tools, and the calls, as the one message that they were."""
    whole: list[chat.ChatMessage] = []
    for message in messages:
        last = whole[-1] if whole else None
        if (
            isinstance(message, chat.AssistantMessage)
            and message.content is None
            and isinstance(last, chat.AssistantMessage)
            and not last.tool_calls
        ):
            whole[-1] = chat.AssistantMessage(last.content, message.tool_calls)
        else:
            whole.append(message)
    return whole


def asked(step: Step, text: str | None) -> chat.AssistantMessage:
    calls = tuple(chat.ChatToolCall(call.id, chat.CalledFunction(call.name, call.arguments)) for call in step.calls)
    return chat.AssistantMessage(text, calls)


def _part(part: Text | ImageLink | ImageFile) -> chat.ContentPart:
    match part:
        case Text(value=value):
            return chat.TextPart(value)
        case ImageLink(url=url, detail=detail):
            return chat.ImagePart(chat.ImageUrl(url, detail))
        case ImageFile(file=file, detail=detail):
            return chat.ImageFilePart(file, detail)


def _tool(tool: FunctionTool) -> chat.ChatTool:
    function = tool.function
    return chat.ChatTool(
        chat.ChatFunction(function.name, function.description, function.parameters, function.strict or None)
    )


def _choice(run: Run) -> chat.ToolChoice | None:
    """A forced call is forced once: asked again every turn, it would never let the model answer."""
    choice = run.plan.tool_choice
    if choice == "none":
        return "none"
    if choice == "auto" or run.turn:
        return None
    if isinstance(choice, NamedToolChoice):
        return chat.NamedTool(chat.NamedFunction(choice.function or choice.kind))
    return choice


def _format(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    match wanted:
        case JsonObjectFormat() | JsonSchemaFormat():
            built: dict[str, Any] = msgspec.to_builtins(wanted)
            return built
        case _:
            return None
