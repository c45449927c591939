"""The settings made into providers: one for each upstream that a route or the default names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from respun.config import Config, Route
from respun.config import Upstream as UpstreamSettings
from respun.core.chat import Provider
from respun.providers.asking import Capabilities, expected_of
from respun.providers.catalogue import INSTANT, CatalogueModel, UnknownModel, ablest_present, model_named
from respun.providers.chat import ChatProvider
from respun.providers.embedded import EmbeddedModel
from respun.providers.schema_tools import SchemaTools
from respun.providers.scripted import Scripted
from respun.providers.structured import Structured
from respun.providers.upstream import Timeouts, Upstream
from respun.settle import ConfigError

if TYPE_CHECKING:
    from aiohttp import BaseConnector

OPENAI: Final = "https://api.openai.com/v1"
# A small machine may take many minutes for a prompt of thousands of tokens.
_EMBEDDED_SECONDS: Final = 1800.0


class Upstreams:
    """Makes each upstream once. `providers` is what a Router wants, `embedded` the models of our own among them."""

    def __init__(
        self, config: Config, environ: Mapping[str, str], embedded: Mapping[str, EmbeddedModel] = MappingProxyType({})
    ) -> None:
        """`embedded` are models of our own that may run already: they are used as they are, and closed with these."""
        self.providers: dict[str, Provider] = {}
        self.embedded = dict(embedded)
        self._config = config
        self._environ = environ

    def of_route(self, pattern: str, route: Route) -> str:
        """The name of the upstream that a route of the settings wants."""
        if route.base_url is not None:
            settings = UpstreamSettings(base_url=route.base_url, api_key_env=route.api_key_env)
            return self._add(f'models."{pattern}"', lambda: self._chat(settings))
        match route.upstream:
            case "openai" if "openai" not in self._config.upstreams:
                return self.openai()
            case "scripted" if "scripted" not in self._config.upstreams:
                return self.scripted()
            case "embedded" if "embedded" not in self._config.upstreams:
                return self.own(own_model(self._config, route.model))
            case name:
                assert name is not None
                return self._add(name, lambda: self._chat(self._config.upstreams[name]))

    def openai(self) -> str:
        base_url = self._config.openai_base_url or OPENAI
        return self._add("openai", lambda: _structured(self._upstream(base_url, self._config.openai_api_key)))

    def scripted(self) -> str:
        return self._add("scripted", Scripted)

    def local(self, base_url: str) -> str:
        return self._add("local", lambda: _structured(self._upstream(base_url, None)))

    def own(self, model: CatalogueModel) -> str:
        """The upstream of a model of the catalogue."""
        name = f"embedded {model.name}"
        if name not in self.providers:
            idle = self._config.embedded_idle_seconds
            folder = self._config.models_folder
            provider = self.embedded.get(model.name)
            if provider is None:
                provider = EmbeddedModel(model, folder, connect, environ=self._environ, idle_seconds=idle)
                self.embedded[model.name] = provider
            tools = SchemaTools(provider, "full" if model.profile.chooses_tools else "directed")
            self.providers[name] = Structured(tools, lambda _: Capabilities())
        return name

    async def aclose(self) -> None:
        for model in self.embedded.values():
            await model.close()

    def _add(self, name: str, make: Callable[[], Provider]) -> str:
        if name not in self.providers:
            self.providers[name] = make()
        return name

    def _chat(self, settings: UpstreamSettings) -> Provider:
        key = self._environ.get(settings.api_key_env) if settings.api_key_env else None
        return _structured(self._upstream(settings.base_url, key, settings), tools=settings.tools)

    def _upstream(self, base_url: str, key: str | None, settings: UpstreamSettings | None = None) -> Upstream:
        return Upstream(
            base_url=base_url,
            api_key=key,
            headers=settings.headers if settings else {},
            streaming=settings.streaming if settings else True,
            capabilities=_told(base_url, settings) if settings else None,
            timeouts=Timeouts(
                connect=self._config.connect_seconds,
                first_byte=self._config.first_byte_seconds,
                idle=self._config.idle_seconds,
                total=self._config.total_seconds,
            ),
            retries=self._config.retries,
        )


def _structured(upstream: Upstream, *, tools: bool = True) -> Provider:
    """A client whose answers have the form that was asked for; without `tools` of its own it is lent some."""
    chat = ChatProvider(upstream)
    return Structured(chat if tools else SchemaTools(chat), chat.capabilities)


def _told(base_url: str, settings: UpstreamSettings) -> Capabilities:
    """What the settings say of an upstream, where they know better than its host's name."""
    return msgspec.structs.replace(expected_of(base_url), json_schema=settings.json_schema)


def own_model(config: Config, name: str | None = None) -> CatalogueModel:
    """The embedded model of this name, or of the settings, else the ablest that is here, else the instant one."""
    name = name or config.embedded_model
    if name is None:
        return ablest_present(config.models_folder) or INSTANT
    try:
        return model_named(name)
    except UnknownModel as error:
        raise ConfigError(str(error)) from None


def connect(socket: str, key: str) -> ChatProvider:
    """A client for the process that holds an embedded model."""

    def connector() -> "BaseConnector":
        from aiohttp import UnixConnector

        return UnixConnector(socket, force_close=True)

    wait = Timeouts(first_byte=_EMBEDDED_SECONDS, idle=_EMBEDDED_SECONDS, total=_EMBEDDED_SECONDS)
    upstream = Upstream(
        "http://embedded.localhost/v1", api_key=key, timeouts=wait, retries=0, capabilities=Capabilities(images=False)
    )
    return ChatProvider(upstream, connector=connector)
