"""Images that are files: their bytes are put into a request just before it is sent, and never into the context.

An image that can't be shown is told in words, so that the model knows of it and the run goes on.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from respun.core import chat
from respun.core.files import File
from respun.store.backend import StoreError

LARGEST_IMAGE: Final = 20 << 20
"""Bytes of one image, OpenAI's limit."""
MOST_BYTES: Final = 48 << 20
"""Bytes of all images of one request; the newest go first."""

_KINDS: Final = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF87a", "gif"), (b"GIF89a", "gif"))


class Files(Protocol):
    """What is asked of the files of a project."""

    async def present(self, project: str, idents: Sequence[str]) -> dict[str, File]: ...

    async def content(self, file: File) -> bytes: ...


class Images:
    def __init__(self, files: Files) -> None:
        self._files = files

    async def shown(self, project: str, request: chat.ModelRequest) -> chat.ModelRequest:
        """The request with the bytes of its images."""
        wanted = [part.file_id for message in request.messages for part in _files_of(message)]
        if not wanted:
            return request
        shown = await self._read(project, list(dict.fromkeys(reversed(wanted))))
        return replace(request, messages=tuple(_with_images(message, shown) for message in request.messages))

    async def _read(self, project: str, newest_first: Sequence[str]) -> dict[str, str]:
        """By id, the image as a URL that holds it, or why it is not shown."""
        there = await self._files.present(project, newest_first)
        shown: dict[str, str] = {}
        left = MOST_BYTES
        for ident in newest_first:
            file = there.get(ident)
            if file is None:
                shown[ident] = "its file is gone"
            elif file.size > min(left, LARGEST_IMAGE):
                shown[ident] = "it is too large"
            else:
                shown[ident] = await self._url(file)
                left -= file.size
        return shown

    async def _url(self, file: File) -> str:
        try:
            content = await self._files.content(file)
        except StoreError:
            return "its file can't be read"
        kind = kind_of(content)
        return f"data:image/{kind};base64,{b64encode(content).decode()}" if kind else "its format is unknown"


def kind_of(content: bytes) -> str | None:
    """The format as its first bytes tell it, whatever the file is called."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((kind for mark, kind in _KINDS if content.startswith(mark)), None)


def _files_of(message: chat.ChatMessage) -> list[chat.ImageFilePart]:
    if not isinstance(message, chat.UserMessage) or isinstance(message.content, str):
        return []
    return [part for part in message.content if isinstance(part, chat.ImageFilePart)]


def _with_images(message: chat.ChatMessage, shown: Mapping[str, str]) -> chat.ChatMessage:
    if not isinstance(message, chat.UserMessage) or isinstance(message.content, str):
        return message
    return chat.UserMessage(tuple(_shown(part, shown) for part in message.content))


def _shown(part: chat.ContentPart, shown: Mapping[str, str]) -> chat.ContentPart:
    if not isinstance(part, chat.ImageFilePart):
        return part
    found = shown[part.file_id]
    if not found.startswith("data:"):
        return chat.TextPart(f"[An image, {part.file_id}, which is not shown: {found}.]")
    return chat.ImagePart(chat.ImageUrl(found, part.detail))
