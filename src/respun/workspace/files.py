"""Files: receive, list, get, read, delete."""

from collections.abc import AsyncIterator

from msgspec import Struct

from respun.core.files import File, FileDraft, FileFilter, expiry, refuse_download
from respun.core.machine import Fresh
from respun.core.once import Once
from respun.core.pages import Page
from respun.core.problems import Problem
from respun.store import effects, files
from respun.store.backend import Tx
from respun.store.blobs import Blobs, Writing
from respun.store.file_removal import remove_file
from respun.store.paging import buried_before
from respun.workspace.failures import Store, explained

_A_DAY = 86_400.0


class Content(Struct, frozen=True):
    file: File
    pieces: AsyncIterator[bytes]


class Incoming:
    """Bytes that are coming in. Nobody sees them until a file or a part is made of them; else `discard` them."""

    def __init__(self, writing: Writing, most: int) -> None:
        self.most = most
        self._writing = writing

    @property
    def blob(self) -> str:
        return self._writing.name

    @property
    def size(self) -> int:
        return self._writing.size

    async def write(self, piece: bytes) -> None:
        """Raises a Problem when there are more bytes than may come."""
        if self._writing.size + len(piece) > self.most:
            raise too_large(self.most)
        with explained():
            await self._writing.write(piece)

    async def finish(self) -> None:
        with explained():
            await self._writing.finish()

    async def discard(self) -> None:
        await self._writing.discard()


def too_large(most: int) -> Problem:
    return Problem(
        f"The file is larger than {most} bytes, the most that is taken at once. Send a smaller one, or send it in "
        "parts through /uploads.",
        kind="too_large",
        param="file",
    )


class Files:
    def __init__(self, store: Store, blobs: Blobs, fresh: Fresh, largest: int) -> None:
        self._store = store
        self._blobs = blobs
        self._fresh = fresh
        self.largest = largest

    async def receive(self, most: int | None = None) -> Incoming:
        """Where the bytes of a file go as they come, `most` of them; if the server dies, they are swept away."""
        writing = self._blobs.create()
        due = self._fresh.now + _A_DAY
        await self._store.write(lambda tx: files.loosen(tx, [writing.name], due))
        return Incoming(writing, self.largest if most is None else most)

    async def create(self, project: str, draft: FileDraft, incoming: Incoming, once: Once | None = None) -> File:
        """A file of bytes that have come; if they came before, the file that was made then."""
        await incoming.finish()
        now = self._fresh.now
        file = File(
            id=self._fresh.id("file"),
            created_at=now,
            filename=draft.filename,
            purpose=draft.purpose,
            size=incoming.size,
            blob=incoming.blob,
            expires_at=expiry(now, draft.expires_after),
        )

        async def unit(tx: Tx) -> File:
            if earlier := await effects.earlier(tx, once, lambda made: self._is_there(tx, project, made)):
                return await files.get(tx, project, earlier, now)
            await effects.note(tx, once, file.id)
            await files.add(tx, project, file)
            return file

        made = await self._store.write(unit)
        if made.id != file.id:
            await incoming.discard()
        return made

    async def _is_there(self, tx: Tx, project: str, ident: str) -> bool:
        return ident in await files.present(tx, project, [ident], self._fresh.now)

    async def copy(self, project: str, ident: str) -> Incoming:
        """The bytes of a file once more, for another one to be made of them."""
        file, incoming = await self.get(project, ident), await self.receive()
        try:
            async for piece in self._blobs.read(file.blob):
                await incoming.write(piece)
        except BaseException:
            await incoming.discard()
            raise
        return incoming

    async def list(self, project: str, wanted: FileFilter) -> Page[File]:
        return await self._store.read(lambda tx: files.listed(tx, project, wanted, self._fresh.now))

    async def get(self, project: str, ident: str) -> File:
        return await self._store.read(lambda tx: files.get(tx, project, ident, self._fresh.now))

    async def content(self, project: str, ident: str) -> Content:
        """Raises a Problem for purposes whose files stay inside."""
        file = await self.get(project, ident)
        refuse_download(file)
        return Content(file, self._blobs.read(file.blob))

    async def delete(self, project: str, ident: str, once: Once | None = None) -> None:
        """It leaves every vector store and every list of the code interpreter too."""

        async def unit(tx: Tx) -> None:
            if not await buried_before(tx, once, project, ident):
                await remove_file(tx, project, ident, self._fresh.now)

        await self._store.write(unit, frees_space=True)
