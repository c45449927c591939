"""One turn as a model sees it: the request it gets and the news it sends back.

The shapes are those of Chat Completions, because every provider speaks them or is adapted to them. A provider
yields news in batches, one batch a network read, so that nothing here costs a wake-up per token.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType

from respun.core.usage import Usage

JsonSchema = dict[str, Any]


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class ImageUrl(Struct, frozen=True, omit_defaults=True):
    url: str
    detail: str = "auto"


class ImagePart(Struct, frozen=True, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class ImageFilePart(Struct, frozen=True, tag_field="type", tag="image_file"):
    """An image by the id of its file. The engine puts its bytes in the place of it: no provider ever sees one."""

    file_id: str
    detail: str = "auto"


ContentPart = TextPart | ImagePart | ImageFilePart


class CalledFunction(Struct, frozen=True):
    name: str
    arguments: str
    """JSON text as the model wrote it; it may be malformed."""


class ChatToolCall(Struct, frozen=True, tag_field="type", tag="function"):
    id: str
    function: CalledFunction


class SystemMessage(Struct, frozen=True, tag_field="role", tag="system"):
    content: str


class UserMessage(Struct, frozen=True, tag_field="role", tag="user"):
    content: str | tuple[ContentPart, ...]


class AssistantMessage(Struct, frozen=True, tag_field="role", tag="assistant", omit_defaults=True):
    content: str | None = None
    tool_calls: tuple[ChatToolCall, ...] | UnsetType = UNSET


class ToolMessage(Struct, frozen=True, tag_field="role", tag="tool"):
    tool_call_id: str
    content: str


ChatMessage = SystemMessage | UserMessage | AssistantMessage | ToolMessage


class ChatFunction(Struct, frozen=True, omit_defaults=True):
    name: str
    description: str | None = None
    parameters: JsonSchema | None = None
    strict: bool | None = None


class ChatTool(Struct, frozen=True, tag_field="type", tag="function"):
    function: ChatFunction


class NamedFunction(Struct, frozen=True):
    name: str


class NamedTool(Struct, frozen=True, tag_field="type", tag="function"):
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"] | NamedTool


class ModelRequest(Struct, frozen=True, omit_defaults=True):
    """What one model call is asked. Absent (None) means: leave it to the upstream; it is then not sent."""

    model: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[ChatTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None
    stable: int = 0
    """So many messages from the first are likely to begin the next prompt, too: a good place to end a cache."""
    prompt_cache_key: str | None = None
    """Turns that share a prefix share this key; providers that know no such key never see it."""


class TextDelta(Struct, frozen=True, tag="text"):
    text: str


class RefusalDelta(Struct, frozen=True, tag="refusal"):
    text: str


class ReasoningDelta(Struct, frozen=True, tag="reasoning"):
    text: str


class ToolCallDelta(Struct, frozen=True, tag="call"):
    """A piece of the call at `index`: `id` and `name` come once, in its first piece; `arguments` adds up."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Finished(Struct, frozen=True, tag="finished"):
    """The last news of a call. `usage` is None where the upstream reported none; `model` is who answered."""

    reason: FinishReason
    usage: Usage | None = None
    model: str = ""


News = TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta | Finished

ModelErrorKind = Literal[
    "unreachable",  # refused, DNS, TLS, reset before an answer
    "timeout",  # no answer, or silence in mid-answer
    "broken",  # the answer ended early or was not what the protocol says
    "rate_limited",
    "quota",
    "auth",
    "context_length",
    "rejected",  # the upstream found fault with the request
    "server",
    "unavailable",  # nothing serves this model name
]


class ModelError(Exception):
    """A model call that gave no whole answer; retries and fallbacks are already spent when it is raised.

    `message` is for the user: it names the upstream and says what to do, and carries no key.
    """

    def __init__(
        self,
        kind: ModelErrorKind,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: ModelErrorKind = kind
        self.message = message
        self.status = status
        self.retry_after = retry_after


class Provider(Protocol):
    """Serves model calls. Closing the iterator (or cancelling the task that reads it) ends the upstream call."""

    def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        """News of one call, in batches; the last one is `Finished`. Raises `ModelError`."""
        ...
