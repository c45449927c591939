"""The window: the newest messages in their places, with a start that holds still.

Its start moves only when it overflows, and then by half, to a turn's beginning: so the prompts of consecutive turns
share it byte for byte and the provider's cache serves it. A call and its results are never parted; old results are
cleared before a message is lost. Only where the newest exchange alone is too long, its messages are clipped.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from msgspec import Struct

from respun.core.context.clip import clip_to_ends
from respun.core.context.languages import Language
from respun.core.context.score import FRAME_TOKENS
from respun.core.context.selection import Kept, WindowState
from respun.core.context.thread import AFTER_ALL, Facts, ThreadIndex

RESULTS_KEPT: Final = 3
"""The newest tool results stay when the others are cleared."""
CLEARED_TOKENS: Final = 16
"""A placeholder with its frame."""
LEAST_CLIP: Final = 100
"""Tokens: room for one passage, its marks and its frame; a message is not clipped to less."""
_PAGE: Final = 64
_FARTHEST: Final = 1_000
"""Messages beyond the window to walk back in search of a user's."""


class Tail(Struct, frozen=True):
    """The end of a thread, oldest first, and the newest user message in it."""

    facts: tuple[Facts, ...]
    newest: Facts | None

    @property
    def others(self) -> tuple[Facts, ...]:
        return tuple(each for each in self.facts if each is not self.newest)


class Window(Struct, frozen=True):
    """`caps`: tokens that messages of a too long newest exchange may cost; those absent from it stay whole."""

    state: WindowState
    facts: tuple[Facts, ...]
    caps: Mapping[int, int] = {}


async def read_tail(index: ThreadIndex, tokens: int, start: int, *, asked: bool) -> Tail:
    """Back to `start`, or until it costs more than `tokens`, to a turn's beginning; `asked`: to the newest question.

    Tool results count as little as they can be cleared to, so what the window may hold is always read.
    """
    found: list[Facts] = []
    newest: Facts | None = None
    cost, spent, below, page = 0, 0, AFTER_ALL, _PAGE
    while facts := await index.before(below, page):
        for each in facts:
            found.append(each)
            cost += price(each, AFTER_ALL)
            spent += cost > tokens
            if asked and newest is None and each.role == "user":
                newest = each
                continue
            begun = each.n <= start or (spent and (each.role == "user" or spent > _FARTHEST))
            if begun and (newest or not asked or spent > _FARTHEST):
                return Tail(tuple(reversed(found)), newest)
        below, page = found[-1].n, min(page * 2, 1024)
    return Tail(tuple(reversed(found)), newest)


def settle(tail: Tail, limit: int, state: WindowState, keep: float) -> Window:
    """Where the window begins now: where it did if it still fits, else later. `limit` leaves out `tail.newest`."""
    if _holds(tail, limit, state):
        return _window(tail, state)
    cleared = WindowState(state.start, max(state.cleared, _old_results(tail.facts)))
    # A break of the cache must pay: clearing alone is enough only if it frees a good part of the window.
    if cleared.cleared > state.cleared and _holds(tail, int(limit * (1 + keep) / 2), cleared):
        return _window(tail, cleared)
    return _evict(tail, limit, cleared.cleared, keep)


def price(facts: Facts, cleared: int) -> int:
    """What a message of the window costs when results before `cleared` are placeholders."""
    return min(facts.tokens, CLEARED_TOKENS) if facts.role == "tool" and facts.n < cleared else facts.tokens


async def place(window: Window, index: ThreadIndex, weights: Mapping[str, int], language: Language) -> tuple[Kept, ...]:
    """The messages of the window as they are sent, within their caps."""
    texts = await index.load(window.caps) if window.caps else {}
    placed = []
    for each in window.facts:
        cost = price(each, window.state.cleared)
        cap = window.caps.get(each.n, cost)
        if cost <= cap:
            placed.append(Kept(each.n, each.role, cost, each.tokens, cleared=cost < each.tokens))
        elif each.n in texts and (clip := clip_to_ends(texts[each.n], weights, language, cap - FRAME_TOKENS)):
            placed.append(Kept(each.n, each.role, clip.tokens + FRAME_TOKENS, each.tokens, clip.spans))
        elif each.role == "tool":
            placed.append(Kept(each.n, each.role, CLEARED_TOKENS, each.tokens, cleared=True))
    return tuple(placed)


