"""Threads, their messages and the parts of a message."""

from typing import Any, Literal

from msgspec import Struct

from respun.core.assistants import Metadata, ToolResources

Role = Literal["user", "assistant"]
MessageStatus = Literal["in_progress", "completed", "incomplete"]
IncompleteReason = Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]
Detail = Literal["auto", "low", "high"]


class FileCitation(Struct, frozen=True, tag="file_citation", omit_defaults=True):
    """`text` stands at [start, end) of the part's value, in characters. `quote` is the passage that it refers to."""

    text: str
    start: int
    end: int
    file: str
    quote: str = ""
    page: int | None = None
    score: float | None = None


class FilePath(Struct, frozen=True, tag="file_path"):
    text: str
    start: int
    end: int
    file: str


Annotation = FileCitation | FilePath


class Text(Struct, frozen=True, tag="text"):
    value: str
    annotations: tuple[Annotation, ...] = ()


class ImageFile(Struct, frozen=True, tag="image_file"):
    file: str
    detail: Detail = "auto"


class ImageLink(Struct, frozen=True, tag="image_url"):
    url: str
    detail: Detail = "auto"


class Refusal(Struct, frozen=True, tag="refusal"):
    value: str


Part = Text | ImageFile | ImageLink | Refusal


class Attachment(Struct, frozen=True):
    file: str | None
    tools: tuple[Literal["code_interpreter", "file_search"], ...] = ()


class Message(Struct, frozen=True):
    """`position` is its number in the thread, from 1, without gaps at the time of writing; 0 until it is stored.

    `original` is the metadata as it was given, where that holds more than short strings.
    """

    id: str
    thread: str
    created_at: float
    role: Role
    content: tuple[Part, ...]
    position: int = 0
    assistant: str | None = None
    run: str | None = None
    status: MessageStatus = "completed"
    incomplete_reason: IncompleteReason | None = None
    ended_at: float | None = None
    attachments: tuple[Attachment, ...] = ()
    metadata: Metadata = {}
    original: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """What can be read and searched of it."""
        return "\n".join(part.value for part in self.content if isinstance(part, Text | Refusal))


class Thread(Struct, frozen=True):
    """`assistant`: the one that it was made under, where a dialect knows such a tie."""

    id: str
    created_at: float
    metadata: Metadata = {}
    tool_resources: ToolResources = ToolResources()
    assistant: str | None = None
