"""Pages of a list between two cursors, alike for every table."""

from collections.abc import Awaitable, Callable
from typing import Final

from respun.core.once import Once
from respun.core.pages import Page, PageRequest, T
from respun.core.problems import Problem
from respun.store.backend import Row, Tx
from respun.store.statements import load

_sql: Final = load("assistants")
_FIRST: Final = 0
_LAST: Final = (1 << 63) - 1

Fetch = Callable[[bool, int, int, int], Awaitable[list[Row]]]
"""(ascending, low, high, limit) -> the rows with low < place < high."""


async def page(
    request: PageRequest,
    place: Callable[[str, str], Awaitable[int]],
    fetch: Fetch,
    decode: Callable[[Row], T],
) -> Page[T]:
    """The page that was asked for. `place(id, param)` says where a cursor stands.

    With `before` alone the page is the one that ends in front of it; otherwise it starts behind `after`.
    """
    ascending = request.order == "asc"
    low, high = _FIRST, _LAST
    if request.after is not None:
        at = await place(request.after, "after")
        low, high = (at, high) if ascending else (low, at)
    if request.before is not None:
        at = await place(request.before, "before")
        low, high = (low, min(high, at)) if ascending else (max(low, at), high)
    backwards = request.before is not None and request.after is None
    rows = await fetch(ascending != backwards, low, high, request.limit + 1)
    items = [decode(row) for row in rows[: request.limit]]
    if backwards:
        items.reverse()
    return Page(tuple(items), len(rows) > request.limit)


async def place_in(tx: Tx, scope: str, ident: str, param: str, row: Row | None) -> int:
    """Where the cursor `ident` stands: at its row, or at the tombstone it left in the list `scope`."""
    if row is None:
        row = await tx.one(_sql.buried, id=ident, scope=scope)
    if row is None:
        raise Problem(
            f"Invalid '{param}': '{ident}' is not the id of an object in this list.", param=param, code="invalid_value"
        )
    place: int = row["place"]
    return place


async def bury(tx: Tx, scope: str, ident: str, place: int) -> None:
    """Remember where a deleted object stood, for cursors that still name it."""
    await tx.run(_sql.bury, id=ident, scope=scope, place=place)


async def buried_before(tx: Tx, once: Once | None, scope: str, ident: str) -> bool:
    """Whether a delete that is sent again has been done before."""
    return once is not None and once.repeated and await tx.one(_sql.buried, id=ident, scope=scope) is not None
