"""Rows of messages and the index of their words."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from respun.core.pages import Page, PageRequest
from respun.core.problems import no_such
from respun.core.threads import Message
from respun.core.words import search_words
from respun.store import contexts
from respun.store.backend import Row, Tx
from respun.store.codec import text_of, to_message
from respun.store.paging import bury, page, place_in
from respun.store.statements import load

_sql: Final = load("messages")
_ABOVE_ALL: Final = 1 << 62


async def lock(tx: Tx, project: str, thread: str, places: int = 0) -> int:
    """Hold the thread for this transaction; refuse what is no thread of this project.

    The last of the `places` that are taken for new messages; those not used must be given back by a negative number.
    """
    return await _take_positions(tx, project, thread, places)


async def append(tx: Tx, project: str, thread: str, drafts: Sequence[Message]) -> tuple[Message, ...]:
    """Store messages behind the last one of the thread; they come back with their positions."""
    return await put_in_places(tx, thread, drafts, await _take_positions(tx, project, thread, len(drafts)))


async def put_in_places(tx: Tx, thread: str, drafts: Sequence[Message], last: int) -> tuple[Message, ...]:
    """The same in places that `lock` has taken for them."""
    first = last - len(drafts) + 1
    stored = tuple(replace(draft, position=first + offset) for offset, draft in enumerate(drafts))
    for message in stored:
        await _insert(tx, message)
    if stored:
        await contexts.ask_build(tx, thread, first, stored[-1].position)
    return stored


async def get(tx: Tx, thread: str, ident: str) -> Message:
    return _message(await _found(tx, thread, ident))


async def change(tx: Tx, thread: str, ident: str, changed: Callable[[Message], Message]) -> Message:
    return await _change(tx, await _found(tx, thread, ident), changed)


async def _change(tx: Tx, row: Row, changed: Callable[[Message], Message]) -> Message:
    before = _message(row)
    message = changed(before)
    await tx.run(_sql.update, id=before.id, thread=before.thread, body=text_of(message))
    if message.text != before.text:
        await _forget(tx, row["seq"], before)
        await _index(tx, row["seq"], message)
    if contexts.is_pinned(message) != contexts.is_pinned(before):
        await contexts.pin(tx, message)
    return message


async def put(tx: Tx, project: str, message: Message) -> None:
    """Store a message of a run: behind the last one the first time, in its place after that.

    Nothing, if the thread was deleted under its run.
    """
    if (row := await tx.one(_sql.get, id=message.id, thread=message.thread)) is not None:
        await _change(tx, row, lambda before: replace(message, position=before.position))
    elif row := await tx.one(_sql.take_positions, thread=message.thread, project=project, count=1):
        await _insert(tx, replace(message, position=row["last_position"]))


async def delete(tx: Tx, thread: str, ident: str) -> None:
    row = await tx.one(_sql.get, id=ident, thread=thread)
    if row is None:
        raise no_such("message", ident)
    await _forget(tx, row["seq"], _message(row))
    await contexts.forget(tx, _message(row))
    await tx.one(_sql.delete, id=ident, thread=thread)
    await bury(tx, thread, ident, row["position"])


async def listed(tx: Tx, thread: str, request: PageRequest, run: str | None = None) -> Page[Message]:
    async def place(ident: str, param: str) -> int:
        return await place_in(tx, thread, ident, param, await tx.one(_sql.place, id=ident, thread=thread))

    async def fetch(ascending: bool, low: int, high: int, limit: int) -> list[Row]:
        if run is not None:
            statement = _sql.page_of_run_asc if ascending else _sql.page_of_run_desc
            return await tx.all(statement, run=run, thread=thread, low=low, high=high, limit=limit)
        statement = _sql.page_asc if ascending else _sql.page_desc
        return await tx.all(statement, thread=thread, low=low, high=high, limit=limit)

    return await page(request, place, fetch, _message)


async def newest(tx: Tx, thread: str, below: int, limit: int, above: int = 0) -> list[Message]:
    """The newest messages between the positions `above` and `below`, newest first."""
    rows = await tx.all(_sql.page_desc, thread=thread, low=above, high=below, limit=limit)
    return [_message(row) for row in rows]


async def following(tx: Tx, thread: str, above: int, limit: int) -> list[Message]:
    """The messages behind position `above`, oldest first."""
    rows = await tx.all(_sql.page_asc, thread=thread, low=above, high=_ABOVE_ALL, limit=limit)
    return [_message(row) for row in rows]


async def is_newest(tx: Tx, thread: str, ident: str) -> bool:
    """Whether nothing was said in the thread since."""
    rows = await tx.all(_sql.newest_id, thread=thread)
    return bool(rows) and rows[0]["id"] == ident


async def search(tx: Tx, project: str, query: str, request: PageRequest) -> Page[Message]:
    """Messages of all threads of the project that hold every word of the query."""
    words = search_words(query)
    if not words:
        return Page(())

    async def place(ident: str, param: str) -> int:
        return await place_in(tx, project, ident, param, await tx.one(_sql.search_place, id=ident, project=project))

    async def fetch(ascending: bool, low: int, high: int, limit: int) -> list[Row]:
        statement = _sql.search_asc if ascending else _sql.search_desc
        return await tx.all(statement, match=" ".join(words), project=project, low=low, high=high, limit=limit)

    return await page(request, place, fetch, _message)


async def purge(tx: Tx, thread: str, limit: int) -> int:
    """Remove some messages of a deleted thread; how many."""
    rows = await tx.all(_sql.of_thread, thread=thread, limit=limit)
    for row in rows:
        await _forget(tx, row["seq"], to_message(row["body"]))
        await tx.one(_sql.delete, id=row["id"], thread=thread)
    return len(rows)


async def _take_positions(tx: Tx, project: str, thread: str, count: int) -> int:
    row = await tx.one(_sql.take_positions, thread=thread, project=project, count=count)
    if row is None:
        raise no_such("thread", thread)
    last: int = row["last_position"]
    return last


async def _insert(tx: Tx, message: Message) -> None:
    row = await tx.one(
        _sql.insert,
        id=message.id,
        thread=message.thread,
        position=message.position,
        run=message.run,
        body=text_of(message),
    )
    assert row is not None
    await _index(tx, row["seq"], message)


async def _index(tx: Tx, seq: int, message: Message) -> None:
    if words := search_words(message.text):
        await tx.run(_sql.index_words, seq=seq, words=" ".join(words))


async def _forget(tx: Tx, seq: int, message: Message) -> None:
    if words := search_words(message.text):
        await tx.run(_sql.forget_words, seq=seq, words=" ".join(words))


async def _found(tx: Tx, thread: str, ident: str) -> Row:
    row = await tx.one(_sql.get, id=ident, thread=thread)
    if row is None:
        raise no_such("message", ident)
    return row


def _message(row: Row) -> Message:
    return replace(to_message(row["body"]), position=row["position"])
