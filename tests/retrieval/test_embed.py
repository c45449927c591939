"""Embedding: the carried model, its pieces, and any endpoint behind the same protocol."""

import asyncio
import base64
import json
from typing import Any

import numpy as np
import pytest

from respun.core.problems import Problem
from respun.retrieval.embed import BgeSmall, Endpoint, Vectors


def test_the_pieces_are_those_of_bert(bge: BgeSmall) -> None:
    pieces = bge._pieces
    # Numbers of BERT's uncased vocabulary: 101 and 102 are the marks, 7592 "hello", 2088 "world", 999 "!".
    assert pieces.encode("Hello, WORLD!", 512) == [101, 7592, 1010, 2088, 999, 102]
    assert pieces.encode("Café", 512) == pieces.encode("cafe\u0301", 512) == pieces.encode("cafe", 512)
    assert pieces.encode("x\u200by\0", 512) == pieces.encode("xy", 512)
    assert pieces.count("长城") == 2
    assert pieces.encode("x" * 101, 512) == [101, 100, 102]


def test_what_does_not_fit_the_model_is_cut_off(bge: BgeSmall) -> None:
    assert len(bge._pieces.encode("word " * 1000, 512)) == 512
    assert bge.count("word " * 1000) == 1000
    assert bge.embed_here(["word " * 1000]).shape == (1, 384)


def test_near_meanings_have_near_vectors(bge: BgeSmall) -> None:
    vectors = asyncio.run(bge.embed(["How do I reset my password?", "forgotten login credentials", "ripe bananas"]))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


def test_no_texts_have_no_vectors(bge: BgeSmall) -> None:
    assert bge.embed_here([]).shape == (0, 384)


def answering(given: object) -> Endpoint:
    async def post(path: str, body: bytes) -> bytes:
        assert path == "/embeddings"
        return given if isinstance(given, bytes) else json.dumps(given).encode()

    return Endpoint(post, "some-model", 2, str.__len__)


def embed(endpoint: Endpoint, *texts: str) -> Vectors:
    return asyncio.run(endpoint.embed(texts))


def test_an_endpoint_is_asked_in_parts_and_its_order_restored() -> None:
    asked: list[Any] = []

    async def post(path: str, body: bytes) -> bytes:
        request = json.loads(body)
        asked.append(request)
        data = [{"index": at, "embedding": [3.0, float(len(text))]} for at, text in enumerate(request["input"])]
        return json.dumps({"data": data[::-1]}).encode()

    vectors = embed(Endpoint(post, "some-model", 2, str.__len__), *("x" * 4 for _ in range(200)))
    assert [len(request["input"]) for request in asked] == [128, 72]
    assert asked[0]["model"] == "some-model"
    assert vectors == pytest.approx(np.array([[0.6, 0.8]] * 200))


def test_an_endpoint_may_answer_in_base64() -> None:
    packed = base64.b64encode(np.array([0, 5], dtype="<f4").tobytes()).decode()
    assert embed(answering({"data": [{"index": 0, "embedding": packed}]}), "a").tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"<html>", "not a list of embeddings"),
        ({"data": []}, "0 embeddings for 1 texts"),
        ({"data": [{"index": 1, "embedding": [1, 2]}]}, "1 embeddings for 1 texts"),
        ({"data": [{"index": 0, "embedding": [1, 2, 3]}]}, "3 dimensions where 2 are configured"),
        ({"data": [{"index": 0, "embedding": "!"}]}, "neither numbers nor base64"),
    ],
)
def test_an_endpoint_that_answers_nonsense_is_named(answer: object, sentence: str) -> None:
    with pytest.raises(Problem, match=sentence) as raised:
        embed(answering(answer), "a")
    assert raised.value.kind == "unavailable"
