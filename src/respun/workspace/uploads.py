"""Uploads: a large file in parts, put together when all of them are there (contract 1.2)."""

from collections.abc import Sequence
from contextlib import aclosing
from hashlib import md5
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from respun.core.files import (
    LARGEST_PART,
    UPLOAD_SECONDS,
    File,
    Upload,
    UploadDraft,
    UploadPart,
    expiry,
    refuse_closed,
    refuse_wrong_size,
)
from respun.core.machine import Fresh
from respun.core.once import Once
from respun.core.problems import Problem
from respun.store import effects, files, uploads
from respun.store.backend import Tx
from respun.store.blobs import Blobs
from respun.workspace.failures import Store, explained
from respun.workspace.files import Files, Incoming


class Whole(Struct, frozen=True):
    """An upload, and the file it became."""

    upload: Upload
    file: File | None = None


class Uploads:
    def __init__(self, store: Store, blobs: Blobs, fresh: Fresh, receiver: Files) -> None:
        self._store = store
        self._blobs = blobs
        self._fresh = fresh
        self._files = receiver

    async def create(self, project: str, draft: UploadDraft, once: Once | None = None) -> Upload:
        now = self._fresh.now
        made = Upload(self._fresh.id("upload"), now, int(now) + UPLOAD_SECONDS, draft)

        async def unit(tx: Tx) -> Upload:
            if earlier := await effects.earlier(tx, once):
                return await uploads.get(tx, project, earlier)
            await effects.note(tx, once, made.id)
            await uploads.add(tx, project, made)
            return made

        return await self._store.write(unit)

    async def open(self, project: str, ident: str) -> Upload:
        """The upload, which must take parts."""
        upload = await self._store.read(lambda tx: uploads.get(tx, project, ident))
        refuse_closed(upload, self._fresh.now)
        return upload

    async def receive(self) -> Incoming:
        return await self._files.receive(LARGEST_PART)

    async def add_part(self, project: str, ident: str, incoming: Incoming, once: Once | None = None) -> UploadPart:
        """A part of bytes that have come; if they came before, the part that was made then."""
        await incoming.finish()
        now = self._fresh.now
        part = UploadPart(self._fresh.id("part"), ident, now, incoming.size, incoming.blob)

        async def unit(tx: Tx) -> UploadPart:
            upload = await uploads.get(tx, project, ident, lock=True)
            refuse_closed(upload, now)
            there = await uploads.parts(tx, ident)
            if (earlier := await effects.earlier(tx, once)) and earlier in there:
                return there[earlier]
            held = sum(each.size for each in there.values())
            if held + part.size > upload.draft.size:
                raise Problem(
                    f"The parts would hold {held + part.size} bytes, more than the {upload.draft.size} of the upload.",
                    param="data",
                )
            await effects.note(tx, once, part.id)
            await uploads.add_part(tx, part)
            return part

        made = await self._store.write(unit)
        if made.id != part.id:
            await incoming.discard()
        return made

    async def complete(
        self, project: str, ident: str, part_ids: Sequence[str], checksum: str | None, once: Once | None = None
    ) -> Whole:
        """The file of the named parts, in the order in which they are named. `checksum` is an MD5 in hexadecimal."""
        if once and once.repeated and (before := await self._completed_before(project, ident)):
            return before
        upload = await self.open(project, ident)
        chosen = _chosen(await self._store.read(lambda tx: uploads.parts(tx, ident)), part_ids, ident)
        refuse_wrong_size(upload, sum(part.size for part in chosen))
        incoming = await self._files.receive(upload.draft.size)
        try:
            found = await self._join(chosen, incoming)
            if checksum is not None and checksum.lower() != found:
                raise Problem(
                    f"The MD5 of the parts is {found}, not the given {checksum}. Send the parts that differ again.",
                    param="md5",
                )
            return await self._store_whole(project, upload, incoming)
        except BaseException:
            await incoming.discard()
            raise

    async def cancel(self, project: str, ident: str, once: Once | None = None) -> Upload:
        now = self._fresh.now

        async def unit(tx: Tx) -> Upload:
            upload = await uploads.get(tx, project, ident, lock=True)
            if once and once.repeated and upload.status == "cancelled":
                return upload
            refuse_closed(upload, now)
            cancelled = replace(upload, status="cancelled")
            await uploads.close(tx, cancelled, now)
            return cancelled

        return await self._store.write(unit, frees_space=True)

    async def _completed_before(self, project: str, ident: str) -> Whole | None:
        """What this request made when it came first, if its file is still there."""

        async def unit(tx: Tx) -> Whole | None:
            upload = await uploads.get(tx, project, ident)
            if upload.status != "completed" or upload.file is None:
                return None
            return Whole(upload, await files.get(tx, project, upload.file, self._fresh.now))

        return await self._store.read(unit)

    async def _join(self, parts: Sequence[UploadPart], incoming: Incoming) -> str:
        """Write the parts one after the other; the MD5 of it all."""
        digest = md5(usedforsecurity=False)
        for part in parts:
            with explained():
                async with aclosing(cast(Any, self._blobs.read(part.blob))) as pieces:
                    async for piece in pieces:
                        digest.update(piece)
                        await incoming.write(piece)
        await incoming.finish()
        return digest.hexdigest()

    async def _store_whole(self, project: str, upload: Upload, incoming: Incoming) -> Whole:
        now = self._fresh.now
        draft = upload.draft
        file = File(
            id=self._fresh.id("file"),
            created_at=now,
            filename=draft.filename,
            purpose=draft.purpose,
            size=incoming.size,
            blob=incoming.blob,
            expires_at=expiry(now, draft.expires_after),
        )
        done = replace(upload, status="completed", file=file.id)

        async def unit(tx: Tx) -> Whole:
            refuse_closed(await uploads.get(tx, project, upload.id, lock=True), now)
            await files.add(tx, project, file)
            await uploads.close(tx, done, now)
            return Whole(done, file)

        return await self._store.write(unit)


def _chosen(parts: dict[str, UploadPart], part_ids: Sequence[str], upload: str) -> list[UploadPart]:
    for index, ident in enumerate(part_ids):
        if ident not in parts or ident in part_ids[:index]:
            why = "is named twice" if ident in parts else f"is not a part of {upload}"
            raise Problem(f"Invalid 'part_ids': '{ident}' {why}.", param=f"part_ids[{index}]", code="invalid_value")
    return [parts[ident] for ident in part_ids]
