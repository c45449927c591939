"""What a run sends of its thread: chosen once, frozen for the run, and told in its events.

Short threads are read and sent whole. A thread that outgrows what a model holds has an index (`indexing`), which is
asked for what the question needs; the fitter itself is `respun.core.context`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from msgspec import Struct, structs

from respun.core import chat
from respun.core.context.fit import Ask, fit
from respun.core.context.joined import Joined
from respun.core.context.languages import Language
from respun.core.context.meaning import Meant
from respun.core.context.passages import Count
from respun.core.context.recent import Recent
from respun.core.context.selection import DoesNotFit, Excerpt, Kept, Selection, WindowState
from respun.core.context.strategies import Auto, Strategy
from respun.core.context.words import guess_language
from respun.core.events import ContextItem
from respun.core.runs import Context, DigestUse, TruncationType, Vectors
from respun.core.threads import Message
from respun.engine.digests import Digests, Shown
from respun.engine.history import Item, Newest, load_entries, read_newest
from respun.engine.indexing import Indexing
from respun.engine.meanings import Asked, Meaning, Meanings
from respun.store import contexts
from respun.store.backend import Backend, Tx
from respun.store.contexts import Known
from respun.store.thread_index import StoredPart

_RUNS_BEFORE: Final = 4
_ALIKE: Final = 0.2
"""A budget that differs by less goes on with the window of the run before."""
_UNREAD_MOST: Final = 12
"""Items behind the end of an index before it is extended."""
_READ_AT_ONCE: Final = 40
"""Items that a run reads the words of by itself; with more it waits a moment for the index."""
_PATIENCE: Final = 1.5


class Wanted(Struct, frozen=True):
    """What to choose. `run` may be empty (a dry run); `query` is a question that is not in the thread."""

    thread: str
    run: str
    model: str
    window: int
    budget: int
    strategy: Strategy
    drafts: tuple[Message, ...] = ()
    query: str | None = None
    before: WindowState | None = None
    """Where the window of the run before began; None to look it up."""
    vectors: Vectors | None = None
    """What this run was told of them at its first turn."""


class Chosen(Struct, frozen=True):
    """`messages` are those of the selection, by their places; `context` and `items` tell of it."""

    selection: Selection
    messages: Mapping[int, chat.ChatMessage]
    context: Context
    items: tuple[ContextItem, ...]
    digest: str = ""


class _Read(Struct, frozen=True):
    known: Known | None
    newest: Newest
    outcome: Selection | DoesNotFit
    messages: Mapping[int, chat.ChatMessage]
    names: Mapping[int, str]
    before: WindowState

    @property
    def unread(self) -> int:
        return len(self.newest.items) + self.newest.missing


class _Beyond(Struct, frozen=True):
    """What a run that wants it is shown beyond words: what they mean, and a digest of them."""

    meaning: Meaning | None = None
    digest: Shown | None = None


class Chooser:
    """Chooses what runs send. `seconds` is a clock for durations."""

    def __init__(
        self,
        backend: Backend,
        indexing: Indexing,
        count: Count,
        seconds: Callable[[], float],
        meanings: Meanings | None = None,
        digests: Digests | None = None,
    ) -> None:
        self._backend = backend
        self._meanings = meanings
        self._digests = digests
        self._indexing = indexing
        self._count = count
        self._seconds = seconds

    async def choose(self, wanted: Wanted) -> Chosen | DoesNotFit:
        begun = self._seconds()
        beyond = _Beyond(await self._meaning(wanted), await self._digest(wanted))
        read = await self._backend.read(lambda tx: self._read(tx, wanted, beyond, patient=True))
        if read is None:
            await self._indexing.build(wanted.thread, _PATIENCE)
            read = await self._backend.read(lambda tx: self._read(tx, wanted, beyond, patient=False))
            assert read is not None
        outcome = read.outcome
        if isinstance(outcome, DoesNotFit):
            return outcome
        if read.unread > _UNREAD_MOST and (read.known or outcome.total * 2 > wanted.budget):
            self._indexing.schedule(wanted.thread)
        if self._digests and beyond.digest and wanted.run and outcome.state.start > 1:
            await self._digests.want(wanted.thread, wanted.model, outcome.state.start)
        context = _context(wanted, outcome, read.before, (self._seconds() - begun) * 1000, beyond)
        items = [*_digest_item(context), *_items(outcome, read.names)]
        return Chosen(outcome, read.messages, context, tuple(items), beyond.digest.text if beyond.digest else "")

    async def _meaning(self, wanted: Wanted) -> Meaning | None:
        if self._meanings is None or not (isinstance(wanted.strategy, Auto) and wanted.strategy.vectors):
            return None
        return await self._meanings.of(Asked(wanted.thread, wanted.run, wanted.drafts, wanted.query, wanted.vectors))

    async def _digest(self, wanted: Wanted) -> Shown | None:
        if self._digests is None or not (isinstance(wanted.strategy, Auto) and wanted.strategy.digest):
            return None
        return await self._digests.of(wanted.run, wanted.thread, wanted.model)

    async def _read(self, tx: Tx, wanted: Wanted, beyond: "_Beyond", *, patient: bool) -> _Read | None:
        """None: there is more to read than a run should; once the index has it, it is worth asking again."""
        known = await contexts.find(tx, wanted.thread)
        newest = await read_newest(tx, wanted.thread, wanted.run, wanted.drafts, known, self._count, room=wanted.budget)
        tokens = sum(newest.tokens) + (known.tokens if known else 0)
        overflows = tokens > wanted.budget or newest.missing > 0
        if patient and overflows and len(newest.items) + newest.missing > _READ_AT_ONCE:
            return None
        before = wanted.before or (await _before(tx, wanted) if overflows else WindowState())
        digest = beyond.digest.tokens if beyond.digest else 0
        ask = Ask(wanted.budget, wanted.strategy, before, wanted.query, digest)
        index, first = self._index(tx, known, newest, spoken=overflows)
        outcome = await fit(ask, Meant(index, beyond.meaning.near) if beyond.meaning else index)
        messages: dict[int, chat.ChatMessage] = {}
        names: dict[int, str] = {}
        if isinstance(outcome, Selection):
            needed = outcome.positions()
            for n in needed:
                if n >= first:
                    item = newest.items[n - first]
                    messages[n], names[n] = item.message, item.source
            if known:
                loaded = await load_entries(tx, known, needed)
                messages.update(loaded.messages)
                names.update(loaded.names)
        return _Read(known, newest, outcome, messages, names, before)

    def _index(self, tx: Tx, known: Known | None, newest: Newest, *, spoken: bool) -> tuple[Joined, int]:
        """`spoken`: the words count. Where all of a thread fits nobody asks for them, nor for their language."""
        language = known.language if known else _language(newest.items if spoken else ())
        first = (known.last if known else 0) + newest.missing + 1
        said = [item.said for item in newest.items]
        recent = Recent(said, newest.tokens, self._count, language, first)
        older = StoredPart(tx, known) if known else Recent((), (), self._count, language)
        return Joined(older, recent, newest.missing), first


def _language(items: Sequence[Item]) -> Language:
    return guess_language(item.said.text for item in items[:100])


async def _before(tx: Tx, wanted: Wanted) -> WindowState:
    """Where the window began in the newest run with this model and about this budget."""
    for context in await contexts.newest_choices(tx, wanted.thread, _RUNS_BEFORE):
        alike = abs(context.budget - wanted.budget) <= _ALIKE * wanted.budget
        if context.model == wanted.model and context.strategy == "auto" and alike:
            return WindowState(context.start, context.cleared)
    return WindowState()


def _context(wanted: Wanted, selection: Selection, before: WindowState, ms: float, beyond: _Beyond) -> Context:
    return Context(
        strategy=cast("TruncationType", wanted.strategy.__struct_config__.tag),
        model=wanted.model,
        window=wanted.window,
        budget=selection.budget,
        used=selection.used,
        total=selection.total,
        messages=selection.messages,
        whole=selection.whole,
        clipped=selection.clipped,
        pinned=len({each.n for each in selection.pinned}),
        recalled=len({each.n for each in selection.recalled}),
        dropped=selection.dropped,
        start=selection.state.start,
        cleared=selection.state.cleared,
        ms=round(ms, 2),
        start_before=before.start,
        cleared_before=before.cleared,
        vectors=beyond.meaning.vectors if beyond.meaning else None,
        digest=_digest_use(selection, beyond.digest.use) if beyond.digest else None,
    )


def _digest_use(selection: Selection, use: DigestUse) -> DigestUse:
    if selection.digest or use.status != "used":
        return use
    return structs.replace(use, status="not_needed" if selection.total <= selection.budget else "too_long", tokens=0)


def _digest_item(context: Context) -> list[ContextItem]:
    told = context.digest
    if told is None or told.status != "used":
        return []
    return [ContextItem("digest", 1, told.upto, told.tokens)]


def _items(selection: Selection, names: Mapping[int, str]) -> list[ContextItem]:
    """All that is sent and left out; whole messages of the window in a row are one item, and so are dropped ones."""
    sent = {each.n for each in selection.each()}
    items = [_excerpt("pinned", each, names) for each in selection.pinned]
    items += [
        ContextItem("dropped", cut.first, cut.last, reason=cut.reason)
        for cut in selection.cuts
        if cut.tokens is None and cut.first not in sent
    ]
    items += [_excerpt("recalled", each, names) for each in selection.recalled]
    row: list[Kept] = []
    for each in (*selection.window, None):
        if row and (each is None or each.n != row[-1].n + 1 or _cut(each) or _cut(row[-1])):
            items.append(_window(row, names))
            row = []
        if each is not None:
            row.append(each)
    return items


def _cut(kept: Kept) -> bool:
    return kept.cleared or kept.spans is not None


def _window(row: Sequence[Kept], names: Mapping[int, str]) -> ContextItem:
    first, last = row[0], row[-1]
    return ContextItem(
        "window",
        first.n,
        last.n,
        sum(each.tokens for each in row),
        sum(each.of for each in row),
        names.get(first.n, ""),
        names.get(last.n, ""),
        first.role if len(row) == 1 else "",
        tuple((span.start, span.end) for span in first.spans or ()),
        "old_result" if first.cleared else "too_long" if first.spans else "",
    )


def _excerpt(kind: str, each: Excerpt, names: Mapping[int, str]) -> ContextItem:
    name = names.get(each.n, "")
    parts = tuple((span.start, span.end) for span in each.spans or ())
    reason = "too_long" if parts else ""
    assert kind in ("pinned", "recalled")
    return ContextItem(kind, each.n, each.n, each.tokens, each.of, name, name, each.role, parts, reason)  # type: ignore[arg-type]
