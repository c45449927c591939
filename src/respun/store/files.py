"""Rows of files, and which blobs no row names."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from respun.core.files import File, FileFilter, no_such_file
from respun.core.pages import Page, PageRequest
from respun.store.backend import Row, Tx
from respun.store.codec import text_of, to_file
from respun.store.paging import bury, page, place_in
from respun.store.statements import load

_sql: Final = load("files")


class Owned(Struct, frozen=True):
    """A thing that the sweep has to end, and whose it is."""

    id: str
    project: str


async def add(tx: Tx, project: str, file: File) -> None:
    """Store the row; its blob is then held by it."""
    await tx.run(
        _sql.insert,
        id=file.id,
        project=project,
        purpose=file.purpose,
        expires_at=file.expires_at,
        body=text_of(file),
    )
    await tx.run(_sql.hold_blob, name=file.blob)


async def get(tx: Tx, project: str, ident: str, now: float) -> File:
    row = await tx.one(_sql.get, id=ident, project=project, now=now)
    if row is None:
        raise no_such_file(ident)
    return to_file(row["body"])


async def present(tx: Tx, project: str, idents: Sequence[str], now: float) -> dict[str, File]:
    """Those of these ids that there are, by id."""
    if not idents:
        return {}
    rows = await tx.all(_sql.found, ids=list(idents), project=project, now=now)
    return {row["id"]: to_file(row["body"]) for row in rows}


async def found(tx: Tx, project: str, idents: Sequence[str], now: float) -> dict[str, File]:
    """The files of these ids by id. Raises a Problem that names the first one there is not."""
    files = await present(tx, project, idents, now)
    for ident in idents:
        if ident not in files:
            raise no_such_file(ident)
    return files


async def names(tx: Tx, project: str, idents: Sequence[str], now: float) -> dict[str, str]:
    """The filenames of those that there are."""
    rows = await tx.all(_sql.found, ids=list(idents), project=project, now=now) if idents else []
    return {row["id"]: to_file(row["body"]).filename for row in rows}


async def listed(tx: Tx, project: str, wanted: FileFilter, now: float) -> Page[File]:
    async def place(ident: str, param: str) -> int:
        return await place_in(tx, project, ident, param, await tx.one(_sql.place, id=ident, project=project))

    async def fetch(ascending: bool, low: int, high: int, limit: int) -> list[Row]:
        if wanted.purpose is None:
            statement = _sql.page_asc if ascending else _sql.page_desc
            return await tx.all(statement, project=project, low=low, high=high, limit=limit, now=now)
        statement = _sql.page_of_purpose_asc if ascending else _sql.page_of_purpose_desc
        return await tx.all(
            statement, project=project, purpose=wanted.purpose, low=low, high=high, limit=limit, now=now
        )

    request = PageRequest(wanted.limit, wanted.order, wanted.after)
    return await page(request, place, fetch, lambda row: to_file(row["body"]))


async def delete(tx: Tx, project: str, ident: str, due: float) -> None:
    """The row goes at once, its bytes when they are due."""
    row = await tx.one(_sql.delete, id=ident, project=project)
    if row is None:
        raise no_such_file(ident)
    await bury(tx, project, ident, row["seq"])
    await loosen(tx, [to_file(row["body"]).blob], due)


async def expired(tx: Tx, now: float, limit: int) -> list[Owned]:
    return [Owned(row["id"], row["project"]) for row in await tx.all(_sql.expired, now=now, limit=limit)]


async def loosen(tx: Tx, blobs: Iterable[str], due: float) -> None:
    """Nothing names these blobs: they are removed at `due` unless a row holds them by then."""
    await tx.many(_sql.loosen, [(name, due) for name in blobs])


async def due_blobs(tx: Tx, now: float, limit: int) -> list[str]:
    return [row["name"] for row in await tx.all(_sql.due_blobs, now=now, limit=limit)]


async def forget_blobs(tx: Tx, names: Iterable[str]) -> None:
    """They were removed."""
    await tx.many(_sql.hold_blob, [(name,) for name in names])
