"""BERT's WordPiece: the pieces a text has for an uncased model, as numbers.

Follows the uncased BERT recipe: decompose, drop accents and control characters, set punctuation and CJK characters
apart, lower the case, then take the longest known piece from the left.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

_LONGEST_WORD: Final = 100
_REMEMBERED_WORDS: Final = 200_000
# The blocks BERT sets apart character by character (its own definition of a CJK character).
_IDEOGRAPHS: Final = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B81D),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """Turns text into piece numbers of one vocabulary. `count` leaves out the two marks around a text."""

    def __init__(self, vocabulary: dict[str, int]) -> None:
        self._numbers = vocabulary
        self._unknown = vocabulary["[UNK]"]
        self._start = vocabulary["[CLS]"]
        self._end = vocabulary["[SEP]"]
        self._words: dict[str, tuple[int, ...]] = {}

    def count(self, text: str) -> int:
        return sum(len(self._pieces(word)) for word in _words(text))

    def encode(self, text: str, limit: int) -> list[int]:
        """At most `limit` numbers with the start and end marks; what does not fit is cut off."""
        numbers = [self._start]
        for word in _words(text):
            numbers.extend(self._pieces(word))
            if len(numbers) >= limit:
                break
        return [*numbers[: limit - 1], self._end]

    def _pieces(self, word: str) -> tuple[int, ...]:
        known = self._words.get(word)
        if known is not None:
            return known
        pieces = self._split(word)
        if len(self._words) < _REMEMBERED_WORDS:
            self._words[word] = pieces
        return pieces

    def _split(self, word: str) -> tuple[int, ...]:
        if len(word) > _LONGEST_WORD:
            return (self._unknown,)
        pieces: list[int] = []
        start = 0
        while start < len(word):
            end = self._longest(word, start)
            if end == start:
                return (self._unknown,)
            pieces.append(self._numbers[_spelled(word, start, end)])
            start = end
        return tuple(pieces)

    def _longest(self, word: str, start: int) -> int:
        for end in range(len(word), start, -1):
            if _spelled(word, start, end) in self._numbers:
                return end
        return start


def read_wordpiece(tokenizer_json: Path) -> WordPiece:
    """The vocabulary out of a `tokenizer.json`. Raises ValueError when it is not an uncased WordPiece one."""
    tokenizer = msgspec.json.decode(tokenizer_json.read_bytes(), type=_TokenizerFile)
    if tokenizer.model.type != "WordPiece" or not tokenizer.normalizer.lowercase:
        raise ValueError(f"{tokenizer_json} is not an uncased WordPiece tokenizer.")
    return WordPiece(tokenizer.model.vocab)


class _Model(msgspec.Struct):
    type: str
    vocab: dict[str, int]


class _Normalizer(msgspec.Struct):
    lowercase: bool = False


class _TokenizerFile(msgspec.Struct):
    model: _Model
    normalizer: _Normalizer


def _spelled(word: str, start: int, end: int) -> str:
    return word[start:end] if start == 0 else "##" + word[start:end]


class _Spelling(dict[int, str]):
    """What each character becomes, worked out when first met."""

    def __missing__(self, code: int) -> str:
        self[code] = spelled = _respell(code)
        return spelled


_SPELLING: Final = _Spelling()


def _words(text: str) -> Iterable[str]:
    return unicodedata.normalize("NFD", text).translate(_SPELLING).split()


def _respell(code: int) -> str:
    char = chr(code)
    category = unicodedata.category(char)
    if char in "\t\n\r" or category == "Zs":
        return " "
    if code in (0, 0xFFFD) or category in ("Cc", "Cf", "Cn", "Co", "Cs", "Mn"):
        return ""
    if _punctuation(code, category) or any(low <= code <= high for low, high in _IDEOGRAPHS):
        return f" {char} "
    return char.lower()


def _punctuation(code: int, category: str) -> bool:
    ascii_mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_mark or category.startswith("P")
