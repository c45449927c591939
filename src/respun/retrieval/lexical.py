"""The text leg: BM25 over the stems of each text's own language, with CJK writing cut into pairs of characters.

A derived index on disk, one document a slot of the matrix beside it. Scripts without spaces between words are fed to
it as overlapping pairs, because a tokenizer that waits for a space would make one word of a sentence.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tantivy
from msgspec import Struct

Mask = npt.NDArray[np.bool_]

_STEMS: Final = "stems"
_HEAP: Final = 32_000_000
_LONGEST_WORD: Final = 60
_FILES_IN_A_QUERY: Final = 1_000
_STEMS_IN_A_QUERY: Final = 256
# The engine has stemmers for all languages that are told apart, and stop words for these.
_WITH_STOP_WORDS: Final = frozenset(
    (
        *("danish", "dutch", "english", "finnish", "french", "german", "hungarian"),
        *("italian", "norwegian", "portuguese", "russian", "spanish", "swedish"),
    )
)
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0002fa1f]+"
)


class Match(Struct, frozen=True):
    slot: int
    score: float


class Slotted(Struct, frozen=True):
    """A text to be found: its slot, its file's number, its language as `language.language_of` names it."""

    slot: int
    file: int
    text: str
    language: str


class Asked(Struct, frozen=True):
    """A question, and the languages of the texts it is asked of."""

    question: str
    languages: tuple[str, ...]


class TextIndex:
    """Opened on a folder, which is made when it is not there. One writer at a time, any number of readers."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._index: Any = tantivy.Index(_schema(), path=str(folder))
        self._index.register_tokenizer(_STEMS, tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())

    def snapshot(self) -> "TextSnapshot":
        self._index.reload()
        return TextSnapshot(self._index.searcher(), self._index.schema)

    def write(self, texts: Iterable[Slotted], dropped_files: Iterable[int] = ()) -> None:
        """Durable when it returns."""
        writer = self._index.writer(heap_size=_HEAP, num_threads=1)
        if numbers := list(dropped_files):
            writer.delete_documents_by_query(tantivy.Query.term_set_query(self._index.schema, "file", numbers))
        for slotted in texts:
            writer.add_document(_document(slotted))
        writer.commit()
        writer.wait_merging_threads()

    def drop_from(self, slot: int) -> None:
        """Forget what was written for this slot and those behind it (a writer died before it could say so)."""
        writer = self._index.writer(heap_size=_HEAP, num_threads=1)
        beyond = tantivy.Query.range_query(self._index.schema, "slot", tantivy.FieldType.Unsigned, lower_bound=slot)
        writer.delete_documents_by_query(beyond)
        writer.commit()
        writer.wait_merging_threads()


class TextSnapshot:
    """What was committed when it was taken; later writes do not change it."""

    def __init__(self, searcher: Any, schema: Any) -> None:
        self._searcher = searcher
        self._schema = schema

    @property
    def documents(self) -> int:
        return int(self._searcher.num_docs)

    def best(self, asked: Asked, limit: int, allowed: Mask, files: Sequence[int] | None = None) -> list[Match]:
        """The best allowed slots. `files` are the only file numbers allowed, if they are known to be few."""
        stems = dict.fromkeys(stem for language in asked.languages for stem in stems_of(asked.question, language))
        query = self._any_of(islice(stems, _STEMS_IN_A_QUERY))
        if files is not None and len(files) <= _FILES_IN_A_QUERY:
            query = self._within(query, files)
        return self._widening(query, limit, allowed)

    def _widening(self, query: Any, limit: int, allowed: Mask) -> list[Match]:
        """Ask for more until enough of the hits are allowed, or there are no more hits."""
        asked = limit
        while True:
            hits = self._searcher.search(query, limit=asked, count=False).hits
            slots = self._searcher.fast_field_values("slot", [address for _, address in hits])
            kept = [
                Match(slot, score)
                for slot, (score, _) in zip(slots, hits, strict=True)
                if slot < len(allowed) and allowed[slot]
            ]
            if len(kept) >= limit or len(hits) < asked:
                return kept[:limit]
            asked *= 8

    def _any_of(self, words: Iterable[str]) -> Any:
        terms = [tantivy.Query.term_query(self._schema, "body", word, index_option="freq") for word in words]
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, term) for term in terms])

    def _within(self, query: Any, files: Sequence[int]) -> Any:
        only = tantivy.Query.const_score_query(tantivy.Query.term_set_query(self._schema, "file", list(files)), 0.0)
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, only)])


def _document(slotted: Slotted) -> Any:
    document = tantivy.Document()
    document.add_unsigned("slot", slotted.slot)
    document.add_unsigned("file", slotted.file)
    document.add_text("body", " ".join(stems_of(slotted.text, slotted.language)))
    return document


def stems_of(text: str, language: str) -> list[str]:
    """The words of a text without its language's stop words and endings, in order."""
    stems: list[str] = _analyser(language).analyze(spaced(text))
    return stems


def spaced(text: str) -> str:
    """The text with each run of an unspaced script as overlapping pairs, and no half of a surrogate pair."""
    if text.isascii():
        return text
    return _UNSPACED.sub(lambda run: f" {_pairs(run.group())} ", text).encode(errors="replace").decode()


def cjk_characters(text: str) -> int:
    return 0 if text.isascii() else sum(len(run) for run in _UNSPACED.findall(text))


def _pairs(run: str) -> str:
    return " ".join(run[at : at + 2] for at in range(max(1, len(run) - 1)))


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("slot", indexed=True, fast=True)
    builder.add_unsigned_field("file", indexed=True)
    builder.add_text_field("body", tokenizer_name=_STEMS, index_option="freq")
    return builder.build()


@cache
def _analyser(language: str) -> Any:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.remove_long(_LONGEST_WORD)).filter(tantivy.Filter.lowercase())
    if language in _WITH_STOP_WORDS:
        builder = builder.filter(tantivy.Filter.stopword(language))
    return builder.filter(tantivy.Filter.stemmer(language)).build()
