"""Rows of the indexes of long threads: what the context fitter (`respun.core.context`) asks of a thread's past.

A thread has no index until one is begun with `create`; it then grows by `extend`, always from where it ends. Deletes
keep it in step within their own transaction.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from respun.core.context.languages import Language
from respun.core.context.passages import Passage
from respun.core.context.reading import Reading
from respun.core.context.score import FRAME_TOKENS, impact
from respun.core.context.statements import Force
from respun.core.context.thread import Facts, Role
from respun.core.context.words import terms
from respun.core.runs import Context, Step
from respun.core.threads import Message
from respun.store.backend import Row, Tx
from respun.store.codec import to_message, to_run, to_step
from respun.store.statements import load

sql: Final = load("contexts")
_vectors: Final = load("context_vectors")
_digests: Final = load("context_digests")
CALLS: Final = 1
PREFERS: Final = 2
_FORCE_NUMBERS: Final[dict[Force | None, int]] = {None: 0, "rule": 1, "fact": 2}
PIN: Final = "pin"
_PURGED_AT_ONCE: Final = 2_000
BULK: Final = 256
"""So many messages between two runs, and the index is built before a run asks for it."""

_encode: Final = msgspec.json.Encoder().encode
_passages: Final = msgspec.json.Decoder(list[int]).decode


class Known(Struct, frozen=True):
    """An index: messages up to position `upto` are its entries 1 to `last`, of which `size` are still there."""

    id: int
    thread: str
    language: Language
    upto: int
    last: int
    size: int
    tokens: int


class Entry(Struct, frozen=True):
    """What the model reads at one place of the thread: a message (`source`), or `part` of a step.

    `day` as 2026-11-21.
    """

    source: str
    part: int
    role: Role
    calls: bool
    pinned: bool
    day: str
    reading: Reading


class Source(Struct, frozen=True):
    """Where the text of entry `n` stands, and its passages as pairs of characters with their tokens."""

    n: int
    source: str
    part: int
    role: Role
    calls: bool
    tokens: int
    passages: str


class Texts(Struct, frozen=True):
    """Messages and steps by their ids; what is gone is absent."""

    messages: Mapping[str, Message]
    steps: Mapping[str, Step]


async def find(tx: Tx, thread: str) -> Known | None:
    row = await tx.one(sql.find, thread=thread)
    if row is None:
        return None
    language = cast("Language", row["language"])
    return Known(row["id"], row["thread"], language, row["upto"], row["last"], row["size"], row["tokens"])


async def newest_choices(tx: Tx, thread: str, limit: int) -> list[Context]:
    """What the newest runs of the thread sent, newest first."""
    rows = await tx.all(sql.newest_runs, thread=thread, limit=limit)
    return [run.context for row in rows if (run := to_run(row["body"])).context is not None]


async def stored_below(tx: Tx, ids: Sequence[str], position: int) -> set[str]:
    """Which of these messages are stored at this position or before it."""
    rows = await tx.all(sql.messages, ids=list(ids))
    return {row["id"] for row in rows if row["position"] <= position}


async def create(tx: Tx, thread: str, language: Language) -> None:
    """Begin the index of a thread; nothing if it has one, or if the thread is gone."""
    if await tx.one(sql.hold_thread, thread=thread):
        await tx.run(sql.create, thread=thread, language=language)


async def extend(tx: Tx, known: Known, entries: Sequence[Entry], upto: int) -> bool:
    """Add what was read behind the end of the index; False if somebody else has done so, or the thread is gone.

    `upto` is the position of the last message that was read.
    """
    if await tx.one(sql.hold_thread, thread=known.thread) is None:
        return False
    entries = await _still_there(tx, entries)
    tokens = sum(entry.reading.tokens for entry in entries)
    numbers = {"upto": upto, "entries": len(entries), "tokens": tokens, "before": known.upto}
    if not await tx.run(sql.extend, context=known.id, **numbers):
        return False
    placed = list(enumerate(entries, known.last + 1))
    await tx.many(sql.add_entry, [_row(known.id, n, entry) for n, entry in placed])
    await _add_words(tx, known.id, placed)
    for n, entry in placed:
        await _add_standing(tx, known.id, n, entry)
    await tx.run(_vectors.want_more, context=known.id)
    return True


async def forget(tx: Tx, message: Message) -> None:
    """A message is deleted: so is all that an index had of it."""
    for row in await tx.all(sql.entries_of, source=message.id):
        await _forget(tx, row, message)


async def pin(tx: Tx, message: Message) -> None:
    """The message's metadata say whether it is to be kept in every prompt."""
    for row in await tx.all(sql.entries_of, source=message.id):
        if is_pinned(message):
            place = {"force": 0, "n": row["n"], "first": 0, "last": 0, "tokens": 0}
            await tx.run(sql.add_standing, context=row["context"], **place)
        else:
            await tx.run(sql.unpin, context=row["context"], n=row["n"])


def is_pinned(message: Message) -> bool:
    return message.metadata.get(PIN) == "true"


async def ask_build(tx: Tx, thread: str, first: int, last: int) -> None:
    """After messages `first` to `last` were added: many of them are read before a run has to wait for it."""
    if (first - 1) // BULK != last // BULK:
        await tx.run(sql.to_build, thread=thread)


async def next_build(tx: Tx) -> str | None:
    row = await tx.one(sql.next_build)
    return row["thread"] if row else None


async def built(tx: Tx, thread: str) -> None:
    await tx.run(sql.built, thread=thread)


async def drop(tx: Tx, thread: str) -> None:
    """The thread has no index any more; its rows go with `purge_some`."""
    await tx.run(sql.built, thread=thread)
    row = await tx.one(sql.drop, thread=thread)
    if row is not None:
        await tx.run(_digests.drop, context=row["id"])
        await tx.run(sql.to_purge, context=row["id"])


