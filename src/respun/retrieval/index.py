"""The derived index of one vector store: a folder that can be deleted at any time and built again from the rows.

    folder/manifest.json        what the index holds: model, change number, rows; replaced last and at once
    folder/<generation>/        vectors.f16, rows.bin, files.jsonl and the text index, only ever appended to

A reader works on a snapshot. A writer appends, then replaces the manifest; what it had appended before it died is cut
off by the next one. Rows that change their file are deleted and added again; space comes back with a rebuild.
"""

import base64
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from respun.retrieval.embed import Vectors
from respun.retrieval.fuse import Language
from respun.retrieval.language import LANGUAGES, language_of
from respun.retrieval.lexical import Asked, Mask, Match, Slotted, TextIndex, TextSnapshot, cjk_characters
from respun.retrieval.vectors import Halves, Matrix, append

_FORMAT: Final = 1
_BATCH: Final = 2_000
_NO_CHUNK: Final = -1
_ROW: Final = np.dtype(
    [
        ("row", "<i8"),
        ("file", "<u4"),
        ("chunk", "<i8"),
        ("other", "<i8"),
        ("pieces", "<u4"),
        ("words", "<u4"),
        ("characters", "<u4"),
        ("cjk", "<u4"),
        ("language", "u1"),
    ]
)
_Rows = npt.NDArray[np.void]


class Entry(Struct, frozen=True):
    """A window as the store keeps it. `chunks` are the ids of the one or two chunks that hold it; `vector` is
    little-endian float16, empty where there is none: found by words alone; `tokens` are the model's."""

    row: int
    file: str
    chunks: tuple[int, ...]
    text: str
    tokens: int
    vector: bytes = b""


class Stale(Exception):
    """The folder holds no index that fits: build it again. The message says what does not fit."""


class _Manifest(Struct, frozen=True):
    format: int
    generation: int
    model: str
    dims: int
    change: int
    count: int
    files: int
    dropped: str
    rows_crc: int


class Snapshot(Struct, frozen=True):
    """What a search sees. `rows[slot]`, the matrix and the text index agree on what a slot is."""

    change: int
    model: str
    rows: _Rows
    files: tuple[str, ...]
    kept_files: Mask
    matrix: Matrix
    text: TextSnapshot
    language: Language
    languages: tuple[str, ...]
    """Those that at least one row in twenty is in."""

    def allowed(self, wanted: Callable[[str], bool] | None) -> "Allowed":
        """The slots whose file is still there and wanted."""
        numbers = np.flatnonzero(self.kept_files)
        if wanted is not None:
            numbers = np.array([number for number in numbers if wanted(self.files[number])], dtype=np.intp)
        if len(numbers) == len(self.files):
            return Allowed(np.ones(len(self.rows), dtype=np.bool_), None)
        by_file = np.zeros(len(self.files), dtype=np.bool_)
        by_file[numbers] = True
        return Allowed(by_file[self.rows["file"]], tuple(int(number) for number in numbers) if wanted else None)

    def by_words(self, question: str, limit: int, allowed: "Allowed") -> list[Match]:
        return self.text.best(Asked(question, self.languages), limit, allowed.slots, allowed.files)

    def by_vector(self, question: Vectors, limit: int, allowed: "Allowed") -> list[Match]:
        return self.matrix.best(question, limit, allowed.slots) if self.matrix.dims else []

    def row(self, slot: int) -> int:
        return int(self.rows["row"][slot])

    def chunks(self, slot: int) -> tuple[int, ...]:
        held = int(self.rows["chunk"][slot]), int(self.rows["other"][slot])
        return tuple(chunk for chunk in held if chunk != _NO_CHUNK)


class Allowed(Struct, frozen=True):
    slots: Mask
    files: tuple[int, ...] | None
    """The allowed file numbers, when a filter chose them."""


