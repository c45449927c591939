"""The models of a server that runs: one Provider that can be given other routes while calls are under way.

A call ends with the routes it began with; the next one, of the same run as well, takes those that hold then.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from respun.core.chat import ModelRequest, News
from respun.providers.route import Router
from respun.web.models import Models


class Switch:
    """A Provider. Close it with `aclose` when no call is running any more."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self._calls: dict[Router, int] = {}
        """How many calls each router has; one that holds no more is closed after its last."""

    async def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        router = self.models.router
        self._calls[router] = self._calls.get(router, 0) + 1
        try:
            async with aclosing(cast(Any, router.stream(request))) as batches:
                async for batch in batches:
                    yield batch
        finally:
            await self._ended(router)

    def chooses_tools(self, model: str) -> bool:
        return self.models.chooses_tools(model)

    def window(self, model: str) -> int:
        """Tokens."""
        return self.models.windows.of(model)

    async def turn_to(self, models: Models) -> None:
        """From the next call on these models answer."""
        before, self.models = self.models.router, models
        if not self._calls.get(before):
            await before.aclose()

    async def aclose(self) -> None:
        for router in self._calls:
            if router is not self.models.router:
                await router.aclose()
        await self.models.aclose()

    async def _ended(self, router: Router) -> None:
        self._calls[router] -= 1
        if self._calls[router]:
            return
        del self._calls[router]
        if router is not self.models.router:
            await router.aclose()
