"""How many tokens the models of this server hold.

What the settings say of a route counts first, then the embedded model's own, then what the upstream says in its list
of models, then the table of known models. Anything else gets the default, with one warning.
"""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from respun import telemetry
from respun.core.chat import ModelError, Provider
from respun.providers.route import Choice, HasAddress, OnFirstUse, Routes, TellsWindows
from respun.providers.windows import known_window

log: Final = telemetry.log("windows")

_ASK_EVERY: Final = 600.0
_ASK_AGAIN: Final = 30.0


_known = lru_cache(known_window)


class _Place(Struct, frozen=True):
    """Where an upstream is; `tells` whether it says what its models hold."""

    tells: bool = False
    here: bool = False


class Windows:
    """`of` is what a run may reckon with. `run` is a chore that asks the upstreams, from time to time."""

    def __init__(
        self,
        routes: Routes,
        upstreams: Mapping[str, Provider | OnFirstUse],
        own: Mapping[str, int],
        default: int,
    ) -> None:
        self._routes = routes
        self._upstreams = upstreams
        # Found out once: these are asked for several times a turn.
        self._places = {name: _Place(_tells(one), _on_this_machine(one)) for name, one in upstreams.items()}
        self._own = own
        self._default = default
        self._told: dict[str, Mapping[str, int | None]] = {}
        self._warned: set[str] = set()

    def of(self, model: str) -> int:
        """Of a model by the name that callers use: the least of all that may serve it."""
        return min((self._window(choice) for choice in self._routes.choices(model)), default=self._default)

    async def run(self) -> None:
        while True:
            asked = [self._ask(name, one) for name, one in self._upstreams.items() if self._places[name].tells]
            answered = await asyncio.gather(*asked)
            await asyncio.sleep(_ASK_EVERY if all(answered) else _ASK_AGAIN)

    async def _ask(self, name: str, provider: Provider | OnFirstUse) -> bool:
        assert isinstance(provider, TellsWindows)
        try:
            self._told[name] = await provider.windows()
        except ModelError as error:
            log.debug("an upstream does not list its models", upstream=name, reason=error.message)
            return False
        return True

    def _window(self, choice: Choice) -> int:
        told = self._told.get(choice.upstream, {}).get(choice.model)
        return choice.window or self._own.get(choice.upstream) or told or self._by_name(choice)

    def _by_name(self, choice: Choice) -> int:
        known, place = _known(choice.model), self._places.get(choice.upstream, _Place())
        if known is not None and not place.here:
            return known
        window = min(known or self._default, self._default)
        asked = choice.upstream in self._told or not place.tells
        if asked and choice.upstream != "scripted" and choice.model not in self._warned:
            self._warned.add(choice.model)
            log.warning(
                "it is not known how many tokens a model holds; set context_window in its line of [models]",
                model=choice.model,
                upstream=choice.upstream,
                taken=window,
            )
        return window


def _tells(provider: object) -> bool:
    """OpenAI itself lists its models without saying what they hold."""
    return isinstance(provider, TellsWindows) and not _address(provider).endswith("openai.com")


def _on_this_machine(provider: Provider | OnFirstUse) -> bool:
    """Servers of models on a desk are often set to hold far less than the model could, to spare memory."""
    return _address(provider) in ("localhost", "127.0.0.1", "::1")


def _address(provider: object) -> str:
    return urlsplit(provider.address).hostname or "" if isinstance(provider, HasAddress) else ""
