"""Words as search knows them: the same terms for the index of a thread and for full-text search, on every backend.

Letters make words by Unicode's rules, casefolded, without stop words, stemmed for the language. Scripts that are
written without spaces (Han, Kana, Hangul, Thai and their like) give pairs of neighbouring signs, and each Han sign on
its own, since one Han sign often is a word.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Final

import Stemmer

from respun.core.context.languages import LEXICONS, Language, Lexicon

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
_HANGUL = "\uac00-\ud7a3"
_UNSPACED = _HAN + _KANA + _HANGUL + "\u0e01-\u0e4e\u0e80-\u0edf\u1000-\u109f\u1780-\u17d3"
# Signs that belong to the word before them, though Python's \w does not count them as letters.
_MARKS = "\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
_LETTERS = rf"(?:[^\W_{_UNSPACED}]|[{_MARKS}])+"
_WORD: Final = re.compile(rf"[{_UNSPACED}]+|{_LETTERS}(?:['’]{_LETTERS})?")
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)?")
_RUN: Final = re.compile(rf"[{_UNSPACED}]")
_ONE_HAN: Final = re.compile(rf"[{_HAN}]")
_ONE_KANA: Final = re.compile(f"[{_KANA}]")
_ONE_HANGUL: Final = re.compile(f"[{_HANGUL}]")
_LONGEST = 64
"""Characters of a word that count: keys and encoded data in a message are not words anyone asks for."""

_SAMPLE = 20_000
"""Characters that are enough to tell a language."""
_GUESSED: Final[tuple[Language, ...]] = ("en", "de", "fr", "es")


def terms(text: str, language: Language) -> list[str]:
    """The terms of a text, in order, repeats kept. `language` must be the one the index was made with."""
    found: list[str] = []
    for word in words(text):
        if not word.isascii() and _RUN.match(word):
            found += _signs(word, LEXICONS[language])
        elif term := _term(word, language):
            found.append(term)
    return found


def words(text: str) -> list[str]:
    """The words of a text, casefolded, neither stopped nor stemmed; unspaced scripts stay in runs."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def guess_language(texts: Iterable[str]) -> Language:
    """The language of the first few thousand words: by script, then by which stop words are the most frequent."""
    sample = _sample(texts)
    if script := _by_script(sample):
        return script
    counts = Counter(words(sample))
    hits = {language: _stopped(counts, LEXICONS[language]) for language in _GUESSED}
    best = max(_GUESSED, key=lambda language: hits[language])
    return best if hits[best] * 12 >= counts.total() > 0 else "other"


def _sample(texts: Iterable[str]) -> str:
    taken: list[str] = []
    room = _SAMPLE
    for text in texts:
        taken.append(text[:room])
        room -= len(text)
        if room <= 0:
            break
    return "\n".join(taken)


def _by_script(sample: str) -> Language | None:
    han, kana, hangul = (len(sign.findall(sample)) for sign in (_ONE_HAN, _ONE_KANA, _ONE_HANGUL))
    letters = sum(map(str.isalpha, sample))
    # A sign of these scripts says as much as two or three letters, hence a fifth and not a half.
    if not letters or (han + kana + hangul) * 5 < letters:
        return None
    if hangul > han + kana:
        return "ko"
    return "ja" if kana * 8 > han else "zh"


def _stopped(counts: Counter[str], lexicon: Lexicon) -> int:
    return sum(count for word, count in counts.items() if word in lexicon.stop_words)


def _signs(run: str, lexicon: Lexicon) -> list[str]:
    single = [sign for sign in run if _ONE_HAN.match(sign)] if len(run) > 1 else [run]
    pairs = [a + b for a, b in pairwise(run)]
    return [term for term in single + pairs if term not in lexicon.stop_words]


@lru_cache(maxsize=1 << 15)
def _term(word: str, language: Language) -> str:
    """The term of one casefolded word, empty for a stop word."""
    lexicon = LEXICONS[language]
    word = _plain(word.replace("’", "'"), language)[:_LONGEST]
    if not word or word in lexicon.stop_words:
        return ""
    return _stemmer(lexicon.stemmer).stemWord(word) if lexicon.stemmer else word


def _plain(word: str, language: Language) -> str:
    head, apostrophe, tail = word.partition("'")
    if not apostrophe:
        return word
    if language == "fr" and (len(head) < 3 or head.endswith("qu")):
        return tail  # l'eau, lorsqu'il: what is elided is a stop word
    return head if tail == "s" else head + tail


@lru_cache
def _stemmer(name: str) -> Stemmer.Stemmer:
    # Its own cache is not safe among threads; `_term` keeps one that is.
    return Stemmer.Stemmer(name, 0)
