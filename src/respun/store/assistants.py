"""Rows of assistants."""

from collections.abc import Callable
from typing import Final

from respun.core.assistants import Assistant
from respun.core.pages import Page, PageRequest
from respun.core.problems import no_such
from respun.store.backend import Row, Tx
from respun.store.code_files import Owner, note
from respun.store.codec import text_of, to_assistant
from respun.store.paging import bury, page, place_in
from respun.store.statements import load

_sql: Final = load("assistants")


async def add(tx: Tx, project: str, assistant: Assistant) -> None:
    await tx.run(
        _sql.insert, id=assistant.id, project=project, created_at=assistant.created_at, body=text_of(assistant)
    )
    if assistant.tool_resources.code_files:
        await note(tx, Owner("assistant", assistant.id), assistant.tool_resources.code_files)


async def get(tx: Tx, project: str, ident: str) -> Assistant:
    row = await tx.one(_sql.get, id=ident, project=project)
    if row is None:
        raise no_such("assistant", ident)
    return to_assistant(row["body"])


async def change(tx: Tx, project: str, ident: str, changed: Callable[[Assistant], Assistant]) -> Assistant:
    before = await get(tx, project, ident)
    assistant = changed(before)
    await tx.run(_sql.update, id=ident, project=project, body=text_of(assistant))
    if assistant.tool_resources.code_files != before.tool_resources.code_files:
        await note(tx, Owner("assistant", ident), assistant.tool_resources.code_files)
    return assistant


async def delete(tx: Tx, project: str, ident: str) -> None:
    row = await tx.one(_sql.delete, id=ident, project=project)
    if row is None:
        raise no_such("assistant", ident)
    await note(tx, Owner("assistant", ident), None)
    await bury(tx, project, ident, row["seq"])


async def listed(tx: Tx, project: str, request: PageRequest) -> Page[Assistant]:
    async def place(ident: str, param: str) -> int:
        return await place_in(tx, project, ident, param, await tx.one(_sql.place, id=ident, project=project))

    async def fetch(ascending: bool, low: int, high: int, limit: int) -> list[Row]:
        statement = _sql.page_asc if ascending else _sql.page_desc
        return await tx.all(statement, project=project, low=low, high=high, limit=limit)

    return await page(request, place, fetch, lambda row: to_assistant(row["body"]))
