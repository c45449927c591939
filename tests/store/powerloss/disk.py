"""What is on a disk after a power cut: what was synced, and of the rest a random half of the 512-byte sectors."""

import struct
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

_HEADER = struct.Struct("=cB6xqq")
_SECTOR = 512


class Step(NamedTuple):
    """One thing that the recorded process did to a file."""

    what: str  # o, w, t, s, u
    name: str
    offset: int
    content: bytes


def steps(log: Path) -> list[Step]:
    raw, at, found = log.read_bytes(), 0, []
    while at < len(raw):
        what, name_length, offset, length = _HEADER.unpack_from(raw, at)
        at += _HEADER.size
        name = raw[at : at + name_length].decode()
        at += name_length
        content = raw[at : at + length] if what == b"w" else b""
        at += len(content)
        found.append(Step(what.decode(), name, offset, content))
    return found


def after_power_cut(done: Sequence[Step], random: Random) -> dict[str, bytearray]:
    """The files' contents when the power goes after these steps."""
    kept: dict[str, bytearray] = {}
    waiting: defaultdict[str, list[Step]] = defaultdict(list)
    for step in done:
        match step.what:
            case "o":
                kept.setdefault(step.name, bytearray())
            case "w" | "t":
                waiting[step.name].append(step)
            case "s":
                for earlier in waiting.pop(step.name, []):
                    _apply(kept[step.name], earlier)
            case "u":
                kept.pop(step.name, None)
                waiting.pop(step.name, None)
    for name, unsynced in waiting.items():
        for part in (part for step in unsynced for part in _sectors(step)):
            if random.random() < 0.5:
                _apply(kept[name], part)
    return kept


def _sectors(step: Step) -> list[Step]:
    if step.what == "t":
        return [step]
    starts = range(0, len(step.content), _SECTOR)
    return [Step("w", step.name, step.offset + at, step.content[at : at + _SECTOR]) for at in starts]


def _apply(content: bytearray, step: Step) -> None:
    content.extend(bytes(max(0, step.offset - len(content))))
    if step.what == "t":
        del content[step.offset :]
    else:
        content[step.offset : step.offset + len(step.content)] = step.content
