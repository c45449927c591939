"""The vector leg: find the nearest vectors by their signs, then score the best of them exactly.

48 bytes a vector of 384 dimensions are scanned in memory; the halves (float16) stay on disk and only the candidates'
are read. Signs are taken around the centre of the first vectors, because a model's vectors all lean one way and would
share most of theirs. No graph is built, so an added vector costs an append, and a filter or a deletion is a mask.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from respun.retrieval.lexical import Mask, Match

Halves = npt.NDArray[np.float16]
_Signs = npt.NDArray[np.uint64]
_Distances = npt.NDArray[np.uint16]

_BLOCK: Final = 1 << 16
# Measured on bge vectors: 500 of 100,000 find 96 of the best 100, 2,000 find 99. More vectors need more of them.
_CANDIDATES: Final = 2_500
_CANDIDATES_ONE_IN: Final = 200
_CENTRE_OF: Final = 4096
_FAR: Final = np.uint16(0xFFFF)
# Below this share of allowed vectors only theirs are scanned.
_SPARSE: Final = 0.25


class _Loaded(Struct, frozen=True):
    """What a matrix hands on to the one that grows out of it: the centre and the blocks that are full."""

    centre: npt.NDArray[np.float32]
    blocks: tuple[_Signs, ...]


class Matrix:
    """The first `count` vectors of a file. Immutable: `grown` is another matrix that shares what was loaded."""

    def __init__(self, path: Path, dims: int, count: int, loaded: "_Loaded | None" = None) -> None:
        self._path = path
        self.dims = dims
        self.count = count
        self._halves = _mapped(path, dims, count)
        self._centre = loaded.centre if loaded else _centre_of(self._halves)
        known = loaded.blocks if loaded else ()
        later = self._halves[len(known) * _BLOCK :]
        self._blocks = (*known, *_all_blocks(later, self._centre))

    def grown(self, count: int) -> "Matrix":
        """The same file after vectors were appended to it."""
        if self.count < _CENTRE_OF:
            return Matrix(self._path, self.dims, count)
        whole = self._blocks[: self.count // _BLOCK]
        return Matrix(self._path, self.dims, count, _Loaded(self._centre, whole))

    def rows(self, slots: Sequence[int]) -> npt.NDArray[np.float32]:
        return self._halves[np.array(slots, dtype=np.intp)].astype(np.float32)

    def best(self, question: npt.NDArray[np.float32], limit: int, allowed: Mask) -> list[Match]:
        """The best allowed slots by cosine, given a unit vector."""
        slots = np.flatnonzero(allowed)
        slots = self._candidates(
            question, slots, allowed, max(_CANDIDATES, 5 * limit, self.count // _CANDIDATES_ONE_IN)
        )
        scores = self._halves[slots].astype(np.float32) @ question
        order = np.argsort(-scores, kind="stable")[:limit]
        # What has no vector is a row of noughts: its cosine is no score.
        return [Match(int(slots[at]), float(scores[at])) for at in order if scores[at]]

    def exact(self, question: npt.NDArray[np.float32], limit: int, allowed: Mask) -> list[Match]:
        """What `best` approximates, by reading every vector."""
        scores = np.where(allowed, self._halves.astype(np.float32) @ question, -np.inf)
        order = np.argsort(-scores, kind="stable")[:limit]
        return [Match(int(at), float(scores[at])) for at in order if allowed[at]]

    def _candidates(
        self, question: npt.NDArray[np.float32], slots: npt.NDArray[np.intp], allowed: Mask, most: int
    ) -> npt.NDArray[np.intp]:
        if len(slots) <= most:
            return slots
        signs = _signs_of(question[np.newaxis], self._centre)[:, 0]
        if len(slots) < _SPARSE * self.count:
            distances = self._sparse_distances(signs, slots)
            return np.sort(slots[np.argpartition(distances, most)[:most]])
        distances = np.concatenate([_distances(block, signs) for block in self._blocks])
        distances[~allowed] = _FAR
        return np.sort(np.argpartition(distances, most)[:most])

    def _sparse_distances(self, signs: _Signs, slots: npt.NDArray[np.intp]) -> _Distances:
        edges = np.searchsorted(slots, np.arange(0, self.count + _BLOCK, _BLOCK))
        parts = [
            _distances(block[:, slots[edges[number] : edges[number + 1]] - number * _BLOCK], signs)
            for number, block in enumerate(self._blocks)
        ]
        return np.concatenate(parts)


def append(path: Path, dims: int, count: int, vectors: Halves) -> None:
    """Write vectors behind the first `count`, over whatever a writer that died left there. Durable on return."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(count * dims * 2)
        file.seek(0, os.SEEK_END)
        file.write(vectors.astype("<f2").tobytes())
        file.flush()
        os.fsync(file.fileno())


def _mapped(path: Path, dims: int, count: int) -> Halves:
    if not count or not dims:
        return np.empty((count, dims), dtype=np.float16)
    return np.memmap(path, dtype="<f2", mode="r", shape=(count, dims))


def _centre_of(halves: Halves) -> npt.NDArray[np.float32]:
    first = halves[:_CENTRE_OF].astype(np.float32)
    return first.mean(axis=0) if len(first) else np.zeros(halves.shape[1], dtype=np.float32)


def _all_blocks(halves: Halves, centre: npt.NDArray[np.float32]) -> tuple[_Signs, ...]:
    return tuple(_signs_of(halves[at : at + _BLOCK], centre) for at in range(0, len(halves), _BLOCK))


def _signs_of(vectors: npt.NDArray[np.floating], centre: npt.NDArray[np.float32]) -> _Signs:
    """One column a vector, 64 signs a word, so that a scan reads memory in order."""
    packed = np.packbits(vectors > centre, axis=1)
    padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(padded.view(np.uint64).T)


def _distances(block: _Signs, signs: _Signs) -> _Distances:
    total = np.zeros(block.shape[1], dtype=np.uint16)
    for word, wanted in zip(block, signs, strict=True):
        total += np.bitwise_count(word ^ wanted)
    return total
