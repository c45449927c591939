"""Tool calls for models that know none, through an answer that is held to a JSON schema.

The tools are told in the system text; the answer is one object, `{"tool": ..., "arguments": ...}` or
`{"reply": ...}`, which the upstream's `response_format` enforces. A reply is streamed as it is written. One call a
turn: that is what models of this kind can do.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import uuid4

import msgspec

from respun.core.chat import (
    ChatTool,
    Finished,
    JsonSchema,
    ModelError,
    ModelRequest,
    NamedTool,
    News,
    Provider,
    TextDelta,
    ToolCallDelta,
)
from respun.core.ids import spell
from respun.providers.json_turn import TurnReader
from respun.providers.plain_history import in_plain_words, with_outputs_in_front, with_system
from respun.providers.route import Closes, HasAddress, ListsModels, TellsWindows

Mode = Literal["full", "directed"]
"""`directed` is for models too small to decide: a tool is called when the caller demands one, never by `auto`."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """A request without tools; `names` are the tools the answer may call, none where it is plain text."""

    request: ModelRequest
    names: frozenset[str] = frozenset()
    may_reply: bool = True


class SchemaTools:
    """A Provider around one that has no tools. Requests without tools pass through."""

    def __init__(
        self,
        provider: Provider,
        mode: Mode = "full",
        new_call_id: Callable[[], str] = lambda: spell("call", uuid4()),
    ) -> None:
        self._provider = provider
        self._mode = mode
        self._new_call_id = new_call_id

    async def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        adapted = adapt(request, self._mode)
        reader = _AnswerReader(adapted, self._new_call_id) if adapted.names else None
        batches = self._provider.stream(adapted.request)
        try:
            async for batch in batches:
                if news := reader.read(batch) if reader else batch:
                    yield news
        finally:
            if isinstance(batches, Closes):
                await batches.aclose()

    async def models(self) -> Sequence[str]:
        return await self._provider.models() if isinstance(self._provider, ListsModels) else ()

    async def windows(self) -> Mapping[str, int | None]:
        return await self._provider.windows() if isinstance(self._provider, TellsWindows) else {}

    @property
    def address(self) -> str:
        return self._provider.address if isinstance(self._provider, HasAddress) else ""

    async def aclose(self) -> None:
        if isinstance(self._provider, Closes):
            await self._provider.aclose()


class _AnswerReader:
    """Turns news of the JSON text into news of a reply or a call."""

    def __init__(self, adapted: Adapted, new_call_id: Callable[[], str]) -> None:
        self._turn = TurnReader(adapted.names)
        self._adapted = adapted
        self._new_call_id = new_call_id

    def read(self, batch: Sequence[News]) -> list[News]:
        news: list[News] = []
        for each in batch:
            match each:
                case TextDelta(text):
                    if reply := self._turn.feed(text):
                        news.append(TextDelta(reply))
                case Finished():
                    news += self._end(each)
                case _:
                    news.append(each)
        return news

    def _end(self, finished: Finished) -> list[News]:
        rest = self._turn.finish(whole=finished.reason == "stop")
        call = self._turn.call
        if call is not None:
            news = ToolCallDelta(0, self._new_call_id(), call.name, call.arguments)
            return [news, msgspec.structs.replace(finished, reason="tool_calls")]
        if finished.reason == "stop" and not self._adapted.may_reply:
            message = f"The model {finished.model or self._adapted.request.model} called none of the tools it had to."
            raise ModelError("broken", f"{message} Use a larger model, or leave it the choice.")
        return [*([TextDelta(rest)] if rest else []), finished]


def adapt(request: ModelRequest, mode: Mode = "full") -> Adapted:
    """Pure: the request as a model without tools can be asked it."""
    messages = with_outputs_in_front(request.messages) if mode == "directed" else request.messages
    plain = msgspec.structs.replace(
        request, messages=in_plain_words(messages), tools=(), tool_choice=None, parallel_tool_calls=None
    )
    tools, may_reply = _offered(request, mode)
    if not tools:
        return Adapted(plain)
    wished = _wished(request)
    adapted = msgspec.structs.replace(
        plain,
        messages=with_system(plain.messages, instructions(tools, may_reply=may_reply)),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "turn", "schema": turn_schema(tools, wished if may_reply else None)},
        },
    )
    return Adapted(adapted, frozenset(tool.function.name for tool in tools), may_reply)


def _offered(request: ModelRequest, mode: Mode) -> tuple[Sequence[ChatTool], bool]:
    """The tools on offer, and whether the model may reply instead."""
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        return [tool for tool in request.tools if tool.function.name == choice.function.name], False
    if choice == "required":
        return request.tools, False
    if choice == "none" or mode == "directed":
        return (), True
    return request.tools, True


def _wished(request: ModelRequest) -> JsonSchema:
    """The schema of a reply: text, unless the caller asked for JSON of its own."""
    wish = request.response_format or {}
    if wish.get("type") == "json_schema":
        schema = wish.get("json_schema", {}).get("schema")
        return schema if isinstance(schema, dict) else {"type": "object"}
    return {"type": "object"} if wish.get("type") == "json_object" else {"type": "string"}


def turn_schema(tools: Sequence[ChatTool], reply: JsonSchema | None) -> JsonSchema:
    """One object a tool, and one for a reply unless it is None. Definitions move to the root, where `$ref` looks."""
    definitions: JsonSchema = {}
    forms = [
        _object(
            tool={"const": tool.function.name},
            arguments=_hoisted(tool.function.parameters or _NO_ARGUMENTS, f"tool{at}_", definitions),
        )
        for at, tool in enumerate(tools)
    ]
    if reply is not None:
        forms.append(_object(reply=_hoisted(reply, "reply_", definitions)))
    schema = forms[0] if len(forms) == 1 else {"oneOf": forms}
    return schema | {"$defs": definitions} if definitions else schema


_NO_ARGUMENTS: Final[JsonSchema] = {"type": "object", "properties": {}, "additionalProperties": False}
_DEFINITIONS: Final = ("$defs", "definitions")


def _object(**properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _hoisted(schema: JsonSchema, prefix: str, definitions: JsonSchema) -> JsonSchema:
    for place in _DEFINITIONS:
        found = schema.get(place)
        if isinstance(found, dict):
            definitions |= {prefix + name: _renamed(part, prefix) for name, part in found.items()}
    kept: JsonSchema = _renamed({key: part for key, part in schema.items() if key not in _DEFINITIONS}, prefix)
    return kept


def _renamed(part: Any, prefix: str) -> Any:
    """The part with its references pointing to where the definitions went."""
    if isinstance(part, list):
        return [_renamed(each, prefix) for each in part]
    if not isinstance(part, dict):
        return part
    renamed = {key: _renamed(value, prefix) for key, value in part.items()}
    reference = part.get("$ref")
    for place in _DEFINITIONS:
        if isinstance(reference, str) and reference.startswith(f"#/{place}/"):
            renamed["$ref"] = "#/$defs/" + prefix + reference.removeprefix(f"#/{place}/")
    return renamed


def instructions(tools: Sequence[ChatTool], *, may_reply: bool) -> str:
    """What the system text says of the tools."""
    lines = ["You can call these tools:"]
    for tool in tools:
        function = tool.function
        schema = msgspec.json.encode(function.parameters or _NO_ARGUMENTS).decode()
        lines.append(f"- {function.name}: {function.description or 'no description'} Arguments: {schema}")
    lines.append("Answer with one JSON object and nothing else. Examples:")
    for tool in (tools[0], tools[-1]) if len(tools) > 1 else (tools[0],):
        example = {"tool": tool.function.name, "arguments": sample(tool.function.parameters or _NO_ARGUMENTS)}
        lines.append(f"To call {tool.function.name}: {msgspec.json.encode(example).decode()}")
    if may_reply:
        lines.append('To answer the user: {"reply": "The answer in plain words."}')
        lines.append("Call a tool only if the answer needs it; once a tool has answered, reply.")
    else:
        lines.append("You must call a tool now.")
    return "\n".join(lines)


def sample(schema: JsonSchema, depth: int = 0) -> object:
    """A value of the kind that a schema asks for, to show its form."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "object" if depth < 3:
            properties = schema.get("properties") or {}
            wanted = schema.get("required") or list(properties)[:1]
            return {name: sample(properties.get(name) or {}, depth + 1) for name in wanted if isinstance(name, str)}
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return "..."
