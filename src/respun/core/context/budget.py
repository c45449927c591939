"""How many tokens of a thread one model call has room for."""

from typing import Final, Literal

from msgspec import Struct

_MARGIN: Final = 0.03
"""Share of the model's window that is left free: our count of another maker's tokens may be off."""


class Limits(Struct, frozen=True):
    """Tokens. `model_window` and `max_output` are the model's; the others are the caller's wishes, None for none."""

    model_window: int
    max_output: int
    max_prompt: int | None = None
    """What is left of the run's `max_prompt_tokens`."""
    max_context: int | None = None
    """`max_context_tokens` of the truncation strategy, or the server's own limit for a thread."""


class Fixed(Struct, frozen=True):
    """Tokens of what every prompt of the run holds beside the thread."""

    instructions: int = 0
    tools: int = 0
    steps: int = 0
    """This run's own calls and results so far, or what is set aside for them."""

    @property
    def total(self) -> int:
        return self.instructions + self.tools + self.steps


class Room(Struct, frozen=True):
    """`tokens` for the thread, and which limit set them."""

    tokens: int
    bound: Literal["model_window", "max_prompt_tokens", "max_context_tokens"]


class NoRoom(Struct, frozen=True):
    """What is fixed alone needs `needed` tokens where `bound` allows `allowed`."""

    needed: int
    allowed: int
    bound: Literal["model_window", "max_prompt_tokens", "max_context_tokens"]


def thread_room(limits: Limits, fixed: Fixed) -> Room | NoRoom:
    """The budget for `fit`, the newest message included. `max_context` limits the thread, the others the prompt."""
    room = _narrowest(limits, fixed)
    if room.tokens > 0:
        return room
    return NoRoom(needed=fixed.total, allowed=room.tokens + fixed.total, bound=room.bound)


def _narrowest(limits: Limits, fixed: Fixed) -> Room:
    window = limits.model_window - limits.max_output - int(limits.model_window * _MARGIN)
    rooms = [Room(window - fixed.total, "model_window")]
    if limits.max_prompt is not None:
        rooms.append(Room(limits.max_prompt - fixed.total, "max_prompt_tokens"))
    if limits.max_context is not None:
        rooms.append(Room(limits.max_context, "max_context_tokens"))
    return min(rooms, key=lambda room: room.tokens)
