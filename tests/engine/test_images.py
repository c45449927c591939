"""Images in a thread reach the model that is asked: those on the web as links, those that are files with their bytes."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from engine.world import PROJECT, World, world
from plugins.upstream import FakeUpstream, refusal, saying, streamed, upstream
from respun.core.drafts import MessageDraft
from respun.core.files import FileDraft
from respun.core.threads import ImageFile, ImageLink, Part, Text
from respun.engine.images import kind_of
from respun.providers.chat import ChatProvider
from respun.providers.upstream import Upstream

__all__ = ["upstream"]

PNG = b"\x89PNG\r\n\x1a\nand so on"
GOOD = streamed(*saying("I see."))


@pytest_asyncio.fixture
async def seeing(tmp_path: Path, upstream: FakeUpstream) -> AsyncIterator[World]:
    upstream.script = [GOOD]
    provider = ChatProvider(Upstream(base_url=upstream.base_url))
    async with world(str(tmp_path / "data"), model=provider) as here:
        yield here
    await provider.aclose()


async def stored(here: World, content: bytes) -> str:
    incoming = await here.workspace.files.receive()
    await incoming.write(content)
    return (await here.workspace.files.create(PROJECT, FileDraft("a.png", "vision"), incoming)).id


async def asked(here: World, upstream: FakeUpstream, *parts: Part) -> Any:
    """What the model was sent for a message of these parts."""
    run = await here.ended(await here.ask(MessageDraft("user", parts)))
    assert run.status == "completed", run.last_error
    return upstream.received[-1].json["messages"][-1]["content"]


async def test_an_image_that_is_a_file_is_sent_with_its_bytes(seeing: World, upstream: FakeUpstream) -> None:
    image = await stored(seeing, PNG)
    link = ImageLink("https://example.com/b.jpg")
    sent = await asked(seeing, upstream, Text("Look:"), ImageFile(image, "low"), link)
    url = "data:image/png;base64," + b64encode(PNG).decode()
    assert sent == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/b.jpg"}},
    ]


async def test_an_image_that_can_t_be_shown_is_told_of(seeing: World, upstream: FakeUpstream) -> None:
    image = await stored(seeing, b"no image at all")
    (part,) = await asked(seeing, upstream, ImageFile(image))
    assert part == {"type": "text", "text": f"[An image, {image}, which is not shown: its format is unknown.]"}


async def test_an_image_whose_file_is_gone_does_not_end_its_thread(seeing: World, upstream: FakeUpstream) -> None:
    image = await stored(seeing, PNG)
    thread = (await seeing.ended(await seeing.ask(MessageDraft("user", (Text("Look"), ImageFile(image)))))).thread
    await seeing.workspace.files.delete(PROJECT, image)
    assert (await seeing.ended(await seeing.start("And now?", thread))).status == "completed"
    sent = upstream.received[-1].json["messages"]
    assert "its file is gone" in str(sent)
    assert "base64" not in str(sent)


async def test_a_model_of_text_alone_is_told_where_an_image_stood(seeing: World, upstream: FakeUpstream) -> None:
    upstream.script = [refusal(400, "image_url is not supported by this model"), GOOD]
    image = await stored(seeing, PNG)
    assert await asked(seeing, upstream, Text("Look:"), ImageFile(image)) == "Look:\n[An image, which you can't see.]"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0JFIF", "jpeg"),
        (b"GIF89a", "gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"", None),
    ],
)
def test_the_format_of_an_image_is_told_by_its_bytes(content: bytes, kind: str | None) -> None:
    assert kind_of(content) == kind
