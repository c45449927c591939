"""The outcome: what is sent, what was cut and why. It is made once for a run, stored with it, and shown."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from respun.core.context.clip import Span
from respun.core.context.thread import Role

# Why a message, or a part of it, is not sent.
Reason = Literal[
    "less_relevant",  # auto: before the window, and not among the excerpts that fit
    "too_long",  # clipped to its best passages
    "old_result",  # an old tool result, replaced by its size
    "too_old",  # drop_oldest, last_messages
    "middle",  # drop_middle
]


class WindowState(Struct, frozen=True):
    """Where the window begins, to be kept per thread, model and budget and given back with the next run.

    Tool results before `cleared` are sent as placeholders. Both only move when the window overflows, so that two
    consecutive prompts share the window byte for byte.
    """

    start: int = 1
    cleared: int = 1


class Kept(Struct, frozen=True):
    """A message in its place: `tokens` are sent `of` its tokens. `spans`: what is sent of its text, None for all.

    `cleared`: a tool result of which only the size is sent.
    """

    n: int
    role: Role
    tokens: int
    of: int
    spans: tuple[Span, ...] | None = None
    cleared: bool = False


class Excerpt(Struct, frozen=True):
    """A message quoted outside its place, in a labelled block."""

    n: int
    role: Role
    tokens: int
    of: int
    spans: tuple[Span, ...] | None = None
    day: str = ""


class Cut(Struct, frozen=True):
    """The messages `first` to `last` were left out or, if clipped or cleared, are sent without `tokens` tokens."""

    first: int
    last: int
    reason: Reason
    tokens: int | None = None


class Selection(Struct, frozen=True):
    """Tokens: `used` of `budget`, out of `total` in the thread; `used` counts labels and marks.

    `newest` is the newest user message, None if the caller has it or the thread has none within reach. Render it
    with `render.render`; store `state` for the thread's next run.
    """

    budget: int
    used: int
    total: int
    messages: int
    state: WindowState
    pinned: tuple[Excerpt, ...]
    window: tuple[Kept, ...]
    recalled: tuple[Excerpt, ...]
    newest: int | None
    cuts: tuple[Cut, ...]
    digest: int = 0
    """Tokens of the summary that is sent of what was before the window, its heading included."""

    def positions(self) -> list[int]:
        """The messages whose text is needed to render this, oldest first."""
        return sorted({each.n for each in self.each()})

    def each(self) -> Iterator[Kept | Excerpt]:
        yield from self.pinned
        yield from self.recalled
        yield from self.window

    @property
    def clipped(self) -> int:
        return len({each.n for each in self.each() if each.spans is not None} - self._whole())

    @property
    def dropped(self) -> int:
        """Messages of which nothing is sent."""
        return self.messages - len({each.n for each in self.each()})

    @property
    def whole(self) -> int:
        return len(self._whole())

    def _whole(self) -> set[int]:
        return {each.n for each in self.each() if each.spans is None}


class DoesNotFit(Struct, frozen=True):
    """Nothing can be sent: `needed` tokens are more than `budget`.

    `what` is the newest user message, which is never cut, or (strategy `disabled`) the thread.
    """

    what: Literal["newest_message", "thread"]
    needed: int
    budget: int