async def purge_some(tx: Tx) -> bool:
    """Remove some rows of dropped indexes; whether there may be more."""
    row = await tx.one(sql.next_purge)
    if row is None:
        return False
    for statement in (sql.purge_postings, sql.purge_terms, sql.purge_entries, sql.purge_standing, _vectors.purge):
        if await tx.run(statement, context=row["context"], limit=_PURGED_AT_ONCE):
            return True
    await tx.run(_vectors.purge_state, context=row["context"])
    await tx.run(sql.purged, context=row["context"])
    return True


async def sources(tx: Tx, known: Known, ns: Collection[int]) -> list[Source]:
    """Where the texts of entries stand, in order."""
    if not ns:
        return []
    rows = await tx.all(sql.sources, context=known.id, ns=sorted(ns))
    found = [
        Source(n, source, part, role, flags & CALLS != 0, tokens, passages)
        for n, source, part, role, tokens, flags, passages in rows
    ]
    return sorted(found, key=_place)


async def texts(tx: Tx, wanted: Iterable[Source]) -> Texts:
    from_steps, from_messages = set[str](), set[str]()
    for source in wanted:
        (from_steps if source.calls or source.role == "tool" else from_messages).add(source.source)
    messages: dict[str, Message] = {}
    steps: dict[str, Step] = {}
    if from_messages:
        for row in await tx.all(sql.messages, ids=sorted(from_messages)):
            messages[row["id"]] = msgspec.structs.replace(to_message(row["body"]), position=row["position"])
    if from_steps:
        for row in await tx.all(sql.steps, ids=sorted(from_steps)):
            steps[row["id"]] = to_step(row["body"])
    return Texts(messages, steps)


async def steps_of_runs(tx: Tx, runs: Collection[str]) -> dict[str, list[Step]]:
    """The steps of each of these runs, in order."""
    found: dict[str, list[Step]] = {}
    if runs:
        for row in await tx.all(sql.steps_of_runs, runs=sorted(runs)):
            found.setdefault(row["run"], []).append(to_step(row["body"]))
    return found


def facts_of(row: Iterable[Any]) -> Facts:
    """From n, role, tokens, flags and day, in this order."""
    n, role, tokens, flags, day = row
    return Facts(n, role, tokens, flags & CALLS != 0, flags & PREFERS != 0, day)


def _place(source: Source) -> int:
    return source.n


def passages_of(source: Source, text: str) -> tuple[Passage, ...]:
    """A text of one passage stands without any."""
    if not source.passages:
        return (Passage(0, len(text), source.tokens - FRAME_TOKENS),)
    flat = _passages(source.passages)
    return tuple(Passage(*flat[at : at + 3]) for at in range(0, len(flat), 3))


async def _still_there(tx: Tx, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Messages may have been deleted while they were read; steps go only with their thread."""
    ids = [entry.source for entry in entries if not entry.calls and entry.role != "tool"]
    if not ids:
        return entries
    there = {row["id"] for row in await tx.all(sql.messages, ids=ids)}
    return [entry for entry in entries if entry.calls or entry.role == "tool" or entry.source in there]


def _row(context: int, n: int, entry: Entry) -> tuple[Any, ...]:
    flags = CALLS * entry.calls + PREFERS * entry.reading.prefers
    passages = entry.reading.passages
    flat = [number for each in passages for number in (each.start, each.end, each.tokens)]
    alone = len(passages) == 1 and passages[0].tokens == entry.reading.tokens - FRAME_TOKENS
    kept = "" if alone else _encode(flat).decode()
    return (context, n, entry.source, entry.part, entry.role, entry.reading.tokens, flags, entry.day, kept)


async def _add_words(tx: Tx, context: int, placed: Sequence[tuple[int, Entry]]) -> None:
    postings = [(context, term, worth, n) for n, entry in placed for term, worth in entry.reading.impacts.items()]
    sizes = Counter(term for _, term, _, _ in postings)
    # In the order of the keys: nodes that count the same terms then wait for each other, not in a circle.
    await tx.many(sql.add_posting, sorted(postings))
    await tx.many(sql.count_term, [(context, term, size) for term, size in sorted(sizes.items())])


async def _add_standing(tx: Tx, context: int, n: int, entry: Entry) -> None:
    if entry.pinned:
        await tx.run(sql.add_standing, context=context, force=0, n=n, first=0, last=0, tokens=0)
    for each in entry.reading.statements:
        place = {"first": each.passage.start, "last": each.passage.end, "tokens": each.passage.tokens}
        await tx.run(sql.add_standing, context=context, force=_FORCE_NUMBERS[each.force], n=n, **place)


async def _forget(tx: Tx, row: Row, message: Message) -> None:
    context, n, role, tokens = row["context"], row["n"], row["role"], row["tokens"]
    language = await tx.one(sql.language, context=context)
    if language is None:
        return
    found = Counter(terms(message.text, language["language"]))
    for term, times in sorted(found.items()):
        worth = impact(times, found.total(), role, tokens)
        await tx.run(sql.drop_posting, context=context, term=term, impact=worth, n=n)
        await tx.run(sql.count_term, context=context, term=term, size=-1)
        await tx.run(sql.drop_term, context=context, term=term)
    await tx.run(sql.drop_standing, context=context, n=n)
    await tx.run(_vectors.drop, context=context, n=n)
    await tx.run(_digests.invalidate, context=context, n=n)
    await tx.run(sql.drop_entry, context=context, n=n)
    await tx.run(sql.shrink, context=context, tokens=tokens)
