"""Turns: one model call of a run, from the stored thread to the news that come back."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, cast

from msgspec.structs import replace

from respun.core import chat
from respun.core.events import Output
from respun.core.machine import Input, LimitReached, ModelFailed
from respun.core.pages import PageRequest
from respun.core.runs import ErrorCode, Run, RunError, Step, ToolCall
from respun.core.threads import Message
from respun.core.usage import Usage
from respun.crash import crash_point
from respun.engine import prompt
from respun.engine.annotate import Annotator
from respun.engine.tools import Tools, sources
from respun.store import messages, runs
from respun.store.backend import Backend, Tx

log = logging.getLogger(__name__)

Take = Callable[[Sequence[Input]], Awaitable[None]]

_PAGE: Final = 50
_MOST_STEPS: Final = 200
_CODES: Final[dict[chat.ModelErrorKind, ErrorCode]] = {
    "rate_limited": "rate_limit_exceeded",
    "quota": "rate_limit_exceeded",
    "context_length": "invalid_prompt",
    "rejected": "invalid_prompt",
}


class TooLong(Exception):
    """Not even the newest message fits what the run may send."""


class Turns:
    """Makes model calls. `window` is a model's context in tokens, `count` counts tokens where an upstream doesn't."""

    def __init__(
        self,
        backend: Backend,
        provider: chat.Provider,
        window: Callable[[str], int],
        count: Callable[[str], int],
        tools: Tools | None = None,
    ) -> None:
        self._backend = backend
        self._provider = provider
        self._window = window
        self._count = count
        self.tools = tools or Tools()
        self._unstored: dict[str, tuple[Message, ...]] = {}

    @property
    def provider(self) -> chat.Provider:
        return self._provider

    def prime(self, run: str, drafts: tuple[Message, ...]) -> None:
        """The first turn of a run starts while these messages are still being stored."""
        self._unstored[run] = drafts

    def forget(self, run: str) -> None:
        self._unstored.pop(run, None)

    async def call_model(self, run: Run, take: Take) -> None:
        steps = await self._steps(run) if run.turn else []
        try:
            request = await self._request(run, steps)
        except TooLong:
            await take((LimitReached("max_prompt_tokens"),))
            return
        try:
            await self._stream(request, Annotator(sources(steps)), take)
        except chat.ModelError as error:
            log.warning("model call failed", extra={"run": run.id, "kind": error.kind, "error": error.message})
            await take((ModelFailed(RunError(_CODES.get(error.kind, "server_error"), error.message)),))

    async def call_tools(self, project: str, run: Run, calls: tuple[ToolCall, ...]) -> tuple[Output, ...]:
        return await self.tools.answer(project, run, calls)

    async def _stream(self, request: chat.ModelRequest, annotator: Annotator, take: Take) -> None:
        written: list[str] = []
        news: list[chat.News] = []
        async with aclosing(cast(Any, self._provider.stream(request))) as batches:
            async for batch in batches:
                inputs: list[Input] = []
                news = joined(batch)
                for one in news:
                    written.append(_written(one))
                    inputs += _annotated(one, annotator)
                crash_point("model.news")
                await take([self._counted(one, request, written) for one in inputs])
        if not news or not isinstance(news[-1], chat.Finished):
            raise chat.ModelError("broken", "The model's answer stopped without an end.")

    def _counted(self, news: Input, request: chat.ModelRequest, written: list[str]) -> Input:
        if not isinstance(news, chat.Finished) or news.usage is not None:
            return news
        sent = sum(self._count(str(message.content or "")) + 4 for message in request.messages)
        return replace(news, usage=Usage(sent, self._count("".join(written))))

    async def _request(self, run: Run, done: Sequence[Step]) -> chat.ModelRequest:
        drafts = self._unstored.pop(run.id, ())
        steps = await self._turns(run, done)
        head: list[chat.ChatMessage] = []
        if instructions := prompt.instructions(run.plan):
            head.append(chat.SystemMessage(instructions))
        room = self._room(run) - sum(prompt.size(message) for message in (*head, *steps))
        history = await self._backend.read(lambda tx: self._history(tx, run, drafts, room))
        return prompt.request(run, (*head, *history, *steps), self.tools.offers(run))

    def _room(self, run: Run) -> int:
        """Tokens for the whole prompt."""
        window = self._window(run.plan.model)
        answer = min(run.plan.max_completion_tokens or window // 4, window // 4)
        room = int((window - answer) * 0.97)
        limit = run.plan.max_prompt_tokens
        return min(room, limit - run.usage.prompt) if limit else room

    async def _history(self, tx: Tx, run: Run, drafts: tuple[Message, ...], room: int) -> list[chat.ChatMessage]:
        """The newest messages that fit, oldest first; the thread is read from its end, no further than needed."""
        most = run.plan.truncation.last_messages
        chosen: list[chat.ChatMessage] = []
        seen = {draft.id for draft in drafts}
        newest_first = list(reversed(drafts))
        below = 1 << 62
        while True:
            for message in newest_first:
                shown = prompt.of_message(message)
                if shown is None or message.run == run.id:
                    continue
                room -= prompt.size(shown)
                if (most is not None and len(chosen) >= most) or (room < 0 and chosen):
                    return chosen[::-1]
                if room < 0:
                    raise TooLong
                chosen.append(shown)
            page = await messages.newest(tx, run.thread, below, _PAGE)
            if not page:
                return chosen[::-1]
            below = page[-1].position
            newest_first = [message for message in page if message.id not in seen]

    async def _steps(self, run: Run) -> Sequence[Step]:
        page = await self._backend.read(lambda tx: runs.steps(tx, run.id, PageRequest(_MOST_STEPS, "asc")))
        return page.items

    async def _turns(self, run: Run, steps: Sequence[Step]) -> list[chat.ChatMessage]:
        """What the model said, asked for and was told in this run."""
        if not steps:
            return []
        said = await self._backend.read(
            lambda tx: messages.listed(tx, run.thread, PageRequest(_MOST_STEPS, "asc"), run.id)
        )
        return prompt.of_steps(steps, {message.id: message.text for message in said.items})


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
