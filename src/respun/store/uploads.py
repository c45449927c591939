"""Rows of uploads and of their parts."""

from typing import Final

from msgspec.structs import replace

from respun.core.files import Upload, UploadPart
from respun.core.problems import Problem
from respun.store.backend import Tx
from respun.store.codec import text_of, to_part, to_upload
from respun.store.files import Owned, loosen
from respun.store.statements import load

_sql: Final = load("files")


async def add(tx: Tx, project: str, upload: Upload) -> None:
    await tx.run(
        _sql.insert_upload,
        id=upload.id,
        project=project,
        status=upload.status,
        expires_at=upload.expires_at,
        body=text_of(upload),
    )


async def get(tx: Tx, project: str, ident: str, *, lock: bool = False) -> Upload:
    row = await tx.one(_sql.lock_upload if lock else _sql.get_upload, id=ident, project=project)
    if row is None:
        raise Problem(f"No such Upload object: {ident}", kind="not_found", param="id")
    return to_upload(row["body"])


async def add_part(tx: Tx, part: UploadPart) -> None:
    """The part holds its blob until the upload is closed."""
    await tx.run(_sql.insert_part, id=part.id, upload=part.upload, body=text_of(part))
    await tx.run(_sql.hold_blob, name=part.blob)


async def parts(tx: Tx, upload: str) -> dict[str, UploadPart]:
    """By id."""
    found = (to_part(row["body"]) for row in await tx.all(_sql.parts, upload=upload))
    return {part.id: part for part in found}


async def close(tx: Tx, upload: Upload, due: float) -> None:
    """Store how it ended; the bytes of its parts go when they are due."""
    await tx.run(_sql.update_upload, id=upload.id, status=upload.status, body=text_of(upload))
    await loosen(tx, [part.blob for part in (await parts(tx, upload.id)).values()], due)
    await tx.run(_sql.delete_parts, upload=upload.id)


async def expire_some(tx: Tx, now: float, limit: int) -> int:
    """Close uploads that were not completed in time; how many."""
    rows = await tx.all(_sql.stale_uploads, now=now, limit=limit)
    for owned in (Owned(row["id"], row["project"]) for row in rows):
        upload = await get(tx, owned.project, owned.id, lock=True)
        if upload.status_at(now) == "expired":
            await close(tx, replace(upload, status="expired"), now)
    return len(rows)
