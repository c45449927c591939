"""Rows of threads, and of the labels by which lists of them are filtered."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from respun.core.assistants import Metadata
from respun.core.pages import Page, PageRequest
from respun.core.problems import no_such
from respun.core.threads import Thread
from respun.store import contexts, messages
from respun.store.backend import Row, Tx
from respun.store.code_files import Owner, note
from respun.store.codec import text_of, to_thread
from respun.store.paging import bury, page, place_in
from respun.store.statements import load

_sql: Final = load("threads")
_FOR_EVER: Final = 1e15
_PURGED_AT_ONCE: Final = 200


class ThreadFilter(Struct, frozen=True):
    """Which threads to list; times are Unix seconds, `created_to` is exclusive."""

    metadata: Metadata = {}
    created_from: float | None = None
    created_to: float | None = None
    assistant: str | None = None


async def add(tx: Tx, project: str, thread: Thread) -> None:
    row = await tx.one(
        _sql.insert,
        id=thread.id,
        project=project,
        created_at=thread.created_at,
        assistant=thread.assistant,
        body=text_of(thread),
    )
    assert row is not None
    await _label(tx, project, row["seq"], thread.metadata)
    if thread.tool_resources.code_files:
        await note(tx, Owner("thread", thread.id), thread.tool_resources.code_files)


async def get(tx: Tx, project: str, ident: str) -> Thread:
    row = await tx.one(_sql.get, id=ident, project=project)
    if row is None:
        raise no_such("thread", ident)
    return to_thread(row["body"])


async def check(tx: Tx, project: str, ident: str) -> None:
    """Refuse what is no thread of this project."""
    if await tx.one(_sql.exists, id=ident, project=project) is None:
        raise no_such("thread", ident)


async def change(tx: Tx, project: str, ident: str, changed: Callable[[Thread], Thread]) -> Thread:
    before = await get(tx, project, ident)
    thread = changed(before)
    row = await tx.one(_sql.update, id=ident, project=project, body=text_of(thread))
    assert row is not None
    if thread.metadata != before.metadata:
        await tx.run(_sql.drop_labels, place=row["seq"])
        await _label(tx, project, row["seq"], thread.metadata)
    if thread.tool_resources.code_files != before.tool_resources.code_files:
        await note(tx, Owner("thread", ident), thread.tool_resources.code_files)
    return thread


async def delete(tx: Tx, project: str, ident: str) -> None:
    """The thread is gone at once; its messages and runs follow by `purge_some`."""
    row = await tx.one(_sql.delete, id=ident, project=project)
    if row is None:
        raise no_such("thread", ident)
    await tx.run(_sql.drop_labels, place=row["seq"])
    await note(tx, Owner("thread", ident), None)
    await tx.run(_sql.to_purge, thread=ident)
    await contexts.drop(tx, ident)
    await bury(tx, project, ident, row["seq"])


async def listed(tx: Tx, project: str, request: PageRequest, chosen: ThreadFilter) -> Page[Thread]:
    labels = [_label_of(key, value) for key, value in chosen.metadata.items()]

    async def place(ident: str, param: str) -> int:
        return await place_in(tx, project, ident, param, await tx.one(_sql.place, id=ident, project=project))

    async def fetch(ascending: bool, low: int, high: int, limit: int) -> list[Row]:
        bounds: dict[str, Any] = {
            "project": project,
            "low": low,
            "high": high,
            "limit": limit,
            "created_from": chosen.created_from or 0.0,
            "created_to": _FOR_EVER if chosen.created_to is None else chosen.created_to,
            "assistant": chosen.assistant or "",
        }
        if not labels:
            return await tx.all(_sql.page_asc if ascending else _sql.page_desc, **bounds)
        statement = _sql.page_labelled_asc if ascending else _sql.page_labelled_desc
        return await tx.all(statement, label=labels[0], others=labels[1:], others_count=len(labels) - 1, **bounds)

    return await page(request, place, fetch, lambda row: to_thread(row["body"]))


async def of_assistant(tx: Tx, project: str, assistant: str, limit: int) -> list[str]:
    """Some of the threads that were made under the assistant."""
    return [row["id"] for row in await tx.all(_sql.of_assistant, project=project, assistant=assistant, limit=limit)]


async def purge_some(tx: Tx) -> bool:
    """Remove some of what deleted threads left behind; whether there may be more."""
    row = await tx.one(_sql.next_purge)
    if row is None:
        return await contexts.purge_some(tx)
    thread = row["thread"]
    removed = await messages.purge(tx, thread, _PURGED_AT_ONCE)
    for statement in (_sql.purge_events, _sql.purge_steps, _sql.purge_runs):
        removed += await tx.run(statement, thread=thread, limit=_PURGED_AT_ONCE)
    if not removed:
        await tx.run(_sql.purged, thread=thread)
    return True


async def _label(tx: Tx, project: str, place: int, metadata: Metadata) -> None:
    if metadata:
        await tx.many(_sql.add_label, [(project, _label_of(key, value), place) for key, value in metadata.items()])


def _label_of(key: str, value: str) -> str:
    return f"{key}\x1f{value}"
