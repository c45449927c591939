"""Makes the prompt of each turn of a run: how much room there is, what of the thread goes in, and the run's own steps.

The choice from the thread is made at the first turn and told as an event; later turns make it again with the same
budget, which gives the same messages. Tokens are counted as our tokeniser counts them; what each model counts is
learned from the usage it reports.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Final, Literal, TypeVar

from msgspec import Struct, structs, to_builtins

from respun.core import chat
from respun.core.context.budget import Fixed, Limits, NoRoom, thread_room
from respun.core.context.passages import Count
from respun.core.context.render import render
from respun.core.context.score import FRAME_TOKENS
from respun.core.context.selection import DoesNotFit, WindowState
from respun.core.context.steps import Steps, fit_steps
from respun.core.context.strategies import (
    PRESETS,
    Auto,
    Disabled,
    DropMiddle,
    DropOldest,
    LastMessages,
    Preset,
    Strategy,
)
from respun.core.drafts import Preview
from respun.core.machine import Chosen as ChosenInput
from respun.core.machine import Input, LimitReached, ModelFailed
from respun.core.pages import PageRequest
from respun.core.runs import Run, RunError, Step, Truncation
from respun.core.threads import Message
from respun.core.usage import Usage
from respun.engine import prompt
from respun.engine.context import Chooser, Chosen, Wanted
from respun.engine.history import cost_of
from respun.providers.tokens import Correction
from respun.store import messages
from respun.store.backend import Backend

T = TypeVar("T")
AutoStrategy = Preset | Literal["drop_middle"]
"""What `auto` means where the caller says no more; `drop_middle` is how OpenAI documented it."""

_MOST_MESSAGES: Final = 200
_FOR_STEPS: Final = 8
"""A run with tools keeps this part of its room for their results."""
_SHRINK: Final = 0.9
_REMEMBERED: Final = 1_000
_REFINED: Final = 20
"""A model's factor moves in steps of a twentieth, so that a budget holds still from run to run."""


class Turn(Struct, frozen=True):
    """What a turn is made of: the run with its steps so far, messages that may not be stored yet, our own tools."""

    run: Run
    drafts: tuple[Message, ...] = ()
    steps: Sequence[Step] = ()
    hosted: tuple[chat.ChatTool, ...] = ()


class Prepared(Struct, frozen=True):
    """`counted` tokens of our own are in the request; `news` are for the run, with its model's first ones."""

    request: chat.ModelRequest
    counted: int
    news: tuple[Input, ...]


class _Filled(Struct, frozen=True):
    chosen: Chosen
    steps: Steps


