"""Choose which messages of a thread a run sends to its model.

Promises, whatever the strategy: never more than the budget; the newest user message is never cut; a call is never
parted from its results; the same thread, question and budget give the same selection. `Auto` also promises to
shorten before it leaves out. Texts are read only of messages that are clipped or asked with.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from respun.core.context.digest import SHARE as DIGEST_SHARE
from respun.core.context.query import read_query, weights_of
from respun.core.context.recall import HEADING_TOKENS, choose_pins, most_pinned, read_standing, recall
from respun.core.context.selection import Cut, DoesNotFit, Excerpt, Kept, Reason, Selection, WindowState
from respun.core.context.strategies import Auto, Disabled, DropMiddle, LastMessages, Strategy
from respun.core.context.thread import AFTER_ALL, Facts, Shape, ThreadIndex
from respun.core.context.window import Tail, place, read_tail, settle, units

_LEAST_RECALL: Final = 60
_PAGE: Final = 256


class Ask(Struct, frozen=True):
    """What a run wants to send. `budget` is tokens for messages of the thread (`budget.thread_room`).

    `query`: the newest user message, if it is not in the thread (a dry run); the caller then keeps room for it.
    `state`: the one of the selection before, for this thread, model and budget.
    """

    budget: int
    strategy: Strategy = Auto()
    state: WindowState = WindowState()
    query: str | None = None
    digest: int = 0
    """What a summary of what was before the window would cost; it is sent if there is room for it."""


async def fit(ask: Ask, index: ThreadIndex) -> Selection | DoesNotFit:
    """Read the thread as little as it takes, and select."""
    shape = await index.shape()
    fits = shape.tokens <= ask.budget
    start = ask.state.start if isinstance(ask.strategy, Auto) and not fits else 1
    tail = await read_tail(index, ask.budget, start, asked=ask.query is None)
    refusal = _refusal(ask, shape, tail)
    if refusal:
        return refusal
    if isinstance(ask.strategy, LastMessages):
        return _keep_newest(ask, shape, tail, ask.strategy.count, "too_old")
    if fits:
        return _selected(ask, shape, tail, window=tuple(map(_whole, tail.facts)), reason="too_old")
    if isinstance(ask.strategy, Auto):
        return await _fit_auto(ask, ask.strategy, shape, tail, index)
    if isinstance(ask.strategy, DropMiddle):
        return await _keep_ends(ask, shape, tail, index)
    return _keep_newest(ask, shape, tail, len(tail.facts), "too_old")


def _refusal(ask: Ask, shape: Shape, tail: Tail) -> DoesNotFit | None:
    if tail.newest and tail.newest.tokens > ask.budget:
        return DoesNotFit("newest_message", tail.newest.tokens, ask.budget)
    if isinstance(ask.strategy, Disabled) and shape.tokens > ask.budget:
        return DoesNotFit("thread", shape.tokens, ask.budget)
    return None


async def _fit_auto(ask: Ask, auto: Auto, shape: Shape, tail: Tail, index: ThreadIndex) -> Selection:
    budget = ask.budget - _tokens_of_newest(tail)
    share = min(int(budget * auto.recall_share), auto.recall_max_tokens)
    standing = await read_standing(index) if auto.pins else ()
    pinned_most = most_pinned(standing, budget)
    digest = ask.digest if auto.digest and ask.digest * DIGEST_SHARE <= budget else 0
    limit = budget - digest - share - max(0, pinned_most - share // 2)
    window = settle(tail, max(0, limit), ask.state, auto.window_keep)
    query = await _query(ask, tail, shape, index)
    placed = await place(window, index, _rough(query), shape.language)
    below = min((each.n for each in placed), default=AFTER_ALL)
    pins = await choose_pins(index, standing, shape.language, below, budget)
    left = ask.budget - sum(each.tokens for each in placed) - pins.tokens
    digest = digest if digest <= left else 0
    left -= digest
    room = left if auto.fill else min(share, left)
    recalled = await recall(index, query, shape.language, below, room) if room >= _LEAST_RECALL and query else ()
    chosen = _selected(
        ask, shape, tail, placed, "less_relevant", pinned=pins.excerpts, recalled=recalled, state=window.state
    )
    return structs.replace(chosen, digest=digest, used=chosen.used + digest)


async def _query(ask: Ask, tail: Tail, shape: Shape, index: ThreadIndex) -> dict[str, float]:
    if ask.query is not None:
        return weights_of(ask.query, shape.language)
    return await read_query(index, tail.facts, shape.language)


def _rough(query: Mapping[str, float]) -> dict[str, int]:
    """Weights without regard to how rare a term is: enough to choose passages of one message."""
    return {term: round(1000 * weight) for term, weight in query.items()}


def _keep_newest(ask: Ask, shape: Shape, tail: Tail, count: int, reason: Reason) -> Selection:
    """The newest `count` messages while they fit, and the newest user message if it is one of them."""
    among = tail.facts[max(0, len(tail.facts) - count) :]
    kept = _newest_that_fit(among, tail.newest, ask.budget)
    return _selected(ask, shape, tail, tuple(_whole(each) for each in among if each.n in kept), reason)


async def _keep_ends(ask: Ask, shape: Shape, tail: Tail, index: ThreadIndex) -> Selection:
    half = min(ask.budget // 2, ask.budget - _tokens_of_newest(tail))
    head = await _oldest_that_fit(index, half, tail.newest)
    kept = _newest_that_fit(tail.facts, tail.newest, ask.budget - sum(each.tokens for each in head))
    window = [*head, *(each for each in tail.facts if each.n in kept)]
    return _selected(ask, shape, tail, tuple(map(_whole, window)), "middle")


def _newest_that_fit(facts: Sequence[Facts], newest: Facts | None, room: int) -> set[int]:
    kept: set[int] = set()
    if newest and newest in facts:
        kept.add(newest.n)
        room -= newest.tokens
    for unit in reversed(units(facts)):
        if unit[0] is newest:
            continue
        room -= sum(each.tokens for each in unit)
        if room < 0 or unit[0].role == "tool":
            break  # results whose call is out of reach go with it
        kept.update(each.n for each in unit)
    return kept


async def _oldest_that_fit(index: ThreadIndex, room: int, newest: Facts | None) -> list[Facts]:
    found: list[Facts] = []
    while page := await index.after(found[-1].n if found else 0, _PAGE):
        found += page
        if sum(each.tokens for each in found) > room:
            break
    kept: list[Facts] = []
    for unit in units(found):
        room -= sum(each.tokens for each in unit)
        if room < 0 or unit[0] == newest:
            break
        kept += unit
    return kept


def _selected(
    ask: Ask,
    shape: Shape,
    tail: Tail,
    window: tuple[Kept, ...],
    reason: Reason,
    *,
    pinned: tuple[Excerpt, ...] = (),
    recalled: tuple[Excerpt, ...] = (),
    state: WindowState | None = None,
) -> Selection:
    everything: list[Kept | Excerpt] = [*pinned, *recalled, *window]
    headings = HEADING_TOKENS * (bool(pinned) + bool(recalled))
    used = sum(each.tokens for each in everything) + headings
    return Selection(
        budget=ask.budget,
        used=used,
        total=shape.tokens,
        messages=shape.count,
        state=state or ask.state,
        pinned=pinned,
        window=window,
        recalled=recalled,
        newest=tail.newest.n if tail.newest else None,
        cuts=tuple(sorted([*_shortened(everything), *_left_out(everything, shape.last, reason)], key=_first)),
    )


def _left_out(kept: Collection[Kept | Excerpt], last: int, reason: Reason) -> Iterable[Cut]:
    before = 0
    for n in [*sorted({each.n for each in kept}), last + 1]:
        if n > before + 1:
            yield Cut(before + 1, n - 1, reason)
        before = n


def _shortened(kept: Iterable[Kept | Excerpt]) -> Iterable[Cut]:
    sent: dict[int, Kept | Excerpt] = {}
    for each in kept:
        known = sent.get(each.n)
        if known is None or (known.spans is not None and (each.spans is None or each.tokens > known.tokens)):
            sent[each.n] = each
    for each in sent.values():
        if isinstance(each, Kept) and each.cleared:
            yield Cut(each.n, each.n, "old_result", each.of - each.tokens)
        elif each.spans is not None:
            yield Cut(each.n, each.n, "too_long", max(0, each.of - each.tokens))


def _first(cut: Cut) -> int:
    return cut.first


def _whole(facts: Facts) -> Kept:
    return Kept(facts.n, facts.role, facts.tokens, facts.tokens)


def _tokens_of_newest(tail: Tail) -> int:
    return tail.newest.tokens if tail.newest else 0
