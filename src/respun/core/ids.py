"""Ids: one UUID under each object, spelled as each wire API spells it.

An id in respun is OpenAI's spelling (`thread_` and 24 of [0-9A-Za-z]); it is the UUID in base 62, padded with
zeros, so that no table is needed to show the same object under its plain UUID (Backboard.io). Ids made elsewhere
(imports) keep their spelling; their UUID is derived by name, and whoever imports records the way back.
"""

from typing import Final, Literal
from uuid import UUID, uuid5

Kind = Literal[
    "assistant", "thread", "message", "run", "step", "call", "file", "vector_store", "upload", "part", "batch"
]

# Contract 3.2: prefix and length of what follows it; 32 means hexadecimal.
_FORMS: Final[dict[Kind, tuple[str, int]]] = {
    "assistant": ("asst_", 24),
    "thread": ("thread_", 24),
    "message": ("msg_", 24),
    "run": ("run_", 24),
    "step": ("step_", 24),
    "call": ("call_", 24),
    "file": ("file-", 22),
    "vector_store": ("vs_", 32),
    "upload": ("upload_", 32),
    "part": ("part_", 32),
    "batch": ("vsfb_", 32),
}
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_PAIRS: Final = tuple(a + b for a in _DIGITS for b in _DIGITS)
_IMPORTED: Final = UUID("6d1d7c0a-53a5-4c5f-9a38-0d6a1b7f5e11")


def prefix_of(kind: Kind) -> str:
    return _FORMS[kind][0]


def spell(kind: Kind, uuid: UUID) -> str:
    """The id of the object of this kind that has this UUID."""
    prefix, length = _FORMS[kind]
    if length == 32:
        return prefix + uuid.hex
    return prefix + _base62(uuid.int).rjust(length, "0")


def uuid_of(kind: Kind, ident: str) -> UUID:
    """The UUID of an object: read back from an id made here, derived by name for an imported one."""
    prefix, length = _FORMS[kind]
    body = ident.removeprefix(prefix)
    if ident.startswith(prefix) and len(body) == length:
        number = _number(body, 16 if length == 32 else 62)
        if number is not None and number < 1 << 128:
            return UUID(int=number)
    return uuid5(_IMPORTED, ident)


def _base62(number: int) -> str:
    pairs = []
    while number:
        number, pair = divmod(number, 3844)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))


def _number(body: str, base: int) -> int | None:
    if base == 16:
        return int(body, 16) if all(c in "0123456789abcdef" for c in body) else None
    number = 0
    for digit in body:
        if digit not in _VALUES:
            return None
        number = number * 62 + _VALUES[digit]
    return number
