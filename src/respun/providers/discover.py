"""Find a model when nothing is configured: a key in the environment, a local server, or the embedded model.

It only looks: what it returns is data and a sentence for the banner, and no key is in either.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from respun.providers.catalogue import INSTANT, MODELS, CatalogueModel, ablest_present
from respun.providers.hardware import Machine, what_is_missing

if TYPE_CHECKING:
    import aiohttp

_OPENAI: Final = "https://api.openai.com/v1"
_MOST_BYTES: Final = 1 << 20


class LocalAddress(Struct, frozen=True):
    """A server that people run on their own machine."""

    server: str
    origin: str


LOCAL_ADDRESSES: Final = (
    LocalAddress("Ollama", "http://127.0.0.1:11434"),
    LocalAddress("llama-server", "http://127.0.0.1:8080"),
    LocalAddress("LM Studio", "http://127.0.0.1:1234"),
)


class FoundKey(Struct, frozen=True):
    """OPENAI_API_KEY or OPENAI_BASE_URL is set. `has_key` is False for an address that needs none."""

    base_url: str
    has_key: bool

    @property
    def sentence(self) -> str:
        source = "OPENAI_API_KEY" if self.has_key else "OPENAI_BASE_URL"
        return f"Models come from {_host(self.base_url)}, because {source} is set."


class FoundServer(Struct, frozen=True):
    server: str
    base_url: str
    models: tuple[str, ...]
    """At least one; models whose name says that they only embed are left out."""

    @property
    def sentence(self) -> str:
        more = f" and {len(self.models) - 1} more" if len(self.models) > 1 else ""
        return f"Models come from {self.server} at {_host(self.base_url)}: {self.models[0]}{more}."


class FoundEmbedded(Struct, frozen=True):
    model: CatalogueModel
    present: bool
    """Whether its file is in the models folder."""

    @property
    def sentence(self) -> str:
        fetched = "" if self.present else f" It is fetched when first used ({self.model.size // 1_000_000} MB)."
        return f"Models come from the embedded {self.model.title}, because no key or local server was found.{fetched}"


class FoundNothing(Struct, frozen=True):
    sentence: str


Found = FoundKey | FoundServer | FoundEmbedded | FoundNothing


class _Listed(Struct):
    id: str


class _ModelList(Struct):
    data: list[_Listed] = []


async def discover(
    environ: Mapping[str, str],
    machine: Machine,
    models_folder: Path,
    *,
    addresses: Sequence[LocalAddress] = LOCAL_ADDRESSES,
    seconds: float = 0.3,
) -> Found:
    """The first of: the environment's key, a local server with a model (each asked for `seconds`), the embedded one."""
    return _in_environment(environ) or await _on_loopback(addresses, seconds) or _embedded(machine, models_folder)


def _in_environment(environ: Mapping[str, str]) -> FoundKey | None:
    key, base_url = environ.get("OPENAI_API_KEY", "").strip(), environ.get("OPENAI_BASE_URL", "").strip()
    if not key and not base_url:
        return None
    return FoundKey(base_url=base_url.rstrip("/") or _OPENAI, has_key=bool(key))


async def _on_loopback(addresses: Sequence[LocalAddress], seconds: float) -> FoundServer | None:
    answers = await asyncio.gather(*(_ask(address, seconds) for address in addresses))
    return next((answer for answer in answers if answer), None)


async def _ask(address: LocalAddress, seconds: float) -> FoundServer | None:
    """The server, if it lists a model that can answer; any other program on that port is passed over."""
    import aiohttp

    base_url = f"{address.origin}/v1"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.get(f"{base_url}/models", allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                return None
            listed = msgspec.json.decode(await _bounded(answer.content), type=_ModelList)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, OSError):
        return None
    names = tuple(model.id for model in listed.data if "embed" not in model.id.lower())
    return FoundServer(address.server, base_url, names) if names else None


async def _bounded(content: "aiohttp.StreamReader") -> bytes:
    whole = b""
    async for block in content.iter_any():
        whole += block
        if len(whole) > _MOST_BYTES:
            raise msgspec.DecodeError("a list of models is shorter")
    return whole


def _embedded(machine: Machine, models_folder: Path) -> FoundEmbedded | FoundNothing:
    """The ablest model that is here and fits into the memory; else the one that is fetched in seconds."""
    fitting = tuple(model for model in MODELS if what_is_missing(machine, model.size) is None)
    present = ablest_present(models_folder, fitting)
    if present:
        return FoundEmbedded(present, present=True)
    if INSTANT in fitting:
        return FoundEmbedded(INSTANT, present=False)
    return FoundNothing(what_is_missing(machine, INSTANT.size) or "")


def _host(base_url: str) -> str:
    """Host and port alone: an address may carry a password."""
    parts = urlsplit(base_url)
    return (parts.hostname or base_url) + (f":{parts.port}" if parts.port else "")
