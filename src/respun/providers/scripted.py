"""The scripted model: a Provider that does what it is told, for demonstrations and tests.

Without a script it is an honest echo: it says that it is no model, what it was told and what it saw. A script is
given by rules at construction, or by the last user message itself, one directive a line, each starting with `@`:

    @say TEXT               answer with the text (may repeat; joined by line breaks)
    @repeat N TEXT          answer with the text N times
    @pieces N               N words a piece (default 1)
    @delay SECONDS          wait before each piece
    @call NAME JSON         call a tool (may repeat: calls in parallel)
    @think TEXT             reason aloud first
    @refuse TEXT            refuse
    @length                 stop as if the limit of tokens were reached
    @filter                 stop as if a content filter had struck
    @usage PROMPT COMPLETION  report these counts (tokens); `@usage none` reports nothing
    @hang                   say nothing more, until the call is ended
    @fail KIND MESSAGE      fail with a ModelError of this kind, after what was said before this line
    @then                   what follows is for the next turn, once the tools have answered
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, TypeVar, get_args
from uuid import uuid4

import msgspec

from respun.core.chat import (
    AssistantMessage,
    Finished,
    FinishReason,
    ModelError,
    ModelErrorKind,
    ModelRequest,
    NamedTool,
    News,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolMessage,
    UserMessage,
)
from respun.core.ids import spell
from respun.core.usage import Usage
from respun.providers.tokens import estimate

KINDS: Final = frozenset(get_args(ModelErrorKind))
_PIECE_OF_ARGUMENTS: Final = 8
_MOST_REPEATED: Final = 64 << 20
N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Rule:
    """A script for the calls that fit: a pattern for the model's name, a regular expression in the user's text."""

    script: str
    text: str = ""
    model: str = "*"

    def fits(self, model: str, said: str) -> bool:
        return fnmatchcase(model, self.model) and re.search(self.text, said) is not None


class Call(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class Fail(msgspec.Struct, frozen=True):
    kind: ModelErrorKind
    message: str


class Hang(msgspec.Struct, frozen=True):
    pass


class Say(msgspec.Struct, frozen=True):
    text: str


class Think(msgspec.Struct, frozen=True):
    text: str


class Refuse(msgspec.Struct, frozen=True):
    text: str


Act = Say | Think | Refuse | Call | Fail | Hang


@dataclass(slots=True)
class Turn:
    """What one model call does, in order, and how it ends."""

    acts: list[Act] = field(default_factory=list)
    words_a_piece: int = 1
    delay: float = 0.0
    ending: FinishReason | None = None
    usage: Usage | None = None
    silent_usage: bool = False

    @property
    def reason(self) -> FinishReason:
        if self.ending is not None:
            return self.ending
        return "tool_calls" if any(isinstance(act, Call) for act in self.acts) else "stop"


class Scripted:
    """A Provider. `rules` are tried in order, before directives in the user's text."""

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        new_call_id: Callable[[], str] = lambda: spell("call", uuid4()),
        names: Sequence[str] = ("scripted",),
    ) -> None:
        """Raises ValueError for a rule whose script has a mistake."""
        for rule in rules:
            read_script(rule.script)
        self.rules = tuple(rules)
        self.requests: list[ModelRequest] = []
        """The last requests, for whoever wants to see what was asked."""
        self._sleep = sleep
        self._new_call_id = new_call_id
        self._names = tuple(names)

    async def models(self) -> Sequence[str]:
        return self._names

    async def stream(self, request: ModelRequest) -> AsyncIterator[Sequence[News]]:
        self.requests = [*self.requests[-99:], request]
        turn = self._turn(request)
        calls = 0
        written = 0
        for act in turn.acts:
            if isinstance(act, Fail):
                raise ModelError(act.kind, act.message)
            if isinstance(act, Hang):
                await asyncio.Event().wait()
            for news in self._news(act, calls, turn.words_a_piece):
                if turn.delay:
                    await self._sleep(turn.delay)
                written += _weight(news)
                yield [news]
            calls += isinstance(act, Call)
        usage = turn.usage or Usage(_prompt_tokens(request), written)
        yield [Finished(turn.reason, None if turn.silent_usage else usage, request.model)]

    def _turn(self, request: ModelRequest) -> Turn:
        said = last_said(request)
        script = next((rule.script for rule in self.rules if rule.fits(request.model, said)), None)
        if script is None:
            if not re.search(r"(?m)^@[a-z]+", said):
                return _echo(request, said)
            script = said
        try:
            turns = read_script(script)
        except ValueError as mistake:
            raise ModelError("rejected", f"The scripted model cannot read its script: {mistake}") from None
        done = _turns_since_user(request)
        return turns[done] if done < len(turns) else _echo(request, said)

    def _news(self, act: Act, index: int, words: int) -> Sequence[News]:
        match act:
            case Say(text):
                return [TextDelta(piece) for piece in pieces_of(text, words)]
            case Think(text):
                return [ReasoningDelta(piece) for piece in pieces_of(text, words)]
            case Refuse(text):
                return [RefusalDelta(piece) for piece in pieces_of(text, words)]
            case Call(name, arguments):
                parts = range(0, len(arguments), _PIECE_OF_ARGUMENTS)
                pieces = [ToolCallDelta(index, arguments=arguments[at : at + _PIECE_OF_ARGUMENTS]) for at in parts]
                return [ToolCallDelta(index, self._new_call_id(), name), *pieces]
        return ()