class Index:
    """One vector store's index. One writer at a time (the caller sees to it); searches may run beside it."""

    def __init__(self, folder: Path, manifest: _Manifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._home = folder / str(manifest.generation)
        self._text = TextIndex(self._home / "text")
        self._now = self._load(self._matrix())

    @classmethod
    def open(cls, folder: Path, *, model: str, dims: int) -> "Index":
        """The index in a folder. Raises Stale when there is none, it is damaged, or another model made it."""
        manifest = _read_manifest(folder)
        if (manifest.model, manifest.dims) != (model, dims):
            raise Stale(f"The index was made with {manifest.model}, not {model}.")
        return cls._opened(folder, manifest)

    @classmethod
    def open_any(cls, folder: Path) -> "Index":
        """The index whatever model made it, to serve until another is built. Raises Stale as `open` does."""
        return cls._opened(folder, _read_manifest(folder))

    @classmethod
    def build(cls, folder: Path, entries: Iterable[Entry], *, model: str, dims: int, change: int) -> "Index":
        """Make the index out of all rows. The one that was there serves until this returns, then it is deleted."""
        index = cls.prepare(folder, entries, model=model, dims=dims, change=change)
        index.publish()
        return index

    @classmethod
    def prepare(cls, folder: Path, entries: Iterable[Entry], *, model: str, dims: int, change: int) -> "Index":
        """The same without taking the place of the one that is there, which may grow meanwhile: call `publish`."""
        generation = _next_generation(folder)
        (folder / str(generation)).mkdir(parents=True)
        crc = zlib.crc32(b"")
        index = cls(folder, _Manifest(_FORMAT, generation, model, dims, change, 0, 0, "", crc))
        index._append(entries, change)
        index._refresh()
        return index

    def publish(self) -> None:
        """From now on this is the folder's index; one that was there is deleted."""
        self._publish()
        _remove_other_generations(self._folder, self._manifest.generation)

    def discard(self) -> None:
        """It was prepared, but is not wanted any more."""
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def dims(self) -> int:
        return self._manifest.dims

    @property
    def model(self) -> str:
        return self._manifest.model

    @property
    def change(self) -> int:
        """The change number of the store up to which the index holds everything."""
        return self._manifest.change

    @property
    def wasted(self) -> float:
        """The share of slots that belong to deleted files; build again when it grows past a third."""
        rows = self._now.rows
        return 1 - float(self._now.kept_files[rows["file"]].mean()) if len(rows) else 0.0

    def snapshot(self) -> Snapshot:
        return self._now

    def update(self, entries: Iterable[Entry], *, drop: Iterable[str] = (), change: int) -> None:
        """Delete files, then add rows; durable when it returns. A file that is to be replaced is in both."""
        dropped = self._drop(frozenset(drop))
        self._append(entries, change, dropped)
        self._publish()

    def extend(self, entries: Iterable[Entry], *, drop: Iterable[str] = (), change: int) -> None:
        """The same for an index that is prepared and not yet published."""
        dropped = self._drop(frozenset(drop))
        self._append(entries, change, dropped)
        self._refresh()

    def _drop(self, names: frozenset[str]) -> list[int]:
        kept = self._now.kept_files.copy()
        numbers = [number for number, name in enumerate(self._now.files) if kept[number] and name in names]
        kept[numbers] = False
        self._manifest = msgspec.structs.replace(self._manifest, dropped=_packed(~kept))
        return numbers

    def _append(self, entries: Iterable[Entry], change: int, dropped: Sequence[int] = ()) -> None:
        self._cut_off_the_unpublished()
        numbers = {name: number for number, name in enumerate(self._now.files) if self._kept(number)}
        remaining = iter(entries)
        pending = list(dropped)
        while (batch := list(islice(remaining, _BATCH))) or pending:
            self._append_batch(batch, numbers, pending)
            pending = []
        self._manifest = msgspec.structs.replace(self._manifest, change=change)

    def _append_batch(self, batch: Sequence[Entry], numbers: dict[str, int], dropped: Sequence[int]) -> None:
        old = self._manifest
        names = [name for name in dict.fromkeys(entry.file for entry in batch) if name not in numbers]
        numbers.update((name, old.files + at) for at, name in enumerate(names))
        rows = np.array([_record(entry, numbers[entry.file]) for entry in batch], dtype=_ROW)
        slots = range(old.count, old.count + len(batch))
        texts = [
            Slotted(slot, int(row["file"]), entry.text, LANGUAGES[row["language"]])
            for slot, entry, row in zip(slots, batch, rows, strict=True)
        ]
        self._text.write(texts, dropped)
        append(self._home / "vectors.f16", old.dims, old.count, _halves(batch, old.dims))
        _write_behind(self._home / "rows.bin", old.count * _ROW.itemsize, rows.tobytes())
        _write_names(self._home / "files.jsonl", names)
        self._manifest = msgspec.structs.replace(
            old,
            count=old.count + len(batch),
            files=old.files + len(names),
            rows_crc=zlib.crc32(rows.tobytes(), old.rows_crc),
        )

    def _cut_off_the_unpublished(self) -> None:
        """What a writer left that died before its manifest: the other files are cut when they are appended to."""
        _keep_lines(self._home / "files.jsonl", self._manifest.files)
        if self._now.text.documents > int(self._now.kept_files[self._now.rows["file"]].sum()):
            self._text.drop_from(self._manifest.count)

    def _kept(self, number: int) -> bool:
        return not _unpacked(self._manifest.dropped, self._manifest.files)[number]

    def _publish(self) -> None:
        _replace(self._folder / "manifest.json", msgspec.json.encode(self._manifest))
        self._refresh()

    def _refresh(self) -> None:
        self._now = self._load(self._now.matrix.grown(self._manifest.count))

    def _matrix(self) -> Matrix:
        return Matrix(self._home / "vectors.f16", self._manifest.dims, self._manifest.count)

    def _load(self, matrix: Matrix) -> Snapshot:
        manifest = self._manifest
        rows = np.fromfile(self._home / "rows.bin", dtype=_ROW, count=manifest.count) if manifest.count else _no_rows()
        if zlib.crc32(rows.tobytes()) != manifest.rows_crc:
            raise Stale("The index's rows are damaged.")
        kept = ~_unpacked(manifest.dropped, manifest.files)
        alive = rows[kept[rows["file"]]]
        return Snapshot(
            change=manifest.change,
            model=manifest.model,
            rows=rows,
            files=tuple(_read_names(self._home / "files.jsonl", manifest.files)),
            kept_files=kept,
            matrix=matrix,
            text=self._text.snapshot(),
            language=_language(alive),
            languages=_languages(alive),
        )

    @classmethod
    def _opened(cls, folder: Path, manifest: _Manifest) -> "Index":
        try:
            index = cls(folder, manifest)
        except (OSError, ValueError) as fault:
            raise Stale(f"The index cannot be read: {fault}") from fault
        index._check_text()
        return index

    def _check_text(self) -> None:
        alive = int(self._now.kept_files[self._now.rows["file"]].sum())
        if self._now.text.documents < alive:
            raise Stale(f"The text index holds {self._now.text.documents} of {alive} rows.")


def _record(entry: Entry, number: int) -> tuple[int, ...]:
    if not 1 <= len(entry.chunks) <= 2:
        raise ValueError(f"Row {entry.row} is held by {len(entry.chunks)} chunks; a window has one or two.")
    chunk, other = (*entry.chunks, _NO_CHUNK)[:2]
    words = len(entry.text.split())
    language = LANGUAGES.index(language_of(entry.text))
    cjk = cjk_characters(entry.text)
    return (entry.row, number, chunk, other, entry.tokens, words, len(entry.text), cjk, language)


def _halves(batch: Sequence[Entry], dims: int) -> Halves:
    for entry in batch:
        if entry.vector and len(entry.vector) != 2 * dims:
            raise ValueError(f"Row {entry.row} has a vector of {len(entry.vector)} bytes, not {2 * dims}.")
    nothing = bytes(2 * dims)
    joined = b"".join(entry.vector or nothing for entry in batch)
    return np.frombuffer(joined, dtype="<f2").reshape(len(batch), dims).astype(np.float16)


def _language(rows: _Rows) -> Language:
    return Language(*(int(rows[name].sum(dtype=np.int64)) for name in ("pieces", "words", "characters", "cjk")))


def _languages(rows: _Rows) -> tuple[str, ...]:
    counts = np.bincount(rows["language"], minlength=len(LANGUAGES))
    return tuple(name for name, count in zip(LANGUAGES, counts, strict=True) if count and count >= len(rows) / 20)


def _no_rows() -> _Rows:
    return np.empty(0, dtype=_ROW)


def _packed(dropped: Mask) -> str:
    return base64.b64encode(np.packbits(dropped).tobytes()).decode()


def _unpacked(dropped: str, files: int) -> Mask:
    """Files added after it was packed are not dropped."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(dropped), dtype=np.uint8)).astype(np.bool_)
    return np.pad(bits, (0, max(0, files - len(bits))))[:files]


def _read_manifest(folder: Path) -> _Manifest:
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=_Manifest)
    except (OSError, msgspec.DecodeError) as fault:
        raise Stale(f"There is no index in {folder.name}.") from fault
    if manifest.format != _FORMAT:
        raise Stale(f"The index has format {manifest.format}, not {_FORMAT}.")
    return manifest


def _next_generation(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    return 1 + max((int(each.name) for each in folder.iterdir() if each.name.isdigit()), default=0)


def _remove_other_generations(folder: Path, kept: int) -> None:
    for each in folder.iterdir():
        if each.name.isdigit() and int(each.name) != kept:
            shutil.rmtree(each, ignore_errors=True)


def _write_behind(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(offset)
        file.seek(offset)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _write_names(path: Path, names: Sequence[str]) -> None:
    with path.open("ab") as file:
        file.writelines(msgspec.json.encode(name) + b"\n" for name in names)
        file.flush()
        os.fsync(file.fileno())


def _read_names(path: Path, count: int) -> Iterator[str]:
    if not count:
        return
    with path.open("rb") as file:
        for line in islice(file, count):
            yield msgspec.json.decode(line, type=str)


def _keep_lines(path: Path, count: int) -> None:
    if not path.exists():
        return
    with path.open("r+b") as file:
        for _ in range(count):
            file.readline()
        file.truncate(file.tell())


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
