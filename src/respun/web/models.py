"""Which models this server has: the routes of the settings, and who is found to answer when none is set.

Found in this order: a key in the environment, a server of models on this machine, the embedded model. What is found
answers under every name that a caller asks for, because old code asks for models that are gone.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from respun import telemetry
from respun.config import Config
from respun.config import Route as RouteSettings
from respun.core.chat import ModelError, ModelRequest, News
from respun.providers.catalogue import CatalogueModel, is_present
from respun.providers.discover import (
    LOCAL_ADDRESSES,
    Found,
    FoundEmbedded,
    FoundKey,
    FoundNothing,
    FoundServer,
    LocalAddress,
    discover,
)
from respun.providers.embedded import EmbeddedModel
from respun.providers.hardware import inspect_machine
from respun.providers.route import Route, Router, Routes, Target
from respun.settle import ConfigError
from respun.web.upstreams import Upstreams, own_model
from respun.web.windows import Windows

log: Final = telemetry.log("models")


class FoundScripted(Struct, frozen=True):
    sentence: str = "The scripted model answers: an echo for tests, not a language model."


Default = Found | FoundScripted


class Nobody:
    """The Provider of a machine that has no model; the refusal says what to do about it."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence

    def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        return self

    def __aiter__(self) -> AsyncIterator[Sequence[News]]:
        return self

    async def __anext__(self) -> Sequence[News]:
        raise ModelError("unavailable", self._sentence)


class Models:
    """The models of a server. `router` is the Provider of every run; `answers` tells people who answers."""

    def __init__(self, router: Router, answers: str, upstreams: Upstreams, config: Config) -> None:
        self.router = router
        self.answers = answers
        self.upstreams = upstreams
        self.windows = Windows(
            router.routes,
            upstreams.providers,
            {f"embedded {name}": model.context_window for name, model in upstreams.embedded.items()},
            config.context_window,
        )
        self._config = config
        self._asking: asyncio.Task[None] | None = None
        self._fetching: list[asyncio.Task[None]] = []

    def startup(self, environ: Mapping[str, str], before: "Models | None" = None) -> None:
        """Fetch embedded models that aren't here now, so that the first run needn't wait as long; ask for windows.

        What the models that answered `before` are fetching goes on.
        """
        self._asking = asyncio.create_task(self.windows.run())
        if before and before._asking:
            before._asking.cancel()
        self._fetching = before._fetching if before else []
        known = before.upstreams.embedded if before else {}
        for name, provider in self.upstreams.embedded.items():
            if name not in known and not is_present(provider.model, self._config.models_folder):
                self._fetching.append(asyncio.create_task(_fetch(provider.model, self._config, environ)))

    def chooses_tools(self, model: str) -> bool:
        """False where a model too small to choose a tool answers under this name."""
        choices = self.router.routes.choices(model)
        small = {
            f"embedded {name}" for name, own in self.upstreams.embedded.items() if not own.model.profile.chooses_tools
        }
        return not choices or choices[0].upstream not in small

    async def aclose(self) -> None:
        """When no model call is running any more."""
        for task in (*self._fetching, *([self._asking] if self._asking else [])):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.router.aclose()
        await self.upstreams.aclose()


async def find_models(
    config: Config,
    environ: Mapping[str, str],
    addresses: Sequence[LocalAddress] = LOCAL_ADDRESSES,
    embedded: Mapping[str, EmbeddedModel] = MappingProxyType({}),
) -> Models:
    """Raises ConfigError where the settings name a model or an upstream that there isn't.

    `embedded` are models of our own that may run already, by name.
    """
    default = await find_default(config, addresses)
    upstreams = Upstreams(config, environ, embedded)
    primary = [_route(pattern, route, upstreams) for pattern, route in config.models.items()]
    if default is not None:
        primary += _default_routes(default, upstreams, taken={route.pattern for route in primary})
    routes = [_with_fallback(route, config, Routes(primary)) for route in primary]
    told = [_told(pattern, route) for pattern, route in config.models.items()]
    answers = "; ".join(told + ([default.sentence] if default else [])) or "No model is set; runs will fail."
    return Models(Router(routes, upstreams.providers), answers, upstreams, config)


