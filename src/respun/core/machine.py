"""The run as a machine of three pure functions: what follows from an input, from an event, and what is to be done.

`decide` turns news into events, `evolve` folds an event into the run, `pending` names the work a run wants done.
Pending work is a function of the state, not a stored queue: starting a run and recovering one are the same line.
"""

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from respun.core import chat
from respun.core.assistants import CodeInterpreterTool, FileSearchTool, FunctionTool
from respun.core.events import (
    ActionRequired,
    AnyEvent,
    ArgumentsAdded,
    CallAdded,
    CallsMade,
    CallsStarted,
    ContextChosen,
    ContextItem,
    MessageEnded,
    MessageStarted,
    Output,
    OutputsGiven,
    ReasoningAdded,
    RefusalAdded,
    RunCancelled,
    RunCancelling,
    RunCompleted,
    RunExpired,
    RunFailed,
    RunIncomplete,
    RunQueued,
    RunResumed,
    RunStarted,
    TextAdded,
)
from respun.core.fold import evolve, opened, replay
from respun.core.ids import Kind
from respun.core.json_schema import misfit
from respun.core.runs import (
    Context,
    OpenMessage,
    Plan,
    Run,
    RunError,
    TokenLimit,
    ToolCall,
    ToolKind,
)
from respun.core.threads import Annotation, ImageFile, IncompleteReason, Part, Refusal, Text
from respun.core.usage import Usage

Events = tuple[AnyEvent, ...]


class Fresh(Protocol):
    """What the outside gives to a decision: the time and ids that were never used."""

    @property
    def now(self) -> float: ...

    def id(self, kind: Kind) -> str: ...


# Inputs: news that reaches a run. A model's own news (`respun.core.chat`) are inputs as they are.


class Start(Struct, frozen=True):
    """A worker is ready for it."""


class Cited(Struct, frozen=True):
    """Text of the model with what it refers to; places count from the beginning of the message's text."""

    text: str
    annotations: tuple[Annotation, ...]


class ModelFailed(Struct, frozen=True):
    error: RunError


class LimitReached(Struct, frozen=True):
    """What must be sent does not fit what may be sent."""

    limit: TokenLimit


class Chosen(Struct, frozen=True):
    """What is being sent of the thread."""

    context: Context
    items: tuple[ContextItem, ...]


class Outputs(Struct, frozen=True):
    outputs: tuple[Output, ...]


class Cancel(Struct, frozen=True):
    pass


class Stopped(Struct, frozen=True):
    """The work in flight has been stopped."""


class Deadline(Struct, frozen=True):
    pass


class Resume(Struct, frozen=True):
    """Another worker takes the run over; `skip` numbers may have been shown without being stored."""

    skip: int


Input = chat.News | Cited | Start | Chosen | ModelFailed | LimitReached | Outputs | Cancel | Stopped | Deadline | Resume

# Commands: work a run wants done.


class Begin(Struct, frozen=True):
    pass


class CallModel(Struct, frozen=True):
    pass


class CallTools(Struct, frozen=True):
    calls: tuple[ToolCall, ...]


class StopWork(Struct, frozen=True):
    pass


Command = Begin | CallModel | CallTools | StopWork


def pending(run: Run) -> Command | None:
    """The one thing the run wants done now; None while it waits for its caller, and when it is done."""
    match run.status:
        case "queued":
            return Begin()
        case "cancelling":
            return StopWork()
        case "in_progress":
            hosted = tuple(call for call in run.calls.owed if call.hosted) if run.calls else ()
            return CallTools(hosted) if hosted else CallModel()
        case _:
            return None


def decide(run: Run, given: Input, fresh: Fresh) -> Events:
    """What follows from an input. Nothing, when it comes too late: it lost a race, which is no error."""
    if run.done:
        return ()
    return _DECIDE[type(given)](run, given, fresh)


# What follows from each input


INTERRUPTED = RunError("server_error", "The server stopped while this was being written; the run went on without it.")
UNREADABLE = RunError(
    "server_error",
    "The model called functions with arguments that are no JSON object, again after it was told so twice. Use an abler "
    "model, or functions with simpler parameters.",
)
_MOST_UNREADABLE = 2
"""Turns of a run after which the model is told what is wrong with its arguments."""
FILTERED = RunError("server_error", "The model's content filter stopped its answer.")


def _start(run: Run, given: Start, fresh: Fresh) -> Events:
    if run.status != "queued":
        return ()
    return (RunStarted(fresh.now), *_end_over_limit(run, fresh))


def _chosen(run: Run, given: Chosen, fresh: Fresh) -> Events:
    return (ContextChosen(fresh.now, given.context, given.items),) if run.status == "in_progress" else ()


def _text(run: Run, given: chat.TextDelta, fresh: Fresh) -> Events:
    if not _listens(run) or not given.text:
        return ()
    return (*_open_message(run, fresh), TextAdded(given.text))


