"""Keep a run's own calls and results within what is left for them, turn after turn.

The thread's selection is frozen for a run, and its steps are only appended to, so each turn's prompt begins with the
last one's. When the steps no longer fit, old results are cleared, all but the newest few at once (a break of the
provider's cache must pay), then long ones are clipped.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from respun.core.chat import ChatMessage, ToolMessage
from respun.core.context.clip import clip_to_ends, join
from respun.core.context.languages import Language
from respun.core.context.passages import Count, split
from respun.core.context.thread import Written
from respun.core.context.window import CLEARED_TOKENS, RESULTS_KEPT

_LONG_RESULT: Final = 2_500
_SHORTEST: Final = 250


class Steps(Struct, frozen=True):
    """`cleared`: the first so many of the steps are cleared; give it back with the next turn. `fits`: they do."""

    messages: tuple[ChatMessage, ...]
    cleared: int
    tokens: int
    fits: bool


def fit_steps(
    steps: Sequence[ChatMessage],
    room: int,
    count: Count,
    cost: Sequence[int],
    *,
    cleared: int = 0,
    query: Mapping[str, int] | None = None,
    language: Language = "other",
) -> Steps:
    """`cost` is the tokens of each step; `query` weighs the words whose passages stay."""
    sent = [_cleared(step, cost[at]) if at < cleared else step for at, step in enumerate(steps)]
    costs = [min(cost[at], CLEARED_TOKENS) if sent[at] is not step else cost[at] for at, step in enumerate(steps)]
    if sum(costs) <= room:
        return Steps(tuple(sent), cleared, sum(costs), fits=True)
    results = [at for at, step in enumerate(steps) if isinstance(step, ToolMessage)]
    until = results[-RESULTS_KEPT] if len(results) > RESULTS_KEPT else 0
    if until > cleared:
        return fit_steps(steps, room, count, cost, cleared=until, query=query, language=language)
    longest = _LONG_RESULT
    while sum(costs) > room and longest >= _SHORTEST:
        for at in results:
            if costs[at] > longest:
                sent[at], costs[at] = _clipped(steps[at], longest, count, query or {}, language)
        longest //= 2
    return Steps(tuple(sent), cleared, sum(costs), fits=sum(costs) <= room)


def _cleared(step: ChatMessage, tokens: int) -> ChatMessage:
    if isinstance(step, ToolMessage) and tokens > CLEARED_TOKENS:
        return ToolMessage(step.tool_call_id, f"[result of {tokens} tokens cleared]")
    return step


def _clipped(
    step: ChatMessage, tokens: int, count: Count, query: Mapping[str, int], language: Language
) -> tuple[ChatMessage, int]:
    assert isinstance(step, ToolMessage)
    written = Written(step.content, split(step.content, count))
    clip = clip_to_ends(written, query, language, tokens - CLEARED_TOKENS)
    if clip is None:
        return _cleared(step, count(step.content)), CLEARED_TOKENS
    return ToolMessage(step.tool_call_id, join(step.content, clip.spans)), clip.tokens + CLEARED_TOKENS