def read_script(script: str) -> list[Turn]:
    """The turns of a script. Lines without `@` go on the text of the `@say` before them. Raises ValueError."""
    turns = [Turn()]
    for line in script.splitlines():
        if line.startswith("@then"):
            turns.append(Turn())
        elif line.startswith("@"):
            word, _, rest = line[1:].partition(" ")
            _direct(turns[-1], word, rest.strip())
        elif turns[-1].acts and isinstance(turns[-1].acts[-1], Say):
            turns[-1].acts[-1] = Say(f"{turns[-1].acts[-1].text}\n{line}")
    return turns


def _direct(turn: Turn, word: str, rest: str) -> None:
    match word:
        case "say":
            again = bool(turn.acts) and isinstance(turn.acts[-1], Say)
            turn.acts.append(Say("\n" + rest if again else rest))
        case "repeat":
            times, _, text = rest.partition(" ")
            turn.acts.append(Say(_repeated(text, _number(int, times, line="@repeat N TEXT"))))
        case "think":
            turn.acts.append(Think(rest))
        case "refuse":
            turn.acts.append(Refuse(rest))
        case "call":
            name, _, arguments = rest.partition(" ")
            turn.acts.append(Call(name, arguments or "{}"))
        case "hang":
            turn.acts.append(Hang())
        case "fail":
            turn.acts.append(_failure(rest))
        case _:
            _set(turn, word, rest)


def _set(turn: Turn, word: str, rest: str) -> None:
    match word:
        case "length":
            turn.ending = "length"
        case "filter":
            turn.ending = "content_filter"
        case "pieces":
            turn.words_a_piece = max(1, _number(int, rest, line="@pieces N"))
        case "delay":
            turn.delay = _number(float, rest, line="@delay SECONDS")
        case "usage":
            _set_usage(turn, rest)
        case _:
            raise ValueError(f"'@{word}' is no directive. Those are listed at the head of respun.providers.scripted.")


def _set_usage(turn: Turn, rest: str) -> None:
    turn.silent_usage = rest == "none"
    if not turn.silent_usage:
        prompt, _, completion = rest.partition(" ")
        line = "@usage PROMPT COMPLETION"
        turn.usage = Usage(_number(int, prompt, line=line), _number(int, completion, line=line))


def _repeated(text: str, times: int) -> str:
    if len(text) * times > _MOST_REPEATED:
        raise ValueError(f"'@repeat' makes at most {_MOST_REPEATED} characters.")
    return text * times


def _failure(rest: str) -> Fail:
    word, _, message = rest.partition(" ")
    if word not in KINDS:
        raise ValueError(f"'@fail {word}' names no kind of failure. The kinds are: {', '.join(sorted(KINDS))}.")
    return Fail(msgspec.convert(word, ModelErrorKind), message or f"The scripted model fails as told ({word}).")


def _number(kind: Callable[[str], N], text: str, *, line: str) -> N:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"'{text}' is no number where it should say {line}.") from None


def pieces_of(text: str, words: int) -> list[str]:
    """The text in pieces of so many words each; joined, they are the text."""
    found = re.findall(r"\s*\S+\s*?(?=\s|$)|\s+$", text)
    return ["".join(found[at : at + words]) for at in range(0, len(found), words)]


def last_said(request: ModelRequest) -> str:
    for message in reversed(request.messages):
        if isinstance(message, UserMessage):
            if isinstance(message.content, str):
                return message.content
            return "\n".join(part.text for part in message.content if isinstance(part, TextPart))
    return ""


def _turns_since_user(request: ModelRequest) -> int:
    turns = 0
    for message in reversed(request.messages):
        if isinstance(message, UserMessage):
            break
        turns += isinstance(message, AssistantMessage)
    return turns


def _echo(request: ModelRequest, said: str) -> Turn:
    answers = [f"{each.tool_call_id} -> {each.content}" for each in _latest_outputs(request)]
    if answers:
        return Turn([Say("The tools answered: " + "; ".join(answers))])
    if wanted := _demanded(request):
        return Turn([Call(wanted, "{}")])
    tools = ", ".join(tool.function.name for tool in request.tools)
    seen = len(request.messages)
    saw = f"{seen} message{'s' if seen > 1 else ''}" + (f" and the tools {tools}" if tools else "")
    return Turn([Say(f'This is the scripted model, not a language model. You said: "{said}" I saw {saw}.')])


def _demanded(request: ModelRequest) -> str | None:
    if isinstance(request.tool_choice, NamedTool):
        return request.tool_choice.function.name
    return request.tools[0].function.name if request.tool_choice == "required" and request.tools else None


def _latest_outputs(request: ModelRequest) -> list[ToolMessage]:
    outputs: list[ToolMessage] = []
    for message in reversed(request.messages):
        if not isinstance(message, ToolMessage):
            break
        outputs.insert(0, message)
    return outputs


def _weight(news: News) -> int:
    match news:
        case TextDelta(text) | ReasoningDelta(text) | RefusalDelta(text):
            return estimate(text)
        case ToolCallDelta():
            return estimate(news.arguments) + (3 if news.name else 0)
    return 0


def _prompt_tokens(request: ModelRequest) -> int:
    return len(msgspec.json.encode(request.messages)) // 4 + len(msgspec.json.encode(request.tools)) // 4
