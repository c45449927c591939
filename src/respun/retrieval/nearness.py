"""Vectors of one byte a dimension, and how near each of many is to a question: all of them are looked at.

A vector is scaled so that its largest part is 127; its length, by which it is divided again, needs no storing.
"""

from collections.abc import Sequence
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt

from respun.retrieval.embed import Vectors

_BLOCK = 2048
_MOST_NEAR = 3_000
"""Messages that are told; a search takes a few hundred of those that lie before the window."""


def packed(vectors: Vectors) -> bytes:
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12)
    whole: npt.NDArray[np.int8] = np.round(vectors * (127 / largest)).astype(np.int8)
    return whole.tobytes()


class Vectors8:
    """Vectors of some messages; `grown` shares none of its memory. Messages have several, one a passage."""

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self.upto = 0
        self._of = np.empty(0, dtype=np.int64)
        self._rows = np.empty((0, dims), dtype=np.int8)
        self._lengths = np.empty(0, dtype=np.float32)

    @property
    def nbytes(self) -> int:
        return int(self._rows.nbytes + self._of.nbytes + self._lengths.nbytes)

    def grown(self, vectors: Sequence[tuple[int, bytes]], upto: int) -> "Vectors8":
        """With more messages, in any order, none of them known before. Up to `upto` all are there."""
        more = Vectors8(self.dims)
        more.upto = upto
        if not vectors:
            more._of, more._rows, more._lengths = self._of, self._rows, self._lengths
            return more
        counts = [len(each) // self.dims for _, each in vectors]
        of = list(chain.from_iterable(repeat(n, count) for (n, _), count in zip(vectors, counts, strict=True)))
        rows = np.frombuffer(b"".join(each for _, each in vectors), dtype=np.int8).reshape(-1, self.dims)
        more._of = np.concatenate([self._of, np.array(of, dtype=np.int64)])
        more._rows = np.concatenate([self._rows, rows])
        more._lengths = np.concatenate([self._lengths, _lengths(rows)])
        return more

    def near(self, question: npt.NDArray[np.float32], upto: int) -> dict[int, float]:
        """The nearest messages up to `upto`: 1 for the nearest, down to 0 for one as near as the mean of them all."""
        cosines = np.empty(len(self._rows), dtype=np.float32)
        for at in range(0, len(self._rows), _BLOCK):
            block = self._rows[at : at + _BLOCK].astype(np.float32)
            cosines[at : at + _BLOCK] = block @ question
        cosines /= np.maximum(self._lengths, 1e-6)
        inside = self._of <= upto
        ns, places = np.unique(self._of[inside], return_inverse=True)
        if not len(ns):
            return {}
        best = np.full(len(ns), -1.0, dtype=np.float32)
        np.maximum.at(best, places, cosines[inside])
        return _scores(ns, best)


def _scores(ns: npt.NDArray[np.int64], best: npt.NDArray[np.float32]) -> dict[int, float]:
    above = best - best.mean()
    highest = float(above.max())
    if highest <= 1e-6:
        return {}
    order = np.argsort(-above, kind="stable")[:_MOST_NEAR]
    # Rounded, so that sums of products in another order give the same choice.
    return {int(ns[at]): round(float(above[at]) / highest, 4) for at in order if above[at] > 0}


def _lengths(rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    lengths = [np.linalg.norm(rows[at : at + _BLOCK].astype(np.float32), axis=1) for at in range(0, len(rows), _BLOCK)]
    return np.concatenate(lengths) if lengths else np.empty(0, dtype=np.float32)
