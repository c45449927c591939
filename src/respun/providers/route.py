"""Choose which upstream serves a model name, and go on to the next when one fails before it said anything.

`Routes` decides and does nothing; `Router` does what it decided.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from time import monotonic
from typing import Final, Protocol, runtime_checkable

import msgspec

from respun.core.chat import ModelError, ModelErrorKind, ModelRequest, News, Provider

_FALLS_BACK: Final[tuple[ModelErrorKind, ...]] = (
    "unreachable",
    "timeout",
    "broken",
    "rate_limited",
    "quota",
    "auth",
    "server",
    "unavailable",
)
_LIST_KEPT: Final = 60.0
_LIST_WAIT: Final = 5.0
_NAMES_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class OnFirstUse:
    """A provider that is started when it is first needed.

    `start` raises `ModelError` where it cannot, and is then asked again at the next call.
    """

    start: Callable[[], Awaitable[Provider]]


@runtime_checkable
class ListsModels(Protocol):
    async def models(self) -> Sequence[str]: ...


@runtime_checkable
class TellsWindows(Protocol):
    async def windows(self) -> Mapping[str, int | None]: ...


@runtime_checkable
class HasAddress(Protocol):
    @property
    def address(self) -> str:
        """The base URL of the upstream; empty where there is none."""
        ...


@runtime_checkable
class Closes(Protocol):
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream by its configured name, and what it calls the model; None: what the caller asked for.

    `window` is what the settings say that the model holds, in tokens.
    """

    upstream: str
    model: str | None = None
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """`pattern` is a name, or has `*`, `?` or `[...]` in it. `targets` are tried in order."""

    pattern: str
    targets: tuple[Target, ...]

    @property
    def exact(self) -> bool:
        return not any(mark in self.pattern for mark in "*?[")


@dataclass(frozen=True, slots=True)
class Choice:
    upstream: str
    model: str
    window: int | None = None


class Routes:
    """Pure. The most particular route wins: an exact name, then the pattern with most letters, then `*`."""

    def __init__(self, routes: Sequence[Route], upstreams: Collection[str] = ()) -> None:
        self._upstreams = frozenset(upstreams)
        self.exact = {route.pattern: route for route in routes if route.exact}
        patterns = [route for route in routes if not route.exact and route.pattern != "*"]
        self.patterns = sorted(patterns, key=lambda route: -len(route.pattern))
        self.rest = next((route for route in routes if route.pattern == "*"), None)

    def choices(self, name: str) -> tuple[Choice, ...]:
        """Empty where no route serves the name.

        In `house/gpt-4o` the first word names an upstream, where there is one of that name and no route says more.
        `openai/gpt-4o` is `gpt-4o` unless a route names it with its vendor.
        """
        if (route := self._particular(name)) is not None:
            return _choices(route, name)
        vendor, slash, rest = name.partition("/")
        bare = rest if slash and rest else name
        route = self._particular(bare)
        if bare != name and vendor in self._upstreams and not _reaches(route, vendor):
            return (Choice(vendor, bare),)
        if route is not None:
            return _choices(route, bare)
        # Contract 1.1: AIML's names of OpenAI's models begin with the vendor, which OpenAI itself doesn't know.
        asked = bare if vendor == "openai" else name
        return _choices(self.rest, asked) if self.rest is not None else ()

    def _particular(self, name: str) -> Route | None:
        if name in self.exact:
            return self.exact[name]
        return next((route for route in self.patterns if fnmatchcase(name, route.pattern)), None)


def _reaches(route: Route | None, vendor: str) -> bool:
    """Whether the route is to be preferred to the upstream of this name: OpenAI's models are routed by their names."""
    return route is not None and (vendor == "openai" or any(target.upstream == vendor for target in route.targets))


def _choices(route: Route, asked: str) -> tuple[Choice, ...]:
    return tuple(Choice(target.upstream, target.model or asked, target.window) for target in route.targets)


