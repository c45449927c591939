"""A JSON string read while it is being written: a model's reply, or the code in its arguments."""

import re
from typing import Final

_PLAIN: Final = re.compile(r'[^"\\]+')
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class StringReader:
    """Un-escapes a JSON string as it arrives, after its opening quote; what follows the closing quote is dropped."""

    def __init__(self) -> None:
        self._kept = ""
        self._high: int | None = None
        self._closed = False

    def copy(self) -> "StringReader":
        """Another reader that stands at the same place."""
        other = StringReader()
        other._kept, other._high, other._closed = self._kept, self._high, self._closed
        return other

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