class Prompts:
    """`window` is what a model holds in tokens of its own."""

    def __init__(
        self,
        backend: Backend,
        chooser: Chooser,
        window: Callable[[str], int],
        count: Count,
        auto: AutoStrategy,
        defaults: Mapping[str, bool] | None = None,
    ) -> None:
        """`defaults` are keys of `Auto` where the caller says nothing of them."""
        self._backend = backend
        self._chooser = chooser
        self._window = window
        self._count = count
        self._auto: AutoStrategy = auto
        self._defaults = defaults or {}
        self._corrections: OrderedDict[str, Correction] = OrderedDict()
        self._cleared: OrderedDict[str, int] = OrderedDict()

    async def prepare(self, turn: Turn, *, anew: bool = False) -> Prepared | Input:
        """The request of the next turn, or what the run is told instead. `anew`: with what was learned since."""
        run = turn.run
        fixed = self._fixed(turn)
        room = thread_room(self.limits(run), fixed)
        if isinstance(room, NoRoom):
            return LimitReached("max_prompt_tokens")
        budget = self._budget(turn, room.tokens) if anew or not run.context else run.context.budget
        filled = await self._fill(turn, budget, room.tokens)
        if not isinstance(filled, _Filled):
            return filled
        chosen = filled.chosen
        told = run.context is None or run.context.budget != chosen.context.budget
        news = (ChosenInput(chosen.context, chosen.items),) if told else ()
        counted = fixed.total + chosen.selection.used + filled.steps.tokens
        return Prepared(self._request(turn, chosen, filled.steps), counted, news)

    async def _fill(self, turn: Turn, budget: int, room: int) -> "_Filled | Input":
        """The thread within its budget, and the run's steps in what is left; less of the thread if it must be."""
        run = turn.run
        steps = await self._said(turn)
        costs = [cost_of(step, self._count) for step in steps]
        while budget > 0:
            chosen = await self._chooser.choose(self._wanted(turn, budget))
            if isinstance(chosen, DoesNotFit):
                return _refusal(chosen)
            left = room - chosen.selection.used
            fitted = fit_steps(steps, left, self._count, costs, cleared=self._cleared.get(run.id, 0))
            if fitted.fits:
                if fitted.cleared:
                    _remember(self._cleared, run.id, fitted.cleared)
                return _Filled(chosen, fitted)
            budget = min(int(budget * _SHRINK), room - fitted.tokens)
        return LimitReached("max_prompt_tokens")

    def limits(self, run: Run) -> Limits:
        """What is left of the run's."""
        window = self._window(run.plan.model)
        wished = run.plan.max_completion_tokens
        answer = min(wished - run.usage.completion if wished else window // 4, window // 4)
        allowed = run.plan.max_prompt_tokens
        return self._limits(run.plan.model, answer, allowed - run.usage.prompt if allowed else None)

    def _limits(self, model: str, answer: int, prompt: int | None) -> Limits:
        """In our tokens."""
        factor = self._factor(model)
        left = None if prompt is None else int(prompt / factor)
        return Limits(int(self._window(model) / factor), int(answer / factor), left)

    async def preview(self, thread: str, wanted: Preview) -> Chosen | DoesNotFit:
        """What a run of this model would send of the thread, instructions and tools left out."""
        model = wanted.model or ""
        window = self._window(model)
        limits = self._limits(model, window // 4, wanted.max_prompt_tokens)
        asked = self._count(wanted.query) + FRAME_TOKENS if wanted.query is not None else 0
        room = thread_room(limits, Fixed(instructions=asked))
        if isinstance(room, NoRoom):
            return DoesNotFit("newest_message", room.needed, room.allowed)
        most = wanted.truncation.max_context_tokens
        budget = min(room.tokens, most) if most else room.tokens
        strategy = self.strategy(wanted.truncation)
        return await self._chooser.choose(Wanted(thread, "", model, window, budget, strategy, query=wanted.query))

    def strategy(self, wished: Truncation) -> Strategy:
        strategy = strategy_of(wished, self._auto)
        if not isinstance(strategy, Auto):
            return strategy
        unsaid = {name: value for name, value in self._defaults.items() if getattr(wished, name) is None}
        return structs.replace(strategy, **unsaid)

    def learn(self, model: str, counted: int, usage: Usage | None) -> None:
        """What the model's upstream says it counted."""
        _remember(self._corrections, model, self._correction(model).learn(counted, usage))

    def shrink(self, model: str) -> None:
        """The model found a prompt too long that we did not."""
        known = self._correction(model)
        _remember(self._corrections, model, Correction(known.factor / _SHRINK, max(1, known.seen)))

    def _budget(self, turn: Turn, room: int) -> int:
        most = turn.run.plan.truncation.max_context_tokens
        budget = room - room // _FOR_STEPS if turn.run.plan.tools else room
        return min(budget, most) if most else budget

    def _wanted(self, turn: Turn, budget: int) -> Wanted:
        run = turn.run
        known = run.context
        return Wanted(
            thread=run.thread,
            run=run.id,
            model=run.plan.model,
            window=self._window(run.plan.model),
            budget=budget,
            strategy=self.strategy(run.plan.truncation),
            drafts=turn.drafts,
            before=WindowState(known.start, known.cleared) if known else None,
            vectors=known.vectors if known else None,
        )

    def _fixed(self, turn: Turn) -> Fixed:
        tools = (*prompt.tools(turn.run), *turn.hosted)
        spoken = self._count(json.dumps(to_builtins(tools))) if tools else 0
        instructions = prompt.instructions(turn.run.plan)
        return Fixed(self._count(instructions) + FRAME_TOKENS if instructions else 0, spoken)

    def _request(self, turn: Turn, chosen: Chosen, steps: Steps) -> chat.ModelRequest:
        rendered = render(chosen.selection, chosen.messages, prompt.instructions(turn.run.plan), digest=chosen.digest)
        stable = prompt.merged(rendered.messages[: rendered.stable])
        rest = prompt.merged(rendered.messages[rendered.stable :])
        request = prompt.request(turn.run, (*stable, *rest, *steps.messages), turn.hosted)
        return structs.replace(request, stable=len(stable))

    def _factor(self, model: str) -> float:
        known = self._correction(model)
        return ceil(known.factor * _REFINED) / _REFINED if known.seen else 1.0

    def _correction(self, model: str) -> Correction:
        return self._corrections.get(model, Correction())

    async def _said(self, turn: Turn) -> list[chat.ChatMessage]:
        """What the model said, asked for and was told in this run."""
        if not turn.steps:
            return []
        page = PageRequest(_MOST_MESSAGES, "asc")
        said = await self._backend.read(lambda tx: messages.listed(tx, turn.run.thread, page, turn.run.id))
        return prompt.of_steps(turn.steps, {message.id: message.text for message in said.items})


def strategy_of(wished: Truncation, auto: AutoStrategy) -> Strategy:
    """What the caller wants, with what the server says where they say nothing."""
    match wished.type:
        case "last_messages":
            return LastMessages(wished.last_messages or 1)
        case "drop_middle":
            return DropMiddle()
        case "drop_oldest":
            return DropOldest()
        case "disabled":
            return Disabled()
        case "auto":
            given = {name: value for name in _AUTO if (value := getattr(wished, name)) is not None}
            if auto == "drop_middle" and not given and wished.preset is None:
                return DropMiddle()
            preset = wished.preset or ("balanced" if auto == "drop_middle" else auto)
            return structs.replace(PRESETS[preset], **given)


_AUTO: Final = tuple(field.name for field in structs.fields(Auto))


def _refusal(refused: DoesNotFit) -> Input:
    if refused.what == "newest_message":
        return LimitReached("max_prompt_tokens")
    return ModelFailed(
        RunError(
            "invalid_prompt",
            f"The thread has {refused.needed} tokens, more than the {refused.budget} that this run may send, and its "
            "truncation_strategy is disabled. Use auto, or a model with a larger context window.",
        )
    )


def _remember(known: OrderedDict[str, T], name: str, value: T) -> None:
    known[name] = value
    known.move_to_end(name)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
