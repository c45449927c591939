"""The derived index: what it finds, how it grows, and that no crash or damage makes it lie."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from respun.retrieval.embed import Vectors
from respun.retrieval.index import Entry, Index, Snapshot, Stale
from respun.retrieval.lexical import Match

DIMS = 64
MODEL = "made-up"
WORDS = ["amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "jasper", "kelp", "lotus"]


def vectors_of(count: int, seed: int) -> Vectors:
    made = np.random.default_rng(seed).standard_normal((count, DIMS), dtype=np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def file_of(name: str, first_row: int, rows: int = 3) -> list[Entry]:
    seed = sum(name.encode())
    choose = np.random.default_rng(seed)
    texts = [" ".join(choose.choice(WORDS, 6)) for _ in range(rows)]
    return [
        Entry(first_row + at, name, (first_row + at,), text, 6, vector.astype("<f2").tobytes())
        for at, (text, vector) in enumerate(zip(texts, vectors_of(rows, seed), strict=True))
    ]


def build(folder: Path, entries: Sequence[Entry], change: int = 1) -> Index:
    return Index.build(folder, entries, model=MODEL, dims=DIMS, change=change)


def reopened(folder: Path) -> Index:
    return Index.open(folder, model=MODEL, dims=DIMS)


def as_rows(snapshot: Snapshot, found: Sequence[Match]) -> list[tuple[int, float]]:
    return [(snapshot.row(match.slot), round(match.score, 4)) for match in found]


def answers(index: Index) -> list[list[tuple[int, float]]]:
    """What the index says to a few questions, as row ids and scores; ties in a fixed order."""
    snapshot = index.snapshot()
    allowed = snapshot.allowed(None)
    by_words = [as_rows(snapshot, snapshot.by_words(word, 50, allowed)) for word in WORDS]
    by_vector = [as_rows(snapshot, snapshot.by_vector(vector, 5, allowed)) for vector in vectors_of(4, 99)]
    return [sorted(found, key=lambda pair: (-pair[1], pair[0])) for found in (*by_words, *by_vector)]


def test_an_index_finds_by_words_and_by_vector(tmp_path: Path) -> None:
    entry = Entry(
        7, "f", (1, 2), "The heron waits beside running water", 6, vectors_of(1, 5)[0].astype("<f2").tobytes()
    )
    snapshot = build(tmp_path, [*file_of("other", 100), entry]).snapshot()
    allowed = snapshot.allowed(None)
    assert snapshot.row(snapshot.by_words("does a heron wait?", 1, allowed)[0].slot) == 7
    best = snapshot.by_vector(vectors_of(1, 5)[0], 1, allowed)[0]
    assert snapshot.row(best.slot) == 7
    assert best.score == pytest.approx(1, abs=1e-3)
    assert snapshot.chunks(best.slot) == (1, 2)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("长城在哪里", "万里长城位于中国北方，始建于战国时期。"),
        ("東京タワーの高さ", "東京タワーは高さ333メートルの電波塔です。"),
        ("Wie teuer sind die Wohnungen?", "Die Wohnungen in München kosten viel."),
        ("¿Cuántos habitantes tiene Perú?", "Perú tiene 33 millones de habitantes."),
        ("한국의 수도", "서울은 한국의 수도이다."),
    ],
)
def test_words_are_found_in_many_scripts(tmp_path: Path, question: str, text: str) -> None:
    nothing = np.zeros(DIMS, dtype="<f2").tobytes()
    others = [
        "故宫在北京。",
        "富士山は日本一高い山です。",
        "Das Wetter ist schön.",
        "El tiempo es bueno.",
        "날씨가 좋다.",
    ]
    entries = [Entry(at, str(at), (at,), each, 5, nothing) for at, each in enumerate([*others, text])]
    snapshot = build(tmp_path, entries).snapshot()
    assert snapshot.row(snapshot.by_words(question, 1, snapshot.allowed(None))[0].slot) == len(others)


def test_words_are_found_in_other_forms_of_their_own_language(tmp_path: Path) -> None:
    nothing = np.zeros(DIMS, dtype="<f2").tobytes()
    texts = [
        "Die Katzen schliefen auf dem warmen Ofen und der Hund ist im Garten.",
        "В городе построили новые школы для детей.",
        "Los gatos duermen en la casa que es de mi abuela y del perro.",
        "The cat is sleeping on the stove while the dog runs in the garden.",
    ]
    entries = [Entry(at, str(at), (at,), text, 5, nothing) for at, text in enumerate(texts)]
    snapshot = build(tmp_path, entries).snapshot()
    assert snapshot.languages == ("english", "german", "spanish", "russian")
    for row, question in enumerate(["Katze schlief", "школа", "gato durmiendo", "sleeping cats"]):
        assert snapshot.row(snapshot.by_words(question, 1, snapshot.allowed(None))[0].slot) == row


def test_an_index_grown_file_by_file_answers_as_one_built_at_once(tmp_path: Path) -> None:
    files = [file_of(f"file{number}", 10 * number) for number in range(8)]
    grown = build(tmp_path / "grown", [])
    for number, entries in enumerate(files, 2):
        grown.update(entries, change=number)
    whole = build(tmp_path / "whole", [entry for entries in files for entry in entries])
    assert answers(grown) == answers(whole)
    assert answers(reopened(tmp_path / "grown")) == answers(whole)
    assert grown.snapshot().language == whole.snapshot().language


steps = some.lists(some.tuples(some.sampled_from("pqrs"), some.booleans()), min_size=1, max_size=8)


@given(steps)
@settings(max_examples=15, deadline=None)
def test_after_any_additions_and_deletions_it_holds_what_a_rebuilt_one_holds(
    tmp_path_factory: pytest.TempPathFactory, given_steps: list[tuple[str, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("index")
    index = build(folder / "grown", [])
    rows: dict[str, list[Entry]] = {}
    for number, (name, adds) in enumerate(given_steps, 1):
        rows.pop(name, None)
        if adds:
            rows[name] = file_of(name, 100 * number)
        index.update(rows.get(name, []), drop=[name], change=number)
    whole = build(folder / "whole", [entry for entries in rows.values() for entry in entries])
    for one, other in zip(answers(reopened(folder / "grown")), answers(whole), strict=True):
        # Deleted rows weigh on word statistics until the next rebuild, so words are compared without scores.
        assert {row for row, _ in one} == {row for row, _ in other}
    assert index.snapshot().language == whole.snapshot().language
    assert index.change == len(given_steps)


def test_deleted_rows_are_waste_until_a_rebuild(tmp_path: Path) -> None:
    index = build(tmp_path, [*file_of("a", 0), *file_of("b", 10)])
    index.update([], drop=["a"], change=2)
    assert index.wasted == 0.5
    assert build(tmp_path, file_of("b", 10), change=3).wasted == 0
    assert len([each for each in tmp_path.iterdir() if each.is_dir()]) == 1


def test_a_filter_leaves_only_its_files_in_both_legs(tmp_path: Path) -> None:
    entries = [entry for number in range(60) for entry in file_of(f"file{number}", 10 * number)]
    snapshot = build(tmp_path, entries).snapshot()
    wanted = {f"file{number}" for number in range(0, 60, 20)}
    rows = {entry.row for entry in entries if entry.file in wanted}
    allowed = snapshot.allowed(wanted.__contains__)
    near = snapshot.by_vector(vectors_of(1, 3)[0], 100, allowed)
    words = snapshot.by_words(" ".join(WORDS), 100, allowed)
    assert {snapshot.row(match.slot) for match in near} == rows
    assert {snapshot.row(match.slot) for match in words} == rows
    everywhere = snapshot.by_words(" ".join(WORDS), 1000, snapshot.allowed(None))
    ranked = [snapshot.row(match.slot) for match in everywhere if snapshot.row(match.slot) in rows]
    assert ranked == [snapshot.row(match.slot) for match in words]


@pytest.mark.parametrize("share", [1, 10, 100])
def test_sign_bits_find_what_exact_search_finds(tmp_path: Path, share: int) -> None:
    random = np.random.default_rng(1)
    centres = vectors_of(150, 2)
    vectors = centres[random.integers(150, size=20_000)] + 0.06 * random.standard_normal((20_000, DIMS))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    entries = (
        Entry(at, str(at % 100), (at,), "x", 1, vector.astype("<f2").tobytes()) for at, vector in enumerate(vectors)
    )
    snapshot = build(tmp_path, entries).snapshot()  # type: ignore[arg-type]
    allowed = snapshot.allowed(None if share == 1 else lambda file: int(file) % share == 0)
    found = 0
    for vector in vectors[:40]:
        exact = {match.slot for match in snapshot.matrix.exact(vector, 20, allowed.slots)}
        found += len(exact & {match.slot for match in snapshot.by_vector(vector, 20, allowed)})
    assert found / (40 * 20) >= 0.99


def test_what_a_writer_left_before_it_died_is_not_seen_and_can_be_written_again(tmp_path: Path) -> None:
    index = build(tmp_path, [*file_of("a", 0), *file_of("b", 10)])
    before = answers(index)
    published = (tmp_path / "manifest.json").read_bytes()
    index.update(file_of("c", 20), change=2)
    after = answers(index)
    (tmp_path / "manifest.json").write_bytes(published)

    survivor = reopened(tmp_path)
    assert survivor.change == 1
    assert [[row for row, _ in found] for found in answers(survivor)] == [[row for row, _ in found] for found in before]
    survivor.update(file_of("c", 20), change=2)
    assert answers(survivor) == after
    assert answers(reopened(tmp_path)) == after


def test_a_deletion_whose_writer_died_half_way_asks_for_a_rebuild(tmp_path: Path) -> None:
    index = build(tmp_path, [*file_of("a", 0), *file_of("b", 10)])
    published = (tmp_path / "manifest.json").read_bytes()
    index.update([], drop=["a"], change=2)
    (tmp_path / "manifest.json").write_bytes(published)
    with pytest.raises(Stale, match="3 of 6 rows"):
        reopened(tmp_path)


@pytest.mark.parametrize("victim", ["vectors.f16", "rows.bin", "files.jsonl", "text"])
def test_a_damaged_index_asks_for_a_rebuild(tmp_path: Path, victim: str) -> None:
    build(tmp_path, file_of("a", 0))
    path = tmp_path / "1" / victim
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Stale):
        reopened(tmp_path)


def test_an_index_of_another_model_is_stale_but_can_serve_meanwhile(tmp_path: Path) -> None:
    build(tmp_path, file_of("a", 0))
    with pytest.raises(Stale, match="made with made-up, not other"):
        Index.open(tmp_path, model="other", dims=DIMS)
    assert len(Index.open_any(tmp_path).snapshot().rows) == 3


def test_no_index_is_stale(tmp_path: Path) -> None:
    with pytest.raises(Stale, match="no index"):
        reopened(tmp_path)


def test_a_snapshot_is_not_changed_by_later_writes(tmp_path: Path) -> None:
    index = build(tmp_path, file_of("a", 0))
    snapshot = index.snapshot()
    index.update(file_of("b", 10), drop=["a"], change=2)
    allowed = snapshot.allowed(None)
    assert {snapshot.row(match.slot) for match in snapshot.by_words(" ".join(WORDS), 10, allowed)} == {0, 1, 2}
    assert len(snapshot.by_vector(vectors_of(1, 1)[0], 10, allowed)) == 3


def test_a_store_without_vectors_is_searched_by_words(tmp_path: Path) -> None:
    entries = [Entry(1, "a", (1,), "amber", 1), Entry(2, "a", (2,), "basil", 1)]
    snapshot = Index.build(tmp_path, entries, model="none", dims=0, change=1).snapshot()
    assert [snapshot.row(match.slot) for match in snapshot.by_words("basil", 5, snapshot.allowed(None))] == [2]


def test_a_row_with_a_vector_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Row 1 has a vector of 4 bytes, not 128"):
        build(tmp_path, [Entry(1, "a", (1,), "x", 1, b"1234")])
