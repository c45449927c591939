"""How a run wants its thread cut, as the caller may say it under `truncation_strategy`."""

from typing import Final, Literal

from msgspec import Struct


class Auto(Struct, frozen=True, tag_field="type", tag="auto"):
    """Shorten before anything is dropped, keep what the question asks for.

    `recall_share` (0 to 1) of the budget, at most `recall_max_tokens`, goes to excerpts from before the window; with
    `fill` they take whatever the window leaves. When the window overflows, `window_keep` (0 to 1) of it stays, so
    that its start holds still for many turns and the provider's cache with it. `pins` keeps standing statements.
    `vectors`: excerpts are also chosen by meaning. `digest`: a summary of what is before the window is sent.
    """

    recall_share: float = 1 / 3
    recall_max_tokens: int = 8_000
    window_keep: float = 0.5
    fill: bool = False
    pins: bool = True
    vectors: bool = False
    digest: bool = False


class LastMessages(Struct, frozen=True, tag_field="type", tag="last_messages"):
    """The newest `count` messages, and fewer if they do not fit."""

    count: int


class DropMiddle(Struct, frozen=True, tag_field="type", tag="drop_middle"):
    """Half of the budget for the oldest messages, half for the newest."""


class DropOldest(Struct, frozen=True, tag_field="type", tag="drop_oldest"):
    """As many of the newest messages as fit."""


class Disabled(Struct, frozen=True, tag_field="type", tag="disabled"):
    """All messages or a refusal."""


Strategy = Auto | LastMessages | DropMiddle | DropOldest | Disabled

Preset = Literal["economy", "balanced", "recall"]
PRESETS: Final[dict[Preset, Auto]] = {
    "economy": Auto(recall_share=0.25),
    "balanced": Auto(),
    "recall": Auto(fill=True),
}
