"""Hold a model's answer to the JSON that its caller asked for, where the upstream does not.

What an upstream can't enforce is kept back until it is whole, checked, and asked for once more if it does not fit.
An upstream that enforces formats is streamed as it comes and checked at its end: one that let a strict schema pass
unheeded is not believed again.
"""

import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from msgspec import Struct

from respun.core.chat import (
    AssistantMessage,
    Finished,
    JsonSchema,
    ModelError,
    ModelRequest,
    News,
    Provider,
    ReasoningDelta,
    TextDelta,
    UserMessage,
)
from respun.core.json_schema import BadSchema, check_schema, misfit
from respun.core.usage import Usage
from respun.providers.asking import Capabilities
from respun.providers.route import Closes, HasAddress, ListsModels, TellsWindows
from respun.providers.tokens import estimate

log: Final = logging.getLogger("respun.providers")

_FENCED: Final = re.compile(r"\s*```(?:json)?\s*\n(.*?)\s*```\s*", re.DOTALL)
_MODELS_REMEMBERED: Final = 256


class Wish(Struct, frozen=True):
    """The JSON that a caller asked for. Without a schema it is any object."""

    schema: JsonSchema | None = None
    name: str = ""
    strict: bool = False
    described: bool = False
    """Asked for as `json_schema`, not as `json_object`."""

    @property
    def words(self) -> str:
        return f"the JSON schema '{self.name}'" if self.schema is not None else "a JSON object"


def wish_of(wanted: dict[str, Any] | None) -> Wish | None:
    kind = (wanted or {}).get("type")
    if kind == "json_object":
        return Wish()
    if wanted is None or kind != "json_schema":
        return None
    named = wanted["json_schema"]
    return Wish(named.get("schema"), named["name"], named.get("strict") is True, described=True)


class Heard:
    """What a model call brought so far."""

    def __init__(self) -> None:
        self.news: list[News] = []

    def add(self, batch: Sequence[News]) -> None:
        self.news += batch

    @property
    def end(self) -> Finished | None:
        last = self.news[-1] if self.news else None
        return last if isinstance(last, Finished) else None

    @property
    def text(self) -> str:
        return "".join(each.text for each in self.news if isinstance(each, TextDelta))

    @property
    def is_answer(self) -> bool:
        """Whether it is text and whole: a call, a refusal and what a limit cut off are held to no format."""
        whole = self.end is not None and self.end.reason == "stop"
        return whole and all(isinstance(each, TextDelta | ReasoningDelta | Finished) for each in self.news)

    def shown(self, usage: Usage | None = None) -> list[News]:
        """The news of a checked answer: its text bare and in one piece, with these tokens instead of its own."""
        news = self.news
        if self.is_answer:
            thoughts = [each for each in news if isinstance(each, ReasoningDelta)]
            news = [*thoughts, TextDelta(unfenced(self.text)), news[-1]]
        if usage is None or self.end is None:
            return news
        return [*news[:-1], msgspec.structs.replace(self.end, usage=usage)]


