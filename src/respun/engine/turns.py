"""Turns: one model call of a run, from the stored thread to the news that come back."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import Any, Final, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from respun import telemetry
from respun.core import chat
from respun.core.assistants import FileSearchTool
from respun.core.events import Output
from respun.core.growing import Growing
from respun.core.machine import Input, ModelFailed
from respun.core.pages import PageRequest
from respun.core.runs import ErrorCode, Run, RunError, Step, ToolCall
from respun.core.threads import Message
from respun.core.usage import Usage
from respun.crash import crash_point
from respun.engine.annotate import Annotator
from respun.engine.clock import Clock
from respun.engine.context import Chooser
from respun.engine.digests import Digests
from respun.engine.embeddings import Embeddings
from respun.engine.images import Images
from respun.engine.indexing import Indexing
from respun.engine.meanings import Meanings
from respun.engine.prompts import AutoStrategy, Prepared, Prompts, Turn
from respun.engine.tools import Tools, sources
from respun.store import messages, runs
from respun.store.backend import Backend

log: Final = telemetry.log("engine")

Take = Callable[[Sequence[Input]], Awaitable[None]]

_MOST_STEPS: Final = 200
_LOOKED_BACK: Final = 10
_CODES: Final[dict[chat.ModelErrorKind, ErrorCode]] = {
    "rate_limited": "rate_limit_exceeded",
    "quota": "rate_limit_exceeded",
    "context_length": "invalid_prompt",
    "rejected": "invalid_prompt",
}


class Recollection(Struct, frozen=True):
    """How runs recall beyond words where they say nothing of it. `embeddings`: the model that vectors are made with.

    `patience`: seconds that a run waits for what its question is near to; `auto`: what the strategy of that name means.
    """

    embeddings: Embeddings | None = None
    vectors: bool = False
    digest: bool = False
    patience: float = 1.5
    auto: AutoStrategy = "balanced"


class TooLong(Exception):
    """The model refused the prompt for its length, before it said anything."""


class Turns:
    """Makes model calls. `window` is a model's context in tokens, `count` counts tokens where an upstream doesn't.

    `indexing.run` is a chore of the server's. A model that doesn't choose its tools well (`chooses_tools`) is given
    what the files say before it is asked. Without `images`, those that are files are not shown.
    """

    def __init__(
        self,
        backend: Backend,
        provider: chat.Provider,
        window: Callable[[str], int],
        count: Callable[[str], int],
        tools: Tools | None = None,
        chooses_tools: Callable[[str], bool] = lambda model: True,
        recollection: Recollection = Recollection(),  # noqa: B008 frozen
        images: Images | None = None,
    ) -> None:
        self._backend = backend
        self._provider = provider
        self._count = count
        self._chooses_tools = chooses_tools
        self._images = images
        self.tools = tools or Tools()
        self._unstored: dict[str, tuple[Message, ...]] = {}
        self.indexing = Indexing(backend, count)
        clock = Clock()
        self.meanings = Meanings(backend, recollection.embeddings, clock, clock.uuid().hex, recollection.patience)
        self.digests = Digests(backend, provider, window, count, clock, clock.uuid().hex)
        self.chooser = Chooser(backend, self.indexing, count, perf_counter, self.meanings, self.digests)
        defaults = {"vectors": recollection.vectors, "digest": recollection.digest}
        self.prompts = Prompts(backend, self.chooser, window, count, recollection.auto, defaults)

    @property
    def provider(self) -> chat.Provider:
        return self._provider

    def prime(self, run: str, drafts: tuple[Message, ...]) -> None:
        """The first turn of a run starts while these messages are still being stored."""
        self._unstored[run] = drafts

    def forget(self, run: str) -> None:
        self._unstored.pop(run, None)

    async def call_model(self, project: str, run: Run, take: Take) -> None:
        steps = await self._steps(run) if run.turn else ()
        drafts = self._unstored.pop(run.id, ())
        if search := self._search_first(run):
            await take(asked_to_search(search, await self._question(run, drafts)))
            return
        turn = Turn(run, drafts, steps, self.tools.offers(run))
        try:
            try:
                await self._stream(turn, await self._prepared(project, turn), take)
            except TooLong:
                # Once more with less: the model counts more tokens than we do.
                self.prompts.shrink(run.plan.model)
                await self._stream(turn, await self._prepared(project, turn, anew=True), take, last=True)
        except chat.ModelError as error:
            log.warning("model call failed", run=run.id, kind=error.kind, error=error.message)
            await take((ModelFailed(RunError(_CODES.get(error.kind, "server_error"), error.message)),))

    async def _prepared(self, project: str, turn: Turn, *, anew: bool = False) -> Prepared | Input:
        prepared = await self.prompts.prepare(turn, anew=anew)
        if not isinstance(prepared, Prepared) or self._images is None:
            return prepared
        return replace(prepared, request=await self._images.shown(project, prepared.request))

    def _search_first(self, run: Run) -> str | None:
        """The name of the search that is made before a model is asked that would not ask for it."""
        if run.turn or run.plan.tool_choice == "none" or self._chooses_tools(run.plan.model):
            return None
        offered = {offer.function.name for offer in self.tools.offers(run)}
        searches = (tool.name for tool in run.plan.tools if isinstance(tool, FileSearchTool))
        return next((name for name in searches if name in offered), None)

    async def _question(self, run: Run, drafts: Sequence[Message]) -> str:
        """What the user said last."""
        stored = await self._backend.read(lambda tx: messages.newest(tx, run.thread, 1 << 62, _LOOKED_BACK))
        said = [message.text for message in (*reversed(drafts), *stored) if message.role == "user"]
        return said[0] if said else ""

    async def call_tools(self, project: str, run: Run, calls: tuple[ToolCall, ...]) -> tuple[Output, ...]:
        return await self.tools.answer(project, run, calls)

    async def _stream(self, turn: Turn, prepared: Prepared | Input, take: Take, *, last: bool = False) -> None:
        if not isinstance(prepared, Prepared):
            await take((prepared,))
            return
        told: Sequence[Input] = prepared.news
        annotator = Annotator(sources(turn.steps))
        written = Growing()
        news: list[chat.News] = []
        try:
            async with aclosing(cast(Any, self._provider.stream(prepared.request))) as batches:
                async for batch in batches:
                    inputs: list[Input] = []
                    news = joined(batch)
                    for one in news:
                        said = _written(one)
                        written = written + said if said else written
                        inputs += _annotated(one, annotator)
                    crash_point("model.news")
                    await take([*told, *(self._counted(one, turn.run, prepared, written) for one in inputs)])
                    told = ()
        except chat.ModelError as error:
            if error.kind == "context_length" and not written and not last:
                raise TooLong from None
            raise
        if not news or not isinstance(news[-1], chat.Finished):
            raise chat.ModelError("broken", "The model's answer stopped without an end.")

    def _counted(self, news: Input, run: Run, prepared: Prepared, written: Growing) -> Input:
        if not isinstance(news, chat.Finished):
            return news
        if news.usage is not None:
            self.prompts.learn(run.plan.model, prepared.counted, news.usage)
            return news
        return replace(news, usage=Usage(prepared.counted, self._count(str(written))))

    async def _steps(self, run: Run) -> Sequence[Step]:
        page = await self._backend.read(lambda tx: runs.steps(tx, run.id, PageRequest(_MOST_STEPS, "asc")))
        return page.items


def asked_to_search(name: str, question: str) -> tuple[Input, ...]:
    """As if the model had called the tool: the same step, results and citations follow."""
    arguments = msgspec.json.encode({"queries": [question]}).decode()
    return (chat.ToolCallDelta(0, None, name, arguments), chat.Finished("tool_calls", Usage()))


def joined(batch: Sequence[chat.News]) -> list[chat.News]:
    """Neighbouring pieces of text as one, and without NUL, which PostgreSQL's text can't hold."""
    news: list[chat.News] = []
    for one in batch:
        if isinstance(one, chat.TextDelta):
            text = one.text.replace("\x00", "\ufffd")
            last = news[-1] if news else None
            if isinstance(last, chat.TextDelta):
                news[-1] = chat.TextDelta(last.text + text)
            else:
                news.append(chat.TextDelta(text))
        elif isinstance(one, chat.ReasoningDelta):
            news.append(chat.ReasoningDelta(one.text.replace("\x00", "\ufffd")))
        elif isinstance(one, chat.ToolCallDelta):
            news.append(replace(one, arguments=one.arguments.replace("\x00", "\ufffd")))
        else:
            news.append(one)
    return news


def _written(news: chat.News) -> str:
    match news:
        case chat.TextDelta(text) | chat.RefusalDelta(text) | chat.ReasoningDelta(text):
            return text
        case chat.ToolCallDelta(arguments=arguments):
            return arguments
        case _:
            return ""


def _annotated(news: chat.News, annotator: Annotator) -> list[Input]:
    """The news with references in its text found; what was held back comes before anything but text."""
    if isinstance(news, chat.TextDelta):
        return list(annotator.feed(news.text))
    return [*annotator.end(), news]