def _cited(run: Run, given: Cited, fresh: Fresh) -> Events:
    if run.status != "in_progress":
        return ()
    return (*_open_message(run, fresh), TextAdded(given.text, given.annotations))


def _refusal(run: Run, given: chat.RefusalDelta, fresh: Fresh) -> Events:
    if not _listens(run) or not given.text:
        return ()
    return (*_open_message(run, fresh), RefusalAdded(given.text))


def _reasoning(run: Run, given: chat.ReasoningDelta, fresh: Fresh) -> Events:
    return (ReasoningAdded(given.text),) if run.status == "in_progress" and given.text else ()


def _call(run: Run, given: chat.ToolCallDelta, fresh: Fresh) -> Events:
    if not _listens(run):
        return ()
    if given.index and not run.plan.parallel_tool_calls:
        # Not every upstream keeps to one call at a time; what it still needs it asks for in its next turn.
        return ()
    facts: list[AnyEvent] = []
    if run.message:
        facts.append(_end_message(run.message, fresh, None, None))
    if not run.writing:
        facts.append(CallsStarted(fresh.now, fresh.id("step")))
    known = len(run.writing.calls) if run.writing else 0
    if given.index >= known:
        name = given.name or ""
        facts.append(CallAdded(fresh.id("call"), _kind_of(run.plan, name), name))
    if given.arguments:
        facts.append(ArgumentsAdded(min(given.index, known), given.arguments))
    return tuple(facts)


def _finished(run: Run, given: chat.Finished, fresh: Fresh) -> Events:
    if not _listens(run):
        return ()
    usage = given.usage or Usage()
    if run.writing:
        return _calls_made(run, given.reason, usage, fresh)
    opening = _open_message(run, fresh)
    message = run.message or opened(opening[0])
    reason: IncompleteReason | None = {"length": "max_tokens", "content_filter": "content_filter"}.get(given.reason)  # type: ignore[assignment]
    ended = _end_message(message, fresh, reason, usage)
    last: AnyEvent
    match given.reason:
        case "length":
            last = RunIncomplete(fresh.now, "max_completion_tokens")
        case "content_filter":
            last = RunFailed(fresh.now, FILTERED)
        case _:
            last = RunCompleted(fresh.now)
    return (*opening, ended, last)


def _calls_made(run: Run, reason: chat.FinishReason, usage: Usage, fresh: Fresh) -> Events:
    # Some models speak on after their calls: that is a message of its own, and whole.
    said = (_end_message(run.message, fresh, None, None),) if run.message else ()
    made: Events = (*said, *_empty_objects(run), CallsMade(fresh.now, usage))
    if reason == "length":
        return (*made, RunIncomplete(fresh.now, "max_completion_tokens"))
    if reason == "content_filter":
        return (*made, RunFailed(fresh.now, FILTERED))
    after = replay(made, run)
    assert after.calls is not None
    refused = tuple(output for call in after.calls.calls if (output := _refusal_of(run.plan, call)))
    if not refused:
        return (*made, *_after_outputs(after, fresh))
    if run.unreadable >= _MOST_UNREADABLE and any(output.unreadable for output in refused):
        return (*made, RunFailed(fresh.now, UNREADABLE))
    told = OutputsGiven(fresh.now, refused)
    return (*made, told, *_after_outputs(evolve(after, told), fresh))


def _empty_objects(run: Run) -> Events:
    """Some models write nothing where a function takes nothing; callers read JSON."""
    calls = run.writing.calls if run.writing else ()
    return tuple(ArgumentsAdded(at, "{}") for at, call in enumerate(calls) if not str(call.arguments).strip())


def _outputs(run: Run, given: Outputs, fresh: Fresh) -> Events:
    owed = {call.id for call in run.calls.owed} if run.calls else set()
    taken = tuple(output for output in given.outputs if output.call in owed)
    if not taken or run.status == "cancelling":
        return ()
    told = OutputsGiven(fresh.now, taken)
    return (told, *_after_outputs(evolve(run, told), fresh))


def _after_outputs(run: Run, fresh: Fresh) -> Events:
    if run.calls:
        callers = all(not call.hosted for call in run.calls.owed)
        return (ActionRequired(fresh.now),) if callers and run.status == "in_progress" else ()
    if run.status == "requires_action":
        return (RunQueued(fresh.now),)
    return _end_over_limit(run, fresh)


def _model_failed(run: Run, given: ModelFailed, fresh: Fresh) -> Events:
    if run.status != "in_progress":
        return ()
    return (*_break_off(run, fresh, "run_failed", given.error), RunFailed(fresh.now, given.error))


