"""Call models over Chat Completions: one session an upstream, retries before the first news, news in batches.

After the first news nothing is retried: what failed then is raised, and never dressed up as a finished answer.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from respun.core.chat import ModelRequest, News
from respun.providers.asking import Capabilities, body_of, learn
from respun.providers.exchange import Exchange, Failed, list_models
from respun.providers.faults import Failure
from respun.providers.upstream import Effects, Upstream

if TYPE_CHECKING:
    from aiohttp import BaseConnector, ClientSession

log: Final = logging.getLogger("respun.providers")

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 8.0
_MODELS_REMEMBERED: Final = 256


class ChatProvider:
    """A Provider for one OpenAI-compatible upstream. Close it with `aclose` when no call is running."""

    def __init__(
        self,
        upstream: Upstream,
        effects: Effects | None = None,
        connector: "Callable[[], BaseConnector] | None" = None,
    ) -> None:
        """`connector` makes the connections, for proxies and unusual networks; it is asked once."""
        self.upstream = upstream
        self._effects = effects or Effects()
        self._connector = connector
        self._session: ClientSession | None = None
        self._learnt: dict[str, Capabilities] = {}

    def __repr__(self) -> str:
        return f"ChatProvider({self.upstream!r})"

    def capabilities(self, model: str) -> Capabilities:
        """What is known of a model, by its upstream name."""
        return self._learnt.get(model, self.upstream.expected)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        request = self._named(request)
        self._check(request)
        deadline = asyncio.get_running_loop().time() + self.upstream.timeouts.total
        attempts = 0
        begun = False
        while True:
            exchange = self._exchange(request, deadline)
            try:
                await exchange.open(self._open_session())
                while not exchange.done:
                    if batch := await exchange.read():
                        begun = True
                        yield batch
                return
            except Failed as failed:
                failure = failed.failure
            finally:
                exchange.close()
            # Raised out here, so that no exception of the HTTP client, which may hold headers, is its context.
            if not begun and self._learns(request.model, exchange.body, failure):
                continue
            if begun or not failure.again or attempts >= self.upstream.retries:
                raise failure.error
            await self._pause(failure, attempts, deadline)
            attempts += 1

    @property
    def address(self) -> str:
        return self.upstream.base_url

    async def models(self) -> Sequence[str]:
        """Names the upstream says it serves. Raises `ModelError`."""
        return list(await self.windows())

    async def windows(self) -> Mapping[str, int | None]:
        """The same names with the tokens that each model holds, None where the upstream doesn't say."""
        try:
            names = await list_models(self._open_session(), self.upstream, self._effects.now())
        except Failed as failed:
            failure = failed.failure
        else:
            return names
        raise failure.error

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _named(self, request: ModelRequest) -> ModelRequest:
        name = self.upstream.model
        return request if name is None else msgspec.structs.replace(request, model=name)

    def _check(self, request: ModelRequest) -> None:
        if request.tools and not self.capabilities(request.model).tools:
            raise self.upstream.reporter(request.model).error(
                "rejected",
                "does not know tools.",
                "Configure the schema adapter for it, or use a model that calls tools.",
            )

    def _exchange(self, request: ModelRequest, deadline: float) -> Exchange:
        known = self.capabilities(request.model)
        body = body_of(request, known, stream=self.upstream.streaming)
        return Exchange(self.upstream, request.model, body, deadline, self._effects)

    def _open_session(self) -> "ClientSession":
        if self._session is None or self._session.closed:
            import aiohttp

            connector = self._connector() if self._connector else aiohttp.TCPConnector(limit=0)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.upstream.timeouts.connect)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=1 << 18
            )
        return self._session

    def _learns(self, model: str, sent: bytes, failure: Failure) -> bool:
        if failure.complaint is None or failure.error.status not in (400, 422):
            return False
        known = learn(self.capabilities(model), sent, failure.complaint)
        if known is None:
            return False
        log.info("an upstream does not know a parameter: host=%s model=%s", self.upstream.host, model)
        if len(self._learnt) >= _MODELS_REMEMBERED:
            self._learnt.clear()
        self._learnt[model] = known
        return True

    async def _pause(self, failure: Failure, attempts: int, deadline: float) -> None:
        pause = failure.wait
        if pause is None:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempts) * (0.5 + self._effects.chance() / 2)
        if asyncio.get_running_loop().time() + pause >= deadline:
            raise failure.error
        log.warning("asking an upstream again: host=%s kind=%s", self.upstream.host, failure.error.kind)
        await self._effects.sleep(pause)
