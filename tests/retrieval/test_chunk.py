"""Windows and chunks: nothing lost, sizes kept, overlap shared, pages known."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from respun.retrieval.chunk import Chunking, cut


def words(text: str) -> int:
    return len(text.split())


sentences = some.lists(some.integers(1, 40).map(lambda length: "word " * (length - 1) + "end."), max_size=80)
layouts = some.tuples(sentences, some.sampled_from([" ", "\n", "\n\n"])).map(lambda given: given[1].join(given[0]))
chunkings = some.integers(100, 1000).flatmap(
    lambda most: some.integers(0, most // 2).map(lambda overlap: Chunking(most, overlap))
)


@given(layouts, chunkings)
def test_windows_follow_each_other_and_hold_every_word(text: str, chunking: Chunking) -> None:
    made = cut(text, words, chunking)
    assert " ".join(text[window.start : window.end] for window in made.windows).split() == text.split()
    assert all(before.end <= after.start for before, after in zip(made.windows, made.windows[1:], strict=False))


@given(layouts, chunkings)
def test_no_chunk_or_window_is_larger_than_asked(text: str, chunking: Chunking) -> None:
    made = cut(text, words, chunking)
    assert all(words(text[chunk.start : chunk.end]) <= chunking.max_tokens for chunk in made.chunks)
    assert all(window.tokens <= (400 if len(made.windows) > 1 else 500) for window in made.windows)


@given(layouts, chunkings)
def test_each_window_is_in_one_or_two_chunks_and_no_chunk_in_another(text: str, chunking: Chunking) -> None:
    made = cut(text, words, chunking)
    held = [window for chunk in made.chunks for window in range(chunk.first_window, chunk.end_window)]
    assert all(held.count(window) in (1, 2) for window in range(len(made.windows)))
    assert all(
        before.end_window < after.end_window and before.first_window < after.first_window
        for before, after in zip(made.chunks, made.chunks[1:], strict=False)
    )


def test_the_default_shares_half_of_a_chunk_with_the_next() -> None:
    text = " ".join("Seven words make a sentence of this." for _ in range(400))
    made = cut(text, words)
    first, second = made.chunks[:2]
    assert 760 <= first.tokens <= 800
    assert 380 <= words(text[second.start : first.end]) <= 400
    assert len(made.windows) == len(made.chunks) + 1


def test_windows_end_where_sentences_or_lines_do() -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(500))
    assert all(text[window.start : window.end].rstrip().endswith(".") for window in cut(text, words).windows)


def test_a_word_without_an_end_is_cut_all_the_same() -> None:
    made = cut("x" * 10_000, len, Chunking(100, 0))
    assert max(window.tokens for window in made.windows) <= 100
    assert sum(window.tokens for window in made.windows) == 10_000


def test_chinese_is_cut_at_its_full_stops() -> None:
    made = cut("这是一个句子。" * 100, len, Chunking(100, 50))
    assert all((window.end - window.start) % 7 == 0 for window in made.windows)


def test_a_chunk_knows_its_pages() -> None:
    page = "Some words stand here. " * 30
    made = cut(page * 3, words, Chunking(100, 0), page_starts=[0, len(page), 2 * len(page)])
    assert (made.chunks[0].page, made.chunks[0].last_page) == (1, 1)
    assert (made.chunks[1].page, made.chunks[1].last_page) == (1, 2)
    assert made.chunks[-1].last_page == 3


def test_nothing_is_cut_from_nothing() -> None:
    assert cut(" \n ", words).chunks == ()


@pytest.mark.parametrize(("most", "overlap"), [(99, 0), (4097, 0), (800, 401), (800, -1)])
def test_sizes_beyond_openais_are_refused(most: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=r"A chunk has 100 to 4096|share at most half"):
        Chunking(most, overlap)
