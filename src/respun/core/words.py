"""Words of a text for search: folded, alike for both databases, with pairs of signs where a script has no spaces."""

import re
from typing import Final
from unicodedata import normalize

_LETTERS: Final = re.compile(r"[^\W_]+")
# Han, Hiragana, Katakana: written without spaces, searched by pairs of neighbours.
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_LONGEST: Final = 64


def search_words(text: str) -> list[str]:
    """The words of the text, in order; letters and digits only, so that they mean nothing to a query language."""
    folded = text.lower() if text.isascii() else normalize("NFKC", text).casefold()
    words: list[str] = []
    for word in _LETTERS.findall(folded):
        if word.isascii():
            words.append(word[:_LONGEST])
        else:
            words += _pieces(word)
    return words


def _pieces(word: str) -> list[str]:
    pieces: list[str] = []
    end = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > end:
            pieces.append(word[end : run.start()][:_LONGEST])
        signs = run[0]
        pieces += [signs[i : i + 2] for i in range(len(signs) - 1)] or [signs]
        end = run.end()
    if end < len(word):
        pieces.append(word[end:][:_LONGEST])
    return pieces
