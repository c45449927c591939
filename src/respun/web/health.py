"""Is the server alive, and may it get requests? Neither question asks a model anything."""

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from respun import __version__
from respun.store import keys
from respun.store.backend import Backend, StoreError


class Health:
    """`/healthz` answers as long as the process does; `/readyz` also wants a store, and no shutdown under way."""

    def __init__(self, backend: Backend, draining: Callable[[], bool]) -> None:
        self._backend = backend
        self._draining = draining

    async def alive(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "version": __version__})

    async def ready(self, request: Request) -> JSONResponse:
        checks = {"store": await self._store(), "accepting": "draining" if self._draining() else "ok"}
        well = all(state == "ok" for state in checks.values())
        body = {"status": "ok" if well else "unavailable", "checks": checks}
        return JSONResponse(body, status_code=200 if well else 503, headers=_FRESH)

    async def _store(self) -> str:
        # The migrations ran before the backend was handed out, so one read tells of them, too.
        try:
            await self._backend.read(keys.any_made)
        except StoreError as error:
            return type(error).__name__
        return "ok"

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.alive),
            Route("/health", self.alive),
            Route("/readyz", self.ready),
        ]


_FRESH: Final = {"cache-control": "no-store"}