class Router:
    """A Provider made of providers. Close it with `aclose`: it closes those it started or was given."""

    def __init__(
        self,
        routes: Sequence[Route],
        upstreams: Mapping[str, Provider | OnFirstUse],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        for route in routes:
            for target in route.targets:
                if target.upstream not in upstreams:
                    raise ValueError(
                        f"Route '{route.pattern}' names the upstream '{target.upstream}', which is not set."
                    )
        self.routes = Routes(routes, upstreams)
        self._upstreams = upstreams
        self._started: dict[str, Provider] = {}
        self._starting = asyncio.Lock()  # protects _started while a factory runs, so that it runs once
        self._clock = clock
        self._lists: dict[str, tuple[float, Sequence[str]]] = {}

    async def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        choices = self.routes.choices(request.model)
        if not choices:
            raise ModelError("unavailable", self._nothing_serves(request.model))
        failed: list[ModelError] = []
        for choice in choices:
            begun = False
            try:
                provider = await self._provider(choice.upstream)
                batches = provider.stream(msgspec.structs.replace(request, model=choice.model))
                try:
                    async for batch in batches:
                        begun = begun or bool(batch)
                        yield batch
                    return
                finally:
                    await _end(batches)
            except ModelError as error:
                failed.append(error)
            if begun or failed[-1].kind not in _FALLS_BACK:
                break
        raise _sum_up(failed)

    async def models(self) -> Sequence[str]:
        """The names a caller can ask for: those configured, and those that upstreams behind patterns list."""
        names = dict.fromkeys(self.routes.exact)
        patterns = [*self.routes.patterns, *([self.routes.rest] if self.routes.rest else [])]
        asked = dict.fromkeys(target.upstream for route in patterns for target in route.targets if not target.model)
        listed = dict(zip(asked, await asyncio.gather(*map(self._listed, asked)), strict=True))
        for route in patterns:
            for target in route.targets:
                found = [target.model] if target.model else listed[target.upstream]
                names |= dict.fromkeys(name for name in found if fnmatchcase(name, route.pattern))
        return list(names)

    async def aclose(self) -> None:
        for provider in (*self._upstreams.values(), *self._started.values()):
            if isinstance(provider, Closes):
                await provider.aclose()
        self._started.clear()

    async def _provider(self, upstream: str) -> Provider:
        found = self._upstreams[upstream]
        if not isinstance(found, OnFirstUse):
            return found
        async with self._starting:
            if upstream not in self._started:
                self._started[upstream] = await found.start()
            return self._started[upstream]

    async def _listed(self, upstream: str) -> Sequence[str]:
        """What an upstream lists, kept for a minute; one that does not answer lists what it last did, or nothing."""
        at, names = self._lists.get(upstream, (float("-inf"), ()))
        provider = self._started.get(upstream, self._upstreams[upstream])
        if self._clock() - at < _LIST_KEPT or not isinstance(provider, ListsModels):
            return names
        try:
            async with asyncio.timeout(_LIST_WAIT):
                names = await provider.models()
        except (ModelError, TimeoutError):
            pass
        self._lists[upstream] = (self._clock(), names)
        return names

    def _nothing_serves(self, name: str) -> str:
        known = [*self.routes.exact, *(route.pattern for route in self.routes.patterns)]
        shown = ", ".join(known[:_NAMES_SHOWN]) + (", ..." if len(known) > _NAMES_SHOWN else "")
        advice = f"Routes are set for: {shown}." if known else "No route is set: set a key, or the address of a server."
        return f"No upstream serves the model '{name}'. {advice}"


async def _end(batches: AsyncIterator[Sequence[News]]) -> None:
    """Ends the upstream call now, rather than when the iterator is collected."""
    if isinstance(batches, Closes):
        await batches.aclose()


def _sum_up(failed: Sequence[ModelError]) -> ModelError:
    """The last error, which tells of those before it."""
    last = failed[-1]
    if len(failed) == 1:
        return last
    before = " ".join(error.message for error in failed[:-1])
    message = f"{last.message} Tried before it: {before}"
    return ModelError(last.kind, message, status=last.status, retry_after=last.retry_after)