def _holds(tail: Tail, limit: int, state: WindowState) -> bool:
    # Where the walk back ended before `state.start`, it did so for its cost, which is then above the limit, too.
    if tail.newest and tail.newest.n < state.start:
        return False
    inside = [each for each in tail.others if each.n >= state.start]
    return bool(inside) and sum(price(each, state.cleared) for each in inside) <= limit


def _window(tail: Tail, state: WindowState) -> Window:
    return Window(state, tuple(each for each in tail.facts if each.n >= state.start))


def _old_results(facts: Sequence[Facts]) -> int:
    results = [each.n for each in facts if each.role == "tool"]
    return results[-RESULTS_KEPT] if len(results) > RESULTS_KEPT else 1


def _evict(tail: Tail, limit: int, cleared: int, keep: float) -> Window:
    starts = _starts(tail)
    costs = _costs_from(tail, cleared)
    roomy = [start for start in starts if costs[start] <= limit * keep]
    newest = tail.newest.n if tail.newest else AFTER_ALL
    if roomy and roomy[0] < newest:
        return _window(tail, WindowState(roomy[0], cleared))
    exchange = _newest_exchange(starts, costs, newest, limit)
    window = _window(tail, WindowState(exchange, cleared))
    if costs.get(exchange, 0) <= limit:
        return window
    return _squeeze(window, tail.newest, limit)


def _starts(tail: Tail) -> list[int]:
    """Where a window may begin: at a user's message; without any but the newest, at any that is no result."""
    last = tail.newest.n if tail.newest else AFTER_ALL
    users = [each.n for each in tail.facts if each.role == "user" and each.n <= last]
    if [n for n in users if n < last]:
        return users
    return [each.n for each in tail.facts if each.role != "tool" and each.n <= last]


def _costs_from(tail: Tail, cleared: int) -> dict[int, int]:
    """Tokens from each message to the end of the thread, the newest user message left out."""
    backwards = tail.facts[::-1]
    prices = (0 if each is tail.newest else price(each, cleared) for each in backwards)
    return dict(zip((each.n for each in backwards), accumulate(prices), strict=True))


def _newest_exchange(starts: Sequence[int], costs: Mapping[int, int], newest: int, limit: int) -> int:
    """The start of the last turn that is answered, or of the newest one if what follows it is too long by itself."""
    earlier = [start for start in starts if start < newest]
    if not earlier or costs.get(newest, 0) > limit:
        return starts[-1] if starts else AFTER_ALL
    return earlier[-1]


def _squeeze(window: Window, newest: Facts | None, limit: int) -> Window:
    """Clip the messages of a too long exchange, all to the same length, and leave out its oldest calls if it must."""
    question = window.facts[0]
    cleared = window.state.cleared
    left = [unit for unit in units(window.facts) if unit[0] is not newest]
    needed = sum(_least(each, cleared) for unit in left for each in unit)
    while left and needed > limit:
        spared = len(left) > 1 and left[0][0] is question and question.role == "user"
        needed -= sum(_least(each, cleared) for each in left.pop(1 if spared else 0))
    kept = {each.n for unit in left for each in unit}
    facts = tuple(each for each in window.facts if each.n in kept or each is newest)
    return Window(window.state, facts, _share(facts, newest, limit, cleared))


def units(facts: Sequence[Facts]) -> list[list[Facts]]:
    """Messages that stand or fall together: a call with its results, any other message by itself."""
    units: list[list[Facts]] = []
    for each in facts:
        if each.role == "tool" and units and (units[-1][0].calls or units[-1][-1].role == "tool"):
            units[-1].append(each)
        else:
            units.append([each])
    return units


def _least(facts: Facts, cleared: int) -> int:
    """The least that a message may be shortened to; calls are sent as they are."""
    cost = price(facts, cleared)
    return cost if facts.calls else min(cost, LEAST_CLIP)


def _share(facts: Sequence[Facts], newest: Facts | None, limit: int, cleared: int) -> dict[int, int]:
    """A cap for each message that is longer than its fair share of `limit`."""
    fixed = sum(price(each, cleared) for each in facts if each.calls and each is not newest)
    longest = sorted(
        (each for each in facts if not each.calls and each is not newest), key=lambda each: price(each, cleared)
    )
    left = limit - fixed
    caps: dict[int, int] = {}
    for at, each in enumerate(longest):
        share = left // (len(longest) - at)
        cost = price(each, cleared)
        if cost > share:
            caps[each.n] = share
        left -= min(cost, share)
    return caps
