"""The whole way with the real model: a file's text, windows, index, questions, passages that can be checked."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from respun.retrieval.chunk import Chunking
from respun.retrieval.embed import BgeSmall
from respun.retrieval.filters import parse
from respun.retrieval.fuse import Language, fuse, leaders, lexical_weight
from respun.retrieval.index import Entry, Index
from respun.retrieval.ingest import prepare
from respun.retrieval.search import Passage, StoredChunk, Wish, search

TEXTS = {
    "guide.md": "# Espresso machine\nDescale the boiler every two months with citric acid.\n\nThe warranty covers 36 "
    "months from the date of purchase.\n\nError E7 means that the water tank is missing.",
    "garden.txt": "Tomatoes need six hours of sun. Water them in the morning.\n\nPrune the apple tree in February.",
    "pflege.txt": "Die Kaffeemaschine muss alle zwei Monate entkalkt werden.\n\nDie Garantie gilt drei Jahre.",
    "长城.txt": "万里长城是中国古代的军事防御工程。\n\n它的总长度超过两万公里。",
}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "guide.md": {"year": 2024, "kind": "manual"},
    "garden.txt": {"year": 2020, "kind": "hobby"},
    "pflege.txt": {"year": 2022, "kind": "manual"},
}


class Shelf:
    """The rows a store would keep, and the index made of them."""

    def __init__(self, folder: Path, texts: Mapping[str, str], embedder: BgeSmall, chunking: Chunking) -> None:
        self.texts, self.embedder = texts, embedder
        self.chunks: dict[int, StoredChunk] = {}
        entries: list[Entry] = []
        for file, text in texts.items():
            entries.extend(self._entries(file, text, chunking, len(entries)))
        self.index = Index.build(folder, entries, model=embedder.name, dims=embedder.dims, change=1)

    def _entries(self, file: str, text: str, chunking: Chunking, row: int) -> list[Entry]:
        made = asyncio.run(prepare(text, self.embedder, chunking))
        first = len(self.chunks)
        for number, chunk in enumerate(made.chunks, first):
            self.chunks[number] = StoredChunk(number, file, text[chunk.start : chunk.end], chunk.start, chunk.end)
        return [
            Entry(
                row=row + at,
                file=file,
                chunks=tuple(first + held for held in window.chunks),
                text=text[window.start : window.end],
                tokens=window.tokens,
                vector=window.vector,
            )
            for at, window in enumerate(made.windows)
        ]

    async def load(self, chunks: Sequence[int]) -> Mapping[int, StoredChunk]:
        return {chunk: self.chunks[chunk] for chunk in chunks if chunk in self.chunks}

    def ask(self, *questions: str, **wishes: Any) -> list[Passage]:
        wish = Wish(questions, **wishes)
        return asyncio.run(search(self.index.snapshot(), self.embedder, wish, attributes=ATTRIBUTES, load=self.load))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, bge: BgeSmall) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("index"), TEXTS, bge, Chunking())


@pytest.mark.parametrize(
    ("question", "file"),
    [
        ("How long is the guarantee on the coffee maker?", "guide.md"),
        ("When should I cut back fruit trees?", "garden.txt"),
        ("Wie lange gilt die Garantie?", "pflege.txt"),
        ("长城有多长", "长城.txt"),
        ("E7", "guide.md"),
    ],
)
def test_a_question_finds_its_file_first(shelf: Shelf, question: str, file: str) -> None:
    assert shelf.ask(question)[0].found.file == file


def test_a_passage_can_be_checked_against_its_file(shelf: Shelf) -> None:
    for passage in shelf.ask("warranty", "sun"):
        found = passage.found
        assert TEXTS[found.file][found.start : found.end] == found.text


def test_a_passage_says_why_it_was_found(shelf: Shelf) -> None:
    best = shelf.ask("error E7 water tank")[0]
    assert best.why.question == "error E7 water tank"
    assert best.why.lexical_rank == 1
    assert best.why.vector_rank == 1
    assert best.why.bm25 is not None
    assert best.why.bm25 > 0
    assert best.why.cosine is not None
    assert 0.5 < best.why.cosine <= 1
    assert 0 < best.score <= 1


def test_several_questions_are_answered_together(shelf: Shelf) -> None:
    found = shelf.ask("Garantie der Kaffeemaschine", "tomato sun", max_results=2)
    assert {passage.found.file for passage in found} == {"pflege.txt", "garden.txt"}


def test_filters_decide_which_files_may_answer(shelf: Shelf) -> None:
    manuals = parse({"type": "and", "filters": [
        {"type": "eq", "key": "kind", "value": "manual"}, {"type": "lt", "key": "year", "value": 2024}
    ]})  # fmt: skip
    assert {passage.found.file for passage in shelf.ask("garden tomatoes warranty", filters=manuals)} == {"pflege.txt"}


def test_the_threshold_and_the_limit_hold(shelf: Shelf) -> None:
    everything = shelf.ask("warranty")
    assert len(shelf.ask("warranty", max_results=1)) == 1
    above = shelf.ask("warranty", score_threshold=everything[0].score)
    assert [passage.found for passage in above] == [everything[0].found]


def test_words_alone_need_no_vectors(shelf: Shelf) -> None:
    found = shelf.ask("tomatoes", lexical_weight=1.0)
    assert [passage.found.file for passage in found] == ["garden.txt"]
    assert found[0].why.cosine is None


def test_vectors_alone_find_what_shares_no_word(shelf: Shelf) -> None:
    best = shelf.ask("limescale removal", lexical_weight=0.0)[0]
    assert best.found.file == "guide.md"
    assert best.why.bm25 is None


@pytest.mark.parametrize("questions", [(), ("",), ("  ", "\n")])
def test_no_question_has_no_answer(shelf: Shelf, questions: tuple[str, ...]) -> None:
    assert shelf.ask(*questions) == []


@pytest.mark.parametrize("question", ['"', "AND OR NOT", "body:x^2 ~ [a TO b]", "\0", "\ud800", "?" * 10_000])
def test_odd_questions_do_no_harm(shelf: Shelf, question: str) -> None:
    assert len(shelf.ask(question, max_results=3)) <= 3


def test_overlapping_chunks_are_not_answered_twice_for_one_window(tmp_path: Path, bge: BgeSmall) -> None:
    filler = " ".join(f"Paragraph {number} speaks of nothing in particular." for number in range(60))
    text = f"{filler} The treasure lies under the old oak. {filler}"
    found = Shelf(tmp_path, {"a.txt": text}, bge, Chunking(200, 100)).ask("Where does the treasure lie?", max_results=5)
    assert "old oak" in found[0].found.text
    assert sum("old oak" in passage.found.text for passage in found) <= 2
    assert len({passage.found.chunk for passage in found}) == len(found)


def test_a_chunk_deleted_meanwhile_is_left_out(tmp_path: Path, bge: BgeSmall) -> None:
    shelf = Shelf(tmp_path, TEXTS, bge, Chunking())
    first = shelf.ask("warranty")[0].found
    del shelf.chunks[first.chunk]
    assert first not in [passage.found for passage in shelf.ask("warranty")]


scores = some.dictionaries(some.integers(0, 20), some.floats(0.01, 30), max_size=12)


@given(scores, some.dictionaries(some.integers(0, 20), some.floats(-1, 1), max_size=20), some.floats(0, 1))
def test_fused_scores_stay_between_nought_and_one(
    words: dict[int, float], cosines: dict[int, float], weight: float
) -> None:
    fused = fuse(words, cosines, weight)
    assert fused.keys() == words.keys() | cosines.keys()
    assert all(0 <= score <= 1 + 1e-9 for score in fused.values())
    assert sum(leaders(fused).values()) == pytest.approx(0.5 if any(fused.values()) else 0)


@given(scores)
def test_without_vectors_the_order_is_that_of_the_words(words: dict[int, float]) -> None:
    fused = fuse(words, {}, 0.5)
    assert sorted(words, key=lambda each: (-words[each], each)) == sorted(words, key=lambda each: (-fused[each], each))


@pytest.mark.parametrize(
    ("language", "english_only", "weight"),
    [
        (Language(pieces=124, words=100, characters=600), True, 0.5),
        (Language(pieces=170, words=100, characters=600), True, 0.8),
        (Language(pieces=170, words=100, characters=600), False, 0.5),
        (Language(pieces=100, words=10, characters=100, cjk_characters=90), True, 0.8),
        (Language(), True, 0.5),
    ],
)
def test_words_weigh_more_when_the_vectors_are_english_and_the_text_is_not(
    language: Language, english_only: bool, weight: float
) -> None:
    assert lexical_weight(language, english_only) == weight
