"""Write a model call in the words that an upstream understands, and learn those words from its refusals.

Pure: a request and what is known of the upstream in, the JSON body out.
"""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from respun.core.chat import (
    AssistantMessage,
    ChatMessage,
    ChatTool,
    ModelRequest,
    SystemMessage,
    TextPart,
    ToolChoice,
    UserMessage,
)
from respun.providers.faults import Complaint


class Capabilities(Struct, frozen=True):
    """What an upstream's Chat Completions know beyond model and messages."""

    max_completion_tokens: bool = False
    """False: the limit is sent as `max_tokens`, the older name that most servers know."""
    stream_options: bool = True
    parallel_tool_calls: bool = True
    reasoning_effort: bool = True
    prompt_cache_key: bool = False
    cache_control: bool = False
    """It keeps a prompt up to a mark in one of its messages (Anthropic's models behind a router)."""
    tools: bool = True
    json_schema: bool = True
    """False: a wished JSON schema is put in words, and only `json_object` is asked for."""
    json_object: bool = True
    """False: that is put in words, too."""
    images: bool = True
    """False: a model of text alone; it is told in words where an image stood."""


def expected_of(base_url: str) -> Capabilities:
    """What to assume before the upstream was ever asked."""
    host = urlsplit(base_url).hostname or ""
    openai = host == "openai.com" or host.endswith((".openai.com", ".openai.azure.com"))
    router = host == "openrouter.ai" or host.endswith(".openrouter.ai")
    return Capabilities(max_completion_tokens=openai, prompt_cache_key=openai, cache_control=router)


class _MarkedText(Struct, frozen=True, tag_field="type", tag="text"):
    text: str
    cache_control: dict[str, str]


class _Marked(Struct, frozen=True):
    """A message at whose end a cache may end."""

    role: str
    content: tuple[_MarkedText]


class _Body(Struct, omit_defaults=True):
    model: str
    messages: tuple[ChatMessage | _Marked, ...]
    stream: bool = False
    stream_options: dict[str, bool] | None = None
    tools: tuple[ChatTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    prompt_cache_key: str | None = None


_UNSEEN: Final = "[An image, which you can't see.]"
_encode: Final = msgspec.json.Encoder().encode


def body_of(request: ModelRequest, known: Capabilities, *, stream: bool) -> bytes:
    body = _Body(request.model, _marked(request) if known.cache_control else request.messages, stream)
    body.temperature, body.top_p = request.temperature, request.top_p
    if stream and known.stream_options:
        body.stream_options = {"include_usage": True}
    if request.tools:
        body.tools, body.tool_choice = request.tools, request.tool_choice
        body.parallel_tool_calls = request.parallel_tool_calls if known.parallel_tool_calls else None
    if known.max_completion_tokens:
        body.max_completion_tokens = request.max_completion_tokens
    else:
        body.max_tokens = request.max_completion_tokens
    if known.reasoning_effort:
        body.reasoning_effort = request.reasoning_effort
    if known.prompt_cache_key:
        body.prompt_cache_key = request.prompt_cache_key
    _set_format(body, request.response_format, known)
    if not known.images:
        body.messages = tuple(_without_images(message) for message in body.messages)
    return _encode(body)


def _without_images(message: ChatMessage | _Marked) -> ChatMessage | _Marked:
    if not isinstance(message, UserMessage) or isinstance(message.content, str):
        return message
    return UserMessage("\n".join(part.text if isinstance(part, TextPart) else _UNSEEN for part in message.content))


def _marked(request: ModelRequest) -> tuple[ChatMessage | _Marked, ...]:
    """The last message of text alone that the next prompt is likely to have, too, bears the mark."""
    messages: list[ChatMessage | _Marked] = list(request.messages)
    for at in range(min(request.stable, len(messages)) - 1, -1, -1):
        match messages[at]:
            case SystemMessage(content=str(text)):
                role = "system"
            case UserMessage(content=str(text)):
                role = "user"
            case AssistantMessage(content=str(text), tool_calls=calls) if text and not calls:
                role = "assistant"
            case _:
                continue
        messages[at] = _Marked(role, (_MarkedText(text, {"type": "ephemeral"}),))
        break
    return tuple(messages)


def _set_format(body: _Body, wished: dict[str, Any] | None, known: Capabilities) -> None:
    kind = (wished or {}).get("type")
    if wished is None or (kind == "json_schema" and known.json_schema) or (kind == "json_object" and known.json_object):
        body.response_format = wished
        return
    words = "Answer with one JSON object and nothing else."
    schema = wished.get("json_schema", {}).get("schema")
    if schema is not None:
        words += " It must fit this JSON schema:\n" + _encode(schema).decode()
    body.messages = (SystemMessage(words), *body.messages)
    body.response_format = {"type": "json_object"} if known.json_object else None


_UNKNOWN: Final = re.compile(
    r"unknown|unrecogni[sz]ed|unsupported|not supported|not support|not permitted|not allowed|unexpected|no such"
    r"|extra (?:inputs|fields)|additional propert|invalid argument|instead|not available|unavailable",
    re.IGNORECASE,
)
# A refused value of a known parameter is the caller's affair: it is reported, not dropped.
_VALUE: Final = re.compile(r"supported values|must be one of|invalid value", re.IGNORECASE)


def learn(known: Capabilities, sent: bytes, complaint: Complaint) -> Capabilities | None:
    """What is known of an upstream after it refused `sent`; None if it found fault with something else."""
    text = f"{complaint.param} {complaint.message}"
    if complaint.code == "unsupported_value" or _VALUE.search(text) or not _unknown(complaint):
        return None
    for name in ("stream_options", "parallel_tool_calls", "prompt_cache_key", "cache_control", "reasoning_effort"):
        if _names(text, name) and getattr(known, name) and f'"{name}":'.encode() in sent:
            return msgspec.structs.replace(known, **{name: False})
    if known.json_schema and b'"type":"json_schema"' in sent and _names(text, "json_schema|response_format"):
        return msgspec.structs.replace(known, json_schema=False)
    if known.json_object and b'"type":"json_object"' in sent and _names(text, "json_object|response_format"):
        return msgspec.structs.replace(known, json_object=False)
    if known.images and b'"type":"image_url"' in sent and _names(text, "images?|image_url|multimodal|vision"):
        return msgspec.structs.replace(known, images=False)
    return _renamed_limit(known, sent, text)


def _unknown(complaint: Complaint) -> bool:
    return complaint.code in ("unsupported_parameter", "unknown_parameter") or bool(_UNKNOWN.search(complaint.message))


def _renamed_limit(known: Capabilities, sent: bytes, text: str) -> Capabilities | None:
    name = "max_completion_tokens" if known.max_completion_tokens else "max_tokens"
    if _names(text, name) and f'"{name}":'.encode() in sent:
        return msgspec.structs.replace(known, max_completion_tokens=not known.max_completion_tokens)
    return None


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9_])(?:{name})(?![A-Za-z0-9_])", text) is not None
