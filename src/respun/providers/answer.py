"""Turn what an upstream answers into news, whatever liberties it takes with the protocol.

Pure: JSON in, `News` out. The rules for answers that are not quite right stand beside the branches that apply them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from respun.core.chat import Finished, FinishReason, News, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from respun.core.usage import Usage


class BadAnswer(ValueError):
    """The answer is not what the protocol says; the text completes the sentence 'The upstream ...'."""


class ErrorInAnswer(Exception):
    """The upstream sent an error object where a chunk should be; `body` is that JSON."""

    def __init__(self, body: bytes) -> None:
        super().__init__("an error object inside the answer")
        self.body = body


class _Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Part(Struct):
    type: str = "text"
    text: str = ""


class _Delta(Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    index: int | None = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    model: str | None = None
    error: Any = None
    object: str | None = None


class _Details(Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


_decode: Final = msgspec.json.Decoder(_Chunk).decode

# Reasons that servers give in their own words. Any other word counts as `stop`: the answer is whole, and only its
# label is strange.
_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
_FAILED: Final = ("error", "network_error", "abort", "insufficient_system_resource")


class AnswerReader:
    """Reads one answer. `done` turns true at `[DONE]`, `complete` once a finish reason was seen."""

    __slots__ = ("_calls", "_model", "_news", "_reason", "_room", "_spoke", "_text", "_usage", "done")

    def __init__(self, new_call_id: Callable[[], str], max_answer: int) -> None:
        """`max_answer`: characters that text, reasoning and arguments may have together."""
        self.done = False
        self._calls = _Calls(new_call_id)
        self._news: list[News] = []
        self._text: list[str] = []
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._model = ""
        self._room = max_answer
        self._spoke = False

    @property
    def complete(self) -> bool:
        return self._reason is not None

    def read(self, events: Iterable[bytes]) -> Sequence[News]:
        """News of the events of one network read. Raises `BadAnswer` and `ErrorInAnswer`."""
        for event in events:
            if event == b"[DONE]" or event.strip() == b"[DONE]":
                self.done = True
                break
            if event:
                self._take(event)
        return self._batch()

    def read_whole(self, body: bytes) -> Sequence[News]:
        """News of an answer that was not streamed."""
        self._take(body)
        self.done = True
        return self._batch()

    def finish(self) -> Finished:
        """At the end of the answer. Raises `BadAnswer` if it is not whole.

        An end without a finish reason is taken for a whole answer only where the upstream said `[DONE]` after it
        had given text or calls.
        """
        if self._reason is None and not (self.done and self._spoke):
            raise BadAnswer("ended its answer early (no finish reason came).")
        self._calls.check_named()
        return Finished(self._finish_reason(), self._usage, self._model)

    def _finish_reason(self) -> FinishReason:
        reason = _REASONS.get((self._reason or "stop").lower(), "stop")
        # Some servers say `stop` beside tool calls, others `tool_calls` beside none: what came counts.
        if reason in ("stop", "tool_calls"):
            return "tool_calls" if self._calls.any else "stop"
        return reason

    def _batch(self) -> Sequence[News]:
        self._end_text()
        news, self._news = self._news, []
        return news

    def _take(self, event: bytes) -> None:
        chunk = _read_chunk(event)
        if chunk.error or chunk.object == "error":
            raise ErrorInAnswer(event)
        if chunk.model and not self._model:
            self._model = chunk.model
        if chunk.usage is not None:
            self._usage = read_usage(chunk.usage) or self._usage
        for choice in chunk.choices or ():
            if not choice.index:
                self._take_choice(choice)

    def _take_choice(self, choice: _Choice) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            self._take_delta(delta)
        if choice.finish_reason:
            if choice.finish_reason.lower() in _FAILED:
                raise BadAnswer(f"gave up its answer (finish reason '{choice.finish_reason}').")
            self._reason = choice.finish_reason

    def _take_delta(self, delta: _Delta) -> None:
        content = delta.content
        if content:
            text = content if isinstance(content, str) else "".join(part.text for part in content)
            self._spend(text)
            self._text.append(text)
        if reasoning := delta.reasoning_content or delta.reasoning:
            self._add(ReasoningDelta(reasoning), reasoning)
        if delta.refusal:
            self._add(RefusalDelta(delta.refusal), delta.refusal)
        for piece in delta.tool_calls or ():
            if (call := self._calls.take(piece)) is not None:
                self._add(call, call.arguments)

    def _add(self, news: News, text: str) -> None:
        self._spend(text)
        self._end_text()
        self._news.append(news)

    def _end_text(self) -> None:
        if self._text:
            self._news.append(TextDelta("".join(self._text)))
            self._text.clear()

    def _spend(self, text: str) -> None:
        self._spoke = True
        self._room -= len(text)
        if self._room < 0:
            raise BadAnswer("gave an answer longer than the limit set for it (max_answer).")


class _Open(Struct):
    """A call that is being received: `id` as we pass it on, `held` what came before its name."""

    index: int
    id: str
    named: bool = False
    held: str = ""


class _Calls:
    """Numbers the calls of an answer by their order, and gives each one id of its own."""

    __slots__ = ("_by_id", "_by_index", "_ids", "_new_id", "_open")

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._open: list[_Open] = []
        self._by_index: dict[int, _Open] = {}
        self._by_id: dict[str, _Open] = {}
        self._ids: dict[int, str] = {}

    @property
    def any(self) -> bool:
        return bool(self._open)

    def check_named(self) -> None:
        if not all(call.named for call in self._open):
            raise BadAnswer("asked for a tool call without naming the tool.")

    def take(self, piece: _Call) -> ToolCallDelta | None:
        function = piece.function or _Function()
        call = self._find(piece, function.name) or self._start(piece)
        arguments = _text_of(function.arguments)
        if call.named:
            return ToolCallDelta(call.index, arguments=arguments) if arguments else None
        if not function.name:
            call.held += arguments
            return None
        call.named = True
        return ToolCallDelta(call.index, call.id, function.name, call.held + arguments)

    def _find(self, piece: _Call, name: str | None) -> _Open | None:
        if piece.index is not None:
            call = self._by_index.get(piece.index)
            # Two calls under one index: some servers number every whole call 0, with an id each.
            if call and piece.id and name and self._ids.get(call.index, piece.id) != piece.id:
                return None
            return call
        if piece.id:
            # A second whole call under a known id is another call (its id is replaced); a piece without a name goes on.
            known = self._by_id.get(piece.id)
            return None if known and name and known.named else known
        last = self._open[-1] if self._open else None
        return None if last and last.named and name else last

    def _start(self, piece: _Call) -> _Open:
        ident = piece.id if piece.id and piece.id not in self._by_id else self._new_id()
        call = _Open(len(self._open), ident)
        self._open.append(call)
        if piece.index is not None:
            self._by_index[piece.index] = call
        if piece.id:
            self._by_id.setdefault(piece.id, call)
            self._ids[call.index] = piece.id
        return call


def _text_of(arguments: str | dict[str, Any] | None) -> str:
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""


def _read_chunk(event: bytes) -> _Chunk:
    try:
        return _decode(event)
    except UnicodeDecodeError:
        # The standard decodes an event stream with replacement characters; so does this.
        return _read_chunk(event.decode("utf-8", "replace").encode())
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadAnswer(f"sent a chunk that is not what the protocol says ({error}).") from None


def read_usage(counts: Any) -> Usage | None:
    """None for counts that make no sense: the turn is then counted as unknown rather than wrong."""
    try:
        found = msgspec.convert(counts, _Usage, strict=False)
    except msgspec.ValidationError:
        return None
    prompt_details = found.prompt_tokens_details or _Details()
    completion_details = found.completion_tokens_details or _Details()
    known = (
        found.prompt_tokens,
        found.completion_tokens or 0,
        prompt_details.cached_tokens or 0,
        completion_details.reasoning_tokens or 0,
    )
    return None if min(known) < 0 else Usage(*known)
