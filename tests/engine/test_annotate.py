"""Annotations stand exactly where their marker does, however the stream was cut."""

from hypothesis import given
from hypothesis import strategies as st

from respun.core.chat import TextDelta
from respun.core.machine import Cited
from respun.engine.annotate import Annotator, Source
from respun.engine.tools import marker

SOURCES = {
    "【0:1†menu.txt】": Source("file-1", "tacos on Thursday"),
    "sandbox:/mnt/data/plot.csv": Source("file-2"),
}
PARTS = st.sampled_from(
    [
        *SOURCES,
        "【9:9†invented】",
        "【",
        "】",
        "sandbox:/mnt",
        "sandbox:/mnt/data/",
        ") ",
        " and ",
        "x",
        "[see](",
        "漢字",
    ]
)


def read(pieces: list[str]) -> list[TextDelta | Cited]:
    annotator = Annotator(SOURCES)
    return [piece for text in pieces for piece in annotator.feed(text)] + annotator.end()


@given(st.lists(PARTS, max_size=12), st.integers(1, 7))
def test_text_and_places_do_not_depend_on_how_the_stream_was_cut(parts: list[str], step: int) -> None:
    text = "".join(parts)
    whole = read([text])
    cut = read([text[i : i + step] for i in range(0, len(text), step)])
    for pieces in (whole, cut):
        assert "".join(piece.text for piece in pieces) == text
        for note in (note for piece in pieces if isinstance(piece, Cited) for note in piece.annotations):
            assert text[note.start : note.end] == note.text
            assert note.text in SOURCES
    notes = [
        [note for piece in pieces if isinstance(piece, Cited) for note in piece.annotations] for pieces in (whole, cut)
    ]
    assert notes[0] == notes[1]


def test_a_marker_that_was_shown_is_a_citation_with_its_quote() -> None:
    pieces = read(["You like tacos ", "【0:1†me", "nu.txt】."])
    cited = [piece for piece in pieces if isinstance(piece, Cited)]
    assert [(note.start, note.end, note.file) for note in cited[0].annotations] == [(15, 29, "file-1")]
    assert cited[0].annotations[0].quote == "tacos on Thursday"  # type: ignore[union-attr]


@given(st.lists(PARTS, max_size=12), st.integers(1, 7))
def test_every_marker_that_was_shown_is_found_whatever_stands_around_it(parts: list[str], step: int) -> None:
    text = "".join(parts)
    pieces = read([text[i : i + step] for i in range(0, len(text), step)])
    notes = [note for piece in pieces if isinstance(piece, Cited) for note in piece.annotations]
    assert sum(note.text.startswith("【") for note in notes) == text.count("【0:1†menu.txt】")


def test_a_name_with_brackets_or_without_end_makes_a_marker_that_is_found() -> None:
    for name in ("【draft】 menu.txt", "x" * 1000, "notes🌮漢字.txt"):
        shown = marker(0, 1, name)
        annotator = Annotator({shown: Source("file-1")})
        pieces = [piece for letter in f"🌮 {shown}." for piece in annotator.feed(letter)] + annotator.end()
        (note,) = [note for piece in pieces if isinstance(piece, Cited) for note in piece.annotations]
        assert (note.start, note.end) == (2, 2 + len(shown))


def test_an_invented_marker_stays_text() -> None:
    assert not any(isinstance(piece, Cited) for piece in read(["So it says 【9:9†invented】."]))


def test_a_path_ends_where_its_link_does() -> None:
    pieces = read(["[Download](sandbox:/mnt/data/plot", ".csv) it"])
    assert [piece.text for piece in pieces if isinstance(piece, Cited)] == ["sandbox:/mnt/data/plot.csv"]
