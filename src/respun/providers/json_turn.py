"""Read a turn that a model writes as one JSON object: `{"reply": ...}` or `{"tool": ..., "arguments": ...}`.

Pure and incremental: the text of a reply comes out while it is being written. What is no such object is taken for
a reply in plain words, because upstreams exist that ignore the schema they were given.
"""

import re
from collections.abc import Collection
from typing import Any, Final

import msgspec

_REPLY: Final = re.compile(r'\s*\{\s*"reply"\s*:\s*"')
_FENCED: Final = re.compile(r"\s*```(?:json)?\s*(.*?)\s*(?:```\s*)?$", re.DOTALL)
_PLAIN: Final = re.compile(r'[^"\\]+')
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")
_LONGEST_HEAD: Final = 64
"""Pieces after which what is held can no longer be the head of a reply."""
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


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


class StringReader:
    """Un-escapes a JSON string as it arrives, after its opening quote; what follows the closing quote is dropped."""

    def __init__(self) -> None:
        self._kept = ""
        self._high: int | None = None
        self._closed = False

    def feed(self, text: str) -> str:
        if self._closed:
            return ""
        text = self._kept + text
        out: list[str] = []
        at = 0
        while at < len(text):
            if plain := _PLAIN.match(text, at):
                self._add(out, plain.group())
                at = plain.end()
            elif text[at] == '"':
                self._closed = True
                self._add(out, "")
                at = len(text)
            elif (step := self._escape(text, at, out)) == 0:
                break
            else:
                at += step
        self._kept = text[at:]
        return "".join(out)

    def finish(self) -> str:
        """What a cut left: half a surrogate pair shows as the replacement character, half an escape not at all."""
        out: list[str] = []
        self._add(out, "")
        self._kept = ""
        return "".join(out)

    def _escape(self, text: str, at: int, out: list[str]) -> int:
        """Reads the escape at `at`; returns its length, 0 while it is not all there."""
        letter = text[at + 1 : at + 2]
        if not letter:
            return 0
        if letter != "u":
            self._add(out, _ESCAPES.get(letter, letter))
            return 2
        if len(text) < at + 6:
            return 0
        digits = _HEX.fullmatch(text, at + 2, at + 6)
        if digits is None:
            self._add(out, "\ufffd")
            return 2
        self._add_code(out, int(digits.group(), 16))
        return 6

    def _add_code(self, out: list[str], code: int) -> None:
        if self._high is not None and 0xDC00 <= code < 0xE000:
            high, self._high = self._high, None
            out.append(chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)))
        elif 0xD800 <= code < 0xDC00:
            self._add(out, "")
            self._high = code
        else:
            self._add(out, "\ufffd" if 0xDC00 <= code < 0xE000 else chr(code))

    def _add(self, out: list[str], text: str) -> None:
        if self._high is not None:
            out.append("\ufffd")
            self._high = None
        out.append(text)
