"""The client of an endpoint beside the models, for embeddings or ranking: posts JSON, and tries again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from respun.core.problems import Problem
from respun.providers.upstream import Upstream

PAUSES: Final = (0.5, 2.0)
_TOTAL_SECONDS: Final = 120.0
_LARGEST_ANSWER: Final = 64 << 20


class EndpointClient:
    """`post` raises a Problem that names the host and what it answered, never the key. Close it at the end.

    `name` is the endpoint's in that Problem, `advice` what its reader may do; `pauses` in seconds lie between tries.
    """

    def __init__(
        self,
        upstream: Upstream,
        name: str,
        advice: str,
        pauses: tuple[float, ...] = PAUSES,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._upstream = upstream
        self._name = name
        self._advice = advice
        self._pauses = pauses
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes) -> bytes:
        for pause in (*self._pauses, None):
            try:
                return await self._once(path, body)
            except _Again as again:
                if pause is None:
                    raise self._refused(str(again)) from again
                await self._sleep(pause)
        raise AssertionError("the last pause is None")

    async def aclose(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    async def _once(self, path: str, body: bytes) -> bytes:
        session = self._session = self._session or aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_TOTAL_SECONDS)
        )
        try:
            async with session.post(
                self._upstream.address(path), data=body, headers=self._upstream.sent_headers()
            ) as answer:
                if answer.status == 429 or answer.status >= 500:
                    raise _Again(f"HTTP {answer.status}")
                if answer.status != 200:
                    raise self._refused(f"HTTP {answer.status}")
                if (answer.content_length or 0) > _LARGEST_ANSWER:
                    raise self._refused("more than 64 MiB")
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _Again(type(error).__name__) from error

    def _refused(self, what: str) -> Problem:
        message = f"The {self._name} endpoint at {self._upstream.host} answered {what}. {self._advice}"
        return Problem(message, kind="unavailable")


class _Again(Exception):
    """It may go well the next time."""