class Structured:
    """A Provider around one; `knows` tells what is known of a model's upstream, asked anew at every call."""

    def __init__(self, provider: Provider, knows: Callable[[str], Capabilities]) -> None:
        self._provider = provider
        self._knows = knows
        self._unheeding: set[str] = set()

    def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        wish = wish_of(request.response_format)
        return self._provider.stream(request) if wish is None else self._held(request, wish)

    async def models(self) -> Sequence[str]:
        return await self._provider.models() if isinstance(self._provider, ListsModels) else ()

    async def windows(self) -> Mapping[str, int | None]:
        return await self._provider.windows() if isinstance(self._provider, TellsWindows) else {}

    @property
    def address(self) -> str:
        return self._provider.address if isinstance(self._provider, HasAddress) else ""

    async def aclose(self) -> None:
        if isinstance(self._provider, Closes):
            await self._provider.aclose()

    async def _held(self, request: ModelRequest, wish: Wish) -> AsyncIterator[Sequence[News]]:
        _check(wish)
        heard = Heard()
        keep: bool | None = None
        async with _closing(self._provider.stream(request)) as batches:
            async for batch in batches:
                heard.add(batch)
                if keep is None:
                    # Only now it is known: the upstream may just have refused the format.
                    keep = self._lacks(request.model, wish) or (wish.strict and heard.end is not None)
                if keep:
                    continue
                wrong = _wrong(wish, heard, heard.text) if heard.end else None
                if wrong is not None and wish.strict:
                    yield [each for each in batch if not isinstance(each, Finished)]
                    raise self._unheeded(request.model, wish, wrong)
                if wrong is not None:
                    log.warning("an answer does not fit its format, which was not strict: model=%s", request.model)
                yield batch
        if keep:
            yield await self._fitting(request, wish, heard)

    def _lacks(self, model: str, wish: Wish) -> bool:
        known = self._knows(model)
        enforced = known.json_schema if wish.described else known.json_object
        return not enforced or model in self._unheeding

    def _unheeded(self, model: str, wish: Wish, wrong: str) -> ModelError:
        if len(self._unheeding) >= _MODELS_REMEMBERED:
            self._unheeding.clear()
        self._unheeding.add(model)
        return ModelError(
            "broken",
            f"The model's answer does not fit {wish.words}: {wrong}. It had been streamed by then. Ask again: from now "
            f"on the answers of '{model}' are checked before they are shown.",
        )

    async def _fitting(self, request: ModelRequest, wish: Wish, heard: Heard) -> list[News]:
        """The answer if it fits, else the one to a second call. Raises `ModelError` if neither does."""
        wrong = _wrong(wish, heard, unfenced(heard.text))
        if wrong is None:
            return heard.shown()
        log.info("an answer does not fit its format and is asked for again: model=%s", request.model)
        repair = _repair(request, wish, heard, wrong)
        second = Heard()
        async with _closing(self._provider.stream(repair)) as batches:
            async for batch in batches:
                second.add(batch)
        wrong = _wrong(wish, second, unfenced(second.text))
        if wrong is None:
            return second.shown(_usage(request, heard) + _usage(repair, second))
        raise ModelError(
            "broken",
            f"The model's answer does not fit {wish.words}, also when asked again: {wrong}. Use an abler model, or a "
            "simpler schema.",
        )


def _check(wish: Wish) -> None:
    try:
        check_schema(wish.schema or {})
    except BadSchema as error:
        raise ModelError("rejected", f"The schema '{wish.name}' can't be used: {error}.") from None


def _wrong(wish: Wish, heard: Heard, text: str) -> str | None:
    """What is wrong with the text of an answer that is whole."""
    return misfit(text, wish.schema) if heard.is_answer else None


def _repair(request: ModelRequest, wish: Wish, heard: Heard, wrong: str) -> ModelRequest:
    """The request with the answer that did not fit, and what is wrong with it."""
    words = f"Your answer does not fit {wish.words}: {wrong}. Answer again, with the corrected JSON and nothing else."
    left = request.max_completion_tokens
    return msgspec.structs.replace(
        request,
        messages=(*request.messages, AssistantMessage(heard.text), UserMessage(words)),
        tool_choice="none" if request.tools else None,
        max_completion_tokens=max(1, left - _usage(request, heard).completion) if left else None,
    )


def _usage(request: ModelRequest, heard: Heard) -> Usage:
    """The tokens of a call, estimated where the upstream reported none."""
    if heard.end and heard.end.usage:
        return heard.end.usage
    sent = sum(estimate(str(message.content or "")) for message in request.messages)
    return Usage(sent, estimate(heard.text))


def unfenced(text: str) -> str:
    """What stands in the code fence that many models write around JSON."""
    found = _FENCED.fullmatch(text)
    return found[1] if found else text


@asynccontextmanager
async def _closing(batches: AsyncIterator[Sequence[News]]) -> AsyncIterator[AsyncIterator[Sequence[News]]]:
    """Ends the upstream call with the block, rather than when the iterator is collected."""
    try:
        yield batches
    finally:
        if isinstance(batches, Closes):
            await batches.aclose()
