"""Have passages that were found ranked anew by an endpoint whose `/rerank` is as that of Cohere, Jina or vLLM.

An aid, never a need: when the endpoint fails or is late, passages stay as they were, and their reason says so by having
no score of it.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from respun import telemetry
from respun.core.problems import Problem
from respun.core.vector_stores import Passage
from respun.engine.clock import Clock

log: Final = telemetry.log("reranking")

CANDIDATES: Final = 50
"""How many passages are found for it to choose from."""
_PAUSE_SECONDS: Final = 30.0

Post = Callable[[str, bytes], Awaitable[bytes]]


class Reranker:
    """`seconds` is the deadline of one search; after a missed one the endpoint is left alone for half a minute."""

    def __init__(self, post: Post, model: str | None, seconds: float, clock: Clock) -> None:
        self._post = post
        self._model = model
        self._seconds = seconds
        self._clock = clock
        self._not_before = 0.0

    async def rank(self, passages: Sequence[Passage]) -> list[Passage] | None:
        """The passages under their new scores, best first; None if they could not be ranked."""
        if not passages or self._clock.now < self._not_before:
            return None
        try:
            async with asyncio.timeout(self._seconds):
                scores = await self._scores(passages)
        except TimeoutError:
            self._not_before = self._clock.now + _PAUSE_SECONDS
            log.warning("passages not reranked", why=f"no answer in {self._seconds:g} seconds")
            return None
        except Problem as problem:
            log.warning("passages not reranked", why=problem.message)
            return None
        scored = [_scored(passage, score) for passage, score in zip(passages, _as_shares(scores), strict=True)]
        return sorted(scored, key=lambda passage: -passage.score)

    async def _scores(self, passages: Sequence[Passage]) -> list[float]:
        """Each passage is judged by the query that found it."""
        places: dict[str, list[int]] = {}
        for place, passage in enumerate(passages):
            places.setdefault(passage.reason.query, []).append(place)
        asked = (self._ask(query, [passages[place].text for place in held]) for query, held in places.items())
        scores = [0.0] * len(passages)
        for held, found in zip(places.values(), await asyncio.gather(*asked), strict=True):
            for place, score in zip(held, found, strict=True):
                scores[place] = score
        return scores

    async def _ask(self, query: str, texts: list[str]) -> list[float]:
        asked = {"query": query, "documents": texts, "top_n": len(texts), "return_documents": False}
        if self._model:
            asked["model"] = self._model
        try:
            answer = msgspec.json.decode(await self._post("/rerank", msgspec.json.encode(asked)), type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise _refused(f"something that is no list of scores ({fault})") from fault
        by_index = {each.index: each.relevance_score for each in answer.results}
        if sorted(by_index) != list(range(len(texts))) or len(answer.results) != len(texts):
            raise _refused(f"{len(answer.results)} scores for {len(texts)} passages")
        return [by_index[index] for index in range(len(texts))]


class _Result(msgspec.Struct):
    index: int
    relevance_score: float


class _Answer(msgspec.Struct):
    results: list[_Result]


def _refused(answered: str) -> Problem:
    return Problem(f"The rerank endpoint answered {answered}. Check rerank_base_url.", kind="unavailable")


def _as_shares(scores: list[float]) -> list[float]:
    """Scores of 0 to 1 as they are; those of servers that answer logits, as llama-server does, made into such."""
    if all(0 <= score <= 1 for score in scores):
        return scores
    return [1 / (1 + math.exp(-max(-50.0, min(50.0, score)))) for score in scores]


def _scored(passage: Passage, score: float) -> Passage:
    return replace(passage, score=score, reason=replace(passage.reason, rerank_score=score))
