"""Embedding models: texts become unit vectors.

`Embedder` is the whole of what the rest needs. `BgeSmall` runs the carried model in this process, `Endpoint` asks any
OpenAI-compatible `/embeddings` address through the `post` it is given.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from respun.core.problems import Problem
from respun.retrieval.wordpiece import read_wordpiece

Vectors = npt.NDArray[np.float32]
Post = Callable[[str, bytes], Awaitable[bytes]]
"""Sends JSON to a path below the endpoint's base address and returns the body of the answer; raises otherwise."""

_LONGEST_INPUT: Final = 512
_INPUTS_A_REQUEST: Final = 128


class Embedder(Protocol):
    """`name` goes into every index made with it: another name means that the vectors must be made again."""

    @property
    def name(self) -> str: ...
    @property
    def dims(self) -> int: ...
    @property
    def address(self) -> str:
        """Where it is asked; empty if it is carried."""

    @property
    def english_only(self) -> bool:
        """Whether its vectors deserve less trust on text that is not English (see `fuse.lexical_weight`)."""

    def count(self, text: str) -> int:
        """Tokens of the text, as windows are measured."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row a text."""


class BgeSmall:
    """bge-small-en-v1.5 in int8. The folder holds `model.onnx` and `tokenizer.json`, checked by whoever put them there.

    One text a call of the model: padding costs more than batching gains. The vector is that of the start mark, and
    questions go without bge's prefix, which doubles a short question and gained nothing.
    """

    name = "bge-small-en-v1.5-int8"
    dims = 384
    address = ""
    english_only = True

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        path = str(folder / "model.onnx")
        self._session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._pieces = read_wordpiece(folder / "tokenizer.json")

    def count(self, text: str) -> int:
        return self._pieces.count(text)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        return await asyncio.to_thread(self.embed_here, texts)

    def embed_here(self, texts: Sequence[str]) -> Vectors:
        """The same in the calling thread; it lets other threads run while the model works."""
        vectors = np.empty((len(texts), self.dims), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._one(text)
        return _unit(vectors)

    def _one(self, text: str) -> Vectors:
        numbers = np.array([self._pieces.encode(text, _LONGEST_INPUT)], dtype=np.int64)
        given = {
            "input_ids": numbers,
            "attention_mask": np.ones_like(numbers),
            "token_type_ids": np.zeros_like(numbers),
        }
        states: Vectors = self._session.run(None, given)[0]
        first: Vectors = states[0, 0]
        return first


class Endpoint:
    """A model behind an OpenAI-compatible `/embeddings` address.

    `dims` is what the endpoint answers; a different length is refused, because an index cannot mix them.
    """

    english_only = False

    def __init__(self, post: Post, model: str, dims: int, count: Callable[[str], int], address: str = "") -> None:
        self.address = address
        self.name = f"{model}/{dims}"
        self.dims = dims
        self._model = model
        self._post = post
        self._count = count

    def count(self, text: str) -> int:
        return self._count(text)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        parts = [texts[at : at + _INPUTS_A_REQUEST] for at in range(0, len(texts), _INPUTS_A_REQUEST)]
        answers = [await self._ask(part) for part in parts]
        return np.concatenate(answers) if answers else np.empty((0, self.dims), dtype=np.float32)

    async def _ask(self, texts: Sequence[str]) -> Vectors:
        body = msgspec.json.encode({"model": self._model, "input": texts, "encoding_format": "float"})
        answer = _decode(await self._post("/embeddings", body))
        rows = sorted(answer.data, key=lambda item: item.index)
        if [row.index for row in rows] != list(range(len(texts))):
            raise _refused(f"{len(rows)} embeddings for {len(texts)} texts")
        vectors = np.stack([_row(item.embedding) for item in rows])
        if vectors.shape[1] != self.dims:
            raise _refused(f"embeddings of {vectors.shape[1]} dimensions where {self.dims} are configured")
        return _unit(vectors)


class _Item(msgspec.Struct):
    index: int
    embedding: list[float] | str


class _Answer(msgspec.Struct):
    data: list[_Item]


def _decode(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise _refused(f"something that is not a list of embeddings ({fault})") from fault


def _row(embedding: list[float] | str) -> Vectors:
    try:
        if isinstance(embedding, str):
            return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
        return np.array(embedding, dtype=np.float32)
    except ValueError as fault:
        raise _refused("an embedding that is neither numbers nor base64 of float32") from fault


def _refused(answered: str) -> Problem:
    return Problem(f"The embeddings endpoint answered {answered}. Check its model and dimensions.", kind="unavailable")


def _unit(vectors: Vectors) -> Vectors:
    if not np.isfinite(vectors).all():
        raise _refused("numbers that are not finite")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit
