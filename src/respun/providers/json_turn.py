"""Read a turn that a model writes as one JSON object: `{"reply": ...}` or `{"tool": ..., "arguments": ...}`.

Pure and incremental: the text of a reply comes out while it is being written. What is no such object is taken for
a reply in plain words, because upstreams exist that ignore the schema they were given.
"""

import re
from collections.abc import Collection
from typing import Any, Final

import msgspec

from respun.core.json_string import StringReader

_REPLY: Final = re.compile(r'\s*\{\s*"reply"\s*:\s*"')
_FENCED: Final = re.compile(r"\s*```(?:json)?\s*(.*?)\s*(?:```\s*)?$", re.DOTALL)
_LONGEST_HEAD: Final = 64
"""Pieces after which what is held can no longer be the head of a reply."""


class Called(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class TurnReader:
    """Feed it text; it returns the reply as far as it is known. After `finish`, `call` is the call, if it is one."""

    def __init__(self, names: Collection[str]) -> None:
        """`names` of the tools that may be called."""
        self.call: Called | None = None
        self._names = names
        self._held: list[str] = []
        self._string: StringReader | None = None
        self._words = False

    def feed(self, text: str) -> str:
        if self._string is not None:
            return self._string.feed(text)
        if self._words:
            return text
        self._held.append(text)
        # The head of an object is short; what is longer is a call, which is read when it is whole.
        if len(self._held) > _LONGEST_HEAD:
            return ""
        return self._open("".join(self._held))

    def finish(self, *, whole: bool) -> str:
        """The rest of a reply. `whole`: the model ended by itself, so that an object it wrote can be relied on."""
        if self._string is not None:
            return self._string.finish()
        held = "".join(self._held)
        self._held.clear()
        if self._words:
            return ""
        return self._read_object(held) if whole else ""

    def _open(self, held: str) -> str:
        start = held.lstrip()
        if start and start[0] not in "{`":
            self._words = True
            return held
        if found := _REPLY.match(held):
            self._string = StringReader()
            return self._string.feed(held[found.end() :])
        return ""

    def _read_object(self, held: str) -> str:
        fenced = _FENCED.match(held)
        found = _decoded(fenced.group(1) if fenced else held)
        if not isinstance(found, dict):
            return held
        if found.get("tool") in self._names:
            self.call = Called(found["tool"], _arguments(found.get("arguments")))
            return ""
        reply = found.get("reply", found)
        return reply if isinstance(reply, str) else msgspec.json.encode(reply).decode()


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None


def _arguments(found: object) -> str:
    return found if isinstance(found, str) else msgspec.json.encode(found or {}).decode()