def _limit_reached(run: Run, given: LimitReached, fresh: Fresh) -> Events:
    if run.status != "in_progress":
        return ()
    return (*_break_off(run, fresh, "max_tokens"), RunIncomplete(fresh.now, given.limit))


def _cancel(run: Run, given: Cancel, fresh: Fresh) -> Events:
    match run.status:
        case "queued" | "requires_action":
            return (RunCancelling(fresh.now), RunCancelled(fresh.now))
        case "in_progress":
            return (RunCancelling(fresh.now),)
        case _:
            return ()


def _stopped(run: Run, given: Stopped, fresh: Fresh) -> Events:
    if run.status != "cancelling":
        return ()
    return (*_break_off(run, fresh, "run_cancelled"), RunCancelled(fresh.now))


def _deadline(run: Run, given: Deadline, fresh: Fresh) -> Events:
    if run.status == "cancelling":
        return _stopped(run, Stopped(), fresh)
    return (*_break_off(run, fresh, "run_expired"), RunExpired(fresh.now))


def _resume(run: Run, given: Resume, fresh: Fresh) -> Events:
    # First the jump: numbers behind the last stored one may have been shown with other events.
    return (RunResumed(fresh.now, given.skip), *_break_off(run, fresh, "run_failed", INTERRUPTED))


def _end_over_limit(run: Run, fresh: Fresh) -> Events:
    """Limits count over the whole run (contract section 6, Truncation)."""
    plan = run.plan
    if plan.max_completion_tokens and run.usage.completion >= plan.max_completion_tokens:
        return (RunIncomplete(fresh.now, "max_completion_tokens"),)
    if plan.max_prompt_tokens and run.usage.prompt >= plan.max_prompt_tokens:
        return (RunIncomplete(fresh.now, "max_prompt_tokens"),)
    if run.turn >= plan.max_turns:
        error = RunError(
            "server_error", f"The run called the model {run.turn} times, the most a run may, without an end."
        )
        return (RunFailed(fresh.now, error),)
    return ()


def _listens(run: Run) -> bool:
    """Whether the run waits for its model: not while a tool of its last turn has yet to answer."""
    return run.status == "in_progress" and run.calls is None


def _open_message(run: Run, fresh: Fresh) -> tuple[MessageStarted, ...]:
    if run.message:
        return ()
    return (MessageStarted(fresh.now, fresh.id("message"), fresh.id("step"), run.images, run.files),)


def _end_message(
    message: OpenMessage,
    fresh: Fresh,
    reason: IncompleteReason | None,
    usage: Usage | None,
    error: RunError | None = None,
) -> MessageEnded:
    parts: list[Part] = [ImageFile(image) for image in message.images]
    if message.text or (reason is None and not message.refusal):
        parts.append(Text(str(message.text), message.annotations))
    if message.refusal:
        parts.append(Refusal(str(message.refusal)))
    return MessageEnded(fresh.now, tuple(parts), reason, error, usage)


def _break_off(run: Run, fresh: Fresh, reason: IncompleteReason, error: RunError | None = None) -> Events:
    return (_end_message(run.message, fresh, reason, None, error),) if run.message else ()


def _kind_of(plan: Plan, name: str) -> ToolKind:
    """Hosted tools are offered to the model as functions of their own name, unless the caller has one so named."""
    if name in {tool.function.name for tool in plan.tools if isinstance(tool, FunctionTool)}:
        return "function"
    if name in {tool.name for tool in plan.tools if isinstance(tool, FileSearchTool)}:
        return "file_search"
    if name == "code_interpreter" and any(isinstance(tool, CodeInterpreterTool) for tool in plan.tools):
        return "code_interpreter"
    return "function"


def _refusal_of(plan: Plan, call: ToolCall) -> Output | None:
    """What the model is told at once about a call that nobody can answer."""
    if call.hosted:
        return None
    names = sorted(tool.function.name for tool in plan.tools if isinstance(tool, FunctionTool))
    if call.name not in names:
        return Output(call.id, f"There is no tool named {call.name!r}. The tools are: {', '.join(names) or 'none'}.")
    wrong = misfit(call.arguments)
    if wrong is None:
        return None
    words = f"The arguments of {call.name!r} can't be read: {wrong}. Call it again with one JSON object."
    return Output(call.id, words, unreadable=True)


_DECIDE: dict[type, Callable[[Run, Any, Fresh], Events]] = {
    Start: _start,
    Chosen: _chosen,
    chat.TextDelta: _text,
    Cited: _cited,
    chat.RefusalDelta: _refusal,
    chat.ReasoningDelta: _reasoning,
    chat.ToolCallDelta: _call,
    chat.Finished: _finished,
    ModelFailed: _model_failed,
    LimitReached: _limit_reached,
    Outputs: _outputs,
    Cancel: _cancel,
    Stopped: _stopped,
    Deadline: _deadline,
    Resume: _resume,
}