async def find_default(config: Config, addresses: Sequence[LocalAddress] = LOCAL_ADDRESSES) -> Default | None:
    """Who answers a name that no route matches; None where routes are set and nobody else was asked for."""
    asked = config.provider
    if asked == "none" or "*" in config.models or (asked == "auto" and config.models):
        return None
    if asked == "scripted":
        return FoundScripted()
    keys = {"OPENAI_API_KEY": config.openai_api_key or "", "OPENAI_BASE_URL": config.openai_base_url or ""}
    found = await discover(
        keys if asked in ("auto", "openai") else {},
        inspect_machine(),
        config.models_folder,
        addresses=addresses if asked in ("auto", "local") else (),
    )
    if asked == "openai" and not isinstance(found, FoundKey):
        raise ConfigError("provider is openai, but no key is set. Set OPENAI_API_KEY or OPENAI_BASE_URL.")
    if asked == "local" and not isinstance(found, FoundServer):
        names = ", ".join(f"{address.server} ({address.origin})" for address in addresses)
        raise ConfigError(f"provider is local, but no server of models answers. Asked were {names}.")
    if isinstance(found, FoundEmbedded) and config.embedded_model:
        model = own_model(config)
        return FoundEmbedded(model, is_present(model, config.models_folder))
    return found


def answers_any_name(default: Default | None) -> bool:
    """Whether a caller may ask for whatever model name its code has."""
    return isinstance(default, FoundServer | FoundEmbedded | FoundScripted)


def _default_routes(default: Default, upstreams: Upstreams, taken: set[str]) -> list[Route]:
    match default:
        case FoundKey():
            return [Route("*", (Target(upstreams.openai()),))]
        case FoundServer(base_url=base_url, models=models):
            local = upstreams.local(base_url)
            named = [Route(name, (Target(local, name),)) for name in models if name not in taken]
            return [*named, Route("*", (Target(local, models[0]),))]
        case FoundEmbedded(model=model):
            return [Route("*", (Target(upstreams.own(model), model.name),))]
        case FoundScripted():
            return [Route("*", (Target(upstreams.scripted()),))]
        case FoundNothing(sentence=sentence):
            upstreams.providers["nobody"] = Nobody(sentence)
            return [Route("*", (Target("nobody"),))]


def _route(pattern: str, route: RouteSettings, upstreams: Upstreams) -> Route:
    return Route(pattern, (Target(upstreams.of_route(pattern, route), route.model, route.context_window),))


def _with_fallback(route: Route, config: Config, primary: Routes) -> Route:
    """The route with the targets of the names it falls back to, each found as a caller's would be."""
    settings = config.models.get(route.pattern)
    targets = list(route.targets)
    for name in settings.fallback if settings else ():
        choices = primary.choices(name)
        if not choices:
            raise ConfigError(f"models.\"{route.pattern}\": no route serves its fallback '{name}'. Add one for it.")
        targets.append(Target(choices[0].upstream, choices[0].model, choices[0].window))
    return Route(route.pattern, tuple(targets))


def _told(pattern: str, route: RouteSettings) -> str:
    target = route.upstream or urlsplit(route.base_url or "").netloc.rpartition("@")[2]
    return f"{pattern} → {target}" + (f" ({route.model})" if route.model else "")


async def _fetch(model: CatalogueModel, config: Config, environ: Mapping[str, str]) -> None:
    from respun.providers.download import PullError, pull

    log.info("fetching a model", model=model.name, megabytes=model.size // 1_000_000, licence=model.licence)
    try:
        await pull(model, config.models_folder, environ=environ)
    except PullError as error:
        log.warning("a model can't be fetched; the first run tries again", model=model.name, reason=error.message)
    else:
        log.info("a model is here", model=model.name)
