"""The paths of files and uploads (contract 1.2)."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final, cast
from urllib.parse import quote

from starlette.types import Send

from respun.core.files import LARGEST_PART, File
from respun.dialects.openai import file_requests, file_shapes, shapes
from respun.dialects.openai.answers import Answer, Call, Paths, Sending
from respun.dialects.openai.multipart import form
from respun.workspace import Workspace
from respun.workspace.files import Content

_BYTES: Final = b"application/octet-stream"


class Files:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.files

    def paths(self) -> Paths:
        return {
            "/files": {"GET": self.list_files, "POST": self.create_file},
            "/files/{file_id}": {"GET": self.get_file, "DELETE": self.delete_file},
            "/files/{file_id}/content": {"GET": self.download_file},
        }

    async def list_files(self, call: Call) -> Answer:
        found = await self._ws.list(call.project, file_requests.listed(call.query))
        return _answer(shapes.page(found, file_shapes.file))

    async def create_file(self, call: Call) -> Answer:
        async with form(call, "file", self._ws.largest, self._ws.receive) as given:
            draft = file_requests.file(given.fields, given.filename)
            once = call.once_with(given.content)
            return _answer(file_shapes.file(await self._ws.create(call.project, draft, given.incoming, once)))

    async def get_file(self, call: Call) -> Answer:
        return _answer(file_shapes.file(await self._ws.get(call.project, call.param("file_id"))))

    async def delete_file(self, call: Call) -> Answer:
        ident = call.param("file_id")
        await self._ws.delete(call.project, ident, call.once)
        return _answer(file_shapes.deleted(ident))

    async def download_file(self, call: Call) -> Sending:
        return _Download(await self._ws.content(call.project, call.param("file_id")))


class Uploads:
    def __init__(self, ws: Workspace) -> None:
        self._ws = ws.uploads

    def paths(self) -> Paths:
        return {
            "/uploads": {"POST": self.create_upload},
            "/uploads/{upload_id}/parts": {"POST": self.add_part},
            "/uploads/{upload_id}/complete": {"POST": self.complete_upload},
            "/uploads/{upload_id}/cancel": {"POST": self.cancel_upload},
        }

    async def create_upload(self, call: Call) -> Answer:
        draft = file_requests.upload(await call.json(), call.dialect.strict)
        return _answer(file_shapes.upload(await self._ws.create(call.project, draft, call.once)))

    async def add_part(self, call: Call) -> Answer:
        upload = await self._ws.open(call.project, call.param("upload_id"))
        async with form(call, "data", LARGEST_PART, self._ws.receive) as given:
            once = call.once_with(given.content)
            return _answer(file_shapes.part(await self._ws.add_part(call.project, upload.id, given.incoming, once)))

    async def complete_upload(self, call: Call) -> Answer:
        ident = call.param("upload_id")
        given = file_requests.completion(await call.json(), call.dialect.strict)
        whole = await self._ws.complete(call.project, ident, given.part_ids, given.md5, call.once)
        return _answer(file_shapes.upload(whole.upload, whole.file))

    async def cancel_upload(self, call: Call) -> Answer:
        return _answer(file_shapes.upload(await self._ws.cancel(call.project, call.param("upload_id"), call.once)))


class _Download:
    """Writes itself: the bytes of a file as they are read."""

    def __init__(self, content: Content) -> None:
        self._content = content

    async def __call__(self, call: Call, send: Send) -> None:
        file = self._content.file
        headers = call.head(
            (b"content-type", _BYTES),
            (b"content-length", b"%d" % file.size),
            (b"content-disposition", _disposition(file)),
            # What users upload is never a page of this server.
            (b"x-content-type-options", b"nosniff"),
        )
        pieces: AsyncIterator[bytes]
        async with aclosing(cast(Any, self._content.pieces)) as pieces:
            first = await anext(pieces, b"")
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if call.method != "HEAD":
                await send({"type": "http.response.body", "body": first, "more_body": True})
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _disposition(file: File) -> bytes:
    return f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}".encode("ascii")


def _answer(given: object) -> Answer:
    return Answer(shapes.encode(given))
