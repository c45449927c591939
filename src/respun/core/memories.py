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


MemoryEvent = Literal["ADD", "UPDATE", "DELETE", "NONE"]
OperationStatus = Literal["pending", "in_progress", "completed", "failed"]


class Change(Struct, frozen=True):
    """What an operation did to one memory. `id` is None for NONE."""

    event: MemoryEvent
    text: str
    id: str | None = None


class Operation(Struct, frozen=True):
    """Something said, to be remembered. `text` is what the user said; `when`, if it is another day than today's.

    `run`: the one that answers it, whose assistant's words are looked at too.
    """

    id: str
    assistant: str
    thread: str
    text: str
    created_at: float
    updated_at: float
    user: str | None = None
    run: str | None = None
    when: str | None = None
    careful: bool = False
    status: OperationStatus = "pending"
    changes: tuple[Change, ...] = ()
    failure: str | None = None
    tries: int = 0


class Memory(Struct, frozen=True):
    """A fact, in words that can be understood alone."""

    id: str
    assistant: str
    text: str
    created_at: float
    updated_at: float
    user: str | None = None
    metadata: dict[str, Any] = {}
