"""Memories: facts that belong to an assistant and outlive its threads, and what a run does with them."""

from typing import Any, Literal

from msgspec import Struct

MemoryMode = Literal["off", "readonly", "auto"]
"""`readonly`: what fits is recalled; `auto`: what is said is remembered as well."""


class Recalled(Struct, frozen=True):
    """A memory that a turn is told. `score` is from 0 to 1."""

    id: str
    text: str
    score: float


class MemoryUse(Struct, frozen=True, omit_defaults=True):
    """What one run does with the memories of its assistant, settled when it is created.

    `user` keeps the memories of people who share an assistant apart; None: those of nobody in particular.
    `careful` recalls more and compares with more before it changes anything. `cite`: the answer is to name what it
    was told. `operation` is under which id what is said will be remembered.
    """

    mode: MemoryMode = "off"
    user: str | None = None
    careful: bool = False
    cite: bool = False
    operation: str | None = None
    recalled: tuple[Recalled, ...] = ()


class MemorySettings(Struct, frozen=True, omit_defaults=True):
    """An assistant's: the mode where a run names none, and prompts in place of the server's own."""

    mode: MemoryMode = "off"
    extraction_prompt: str | None = None
    update_prompt: str | None = None


class Memory(Struct, frozen=True):
    """A fact, in words that can be understood alone."""

    id: str
    assistant: str
    text: str
    created_at: float
    updated_at: float
    user: str | None = None
    metadata: dict[str, Any] = {}
