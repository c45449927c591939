"""The run as the fold of its events: what each event changes."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from respun.core.events import (
    ActionRequired,
    AnyEvent,
    ArgumentsAdded,
    CallAdded,
    CallsMade,
    CallsStarted,
    ContextChosen,
    MessageEnded,
    MessageStarted,
    OutputsGiven,
    ReasoningAdded,
    RefusalAdded,
    RunCancelled,
    RunCancelling,
    RunCompleted,
    RunCreated,
    RunExpired,
    RunFailed,
    RunIncomplete,
    RunQueued,
    RunResumed,
    RunStarted,
    TextAdded,
)
from respun.core.runs import OpenCalls, OpenMessage, Run, ToolCall, WrittenCall, WrittenCalls

Changes = dict[str, Any]


def evolve(run: Run, event: AnyEvent) -> Run:
    changes = _EVOLVE[type(event)](run, event)
    return replace(run, number=run.number + 1 + changes.pop("skipped", 0), **changes)


def begin(event: RunCreated) -> Run:
    return Run(
        id=event.run,
        thread=event.thread,
        assistant=event.assistant,
        created_at=event.at,
        expires_at=event.expires_at,
        plan=event.plan,
        metadata=event.metadata,
        number=1,
    )


def replay(events: Iterable[AnyEvent], run: Run | None = None) -> Run:
    """The run after these events; the first one creates it unless `run` is what came before."""
    for event in events:
        if isinstance(event, RunCreated):
            run = begin(event)
        else:
            assert run is not None, "a history begins with RunCreated"
            run = evolve(run, event)
    assert run is not None, "a history is not empty"
    return run


def _created(run: Run, event: RunCreated) -> Changes:
    raise AssertionError("a run is created once")


def _queued(run: Run, event: RunQueued) -> Changes:
    return {"status": "queued"}


def _started(run: Run, event: RunStarted) -> Changes:
    return {"status": "in_progress", "started_at": event.at}


def _context_chosen(run: Run, event: ContextChosen) -> Changes:
    return {"context": event.context}


def _message_started(run: Run, event: MessageStarted) -> Changes:
    return {"message": opened(event), "images": (), "files": ()}


def opened(event: MessageStarted) -> OpenMessage:
    return OpenMessage(event.message, event.step, event.at, event.images, event.files)


def _text_added(run: Run, event: TextAdded) -> Changes:
    assert run.message is not None
    message = replace(run.message, text=run.message.text + event.text)
    if event.annotations:
        message = replace(message, annotations=(*message.annotations, *event.annotations))
    return {"message": message}


def _refusal_added(run: Run, event: RefusalAdded) -> Changes:
    assert run.message is not None
    return {"message": replace(run.message, refusal=run.message.refusal + event.text)}


def _reasoning_added(run: Run, event: ReasoningAdded) -> Changes:
    return {}


def _message_ended(run: Run, event: MessageEnded) -> Changes:
    # A message followed by calls in the same turn has no usage of its own: the calls carry the turn's.
    if event.usage is None:
        return {"message": None}
    return {"message": None, "usage": run.usage + event.usage, "turn": run.turn + 1}


def _calls_started(run: Run, event: CallsStarted) -> Changes:
    return {"writing": WrittenCalls(event.step, event.at)}


def _call_added(run: Run, event: CallAdded) -> Changes:
    assert run.writing is not None
    call = WrittenCall(event.call, event.kind, event.name)
    return {"writing": replace(run.writing, calls=(*run.writing.calls, call))}


def _arguments_added(run: Run, event: ArgumentsAdded) -> Changes:
    assert run.writing is not None
    calls = list(run.writing.calls)
    calls[event.index] = _extended(calls[event.index], event.text)
    return {"writing": replace(run.writing, calls=tuple(calls))}


def _extended(call: WrittenCall, text: str) -> WrittenCall:
    code = call.code + text if call.kind == "code_interpreter" else call.code
    return replace(call, arguments=call.arguments + text, code=code)


def _made(run: Run, event: CallsMade) -> Changes:
    return {"writing": None, "calls": made(run, event), "usage": run.usage + event.usage, "turn": run.turn + 1}


def made(run: Run, event: CallsMade) -> OpenCalls:
    """The calls that the model has finished writing."""
    assert run.writing is not None
    calls = tuple(ToolCall(call.id, call.kind, call.name, str(call.arguments)) for call in run.writing.calls)
    return OpenCalls(run.writing.step, run.writing.started_at, calls, event.usage)


def _action_required(run: Run, event: ActionRequired) -> Changes:
    return {"status": "requires_action"}


def _outputs_given(run: Run, event: OutputsGiven) -> Changes:
    answered = answer(run, event)
    return {
        "calls": answered if answered.owed else None,
        "unreadable": run.unreadable + any(output.unreadable for output in event.outputs),
        "images": (*run.images, *(image for output in event.outputs for image in output.images)),
        "files": (*run.files, *(file for output in event.outputs for file in output.files)),
    }


def answer(run: Run, event: OutputsGiven) -> OpenCalls:
    """The open calls with these outputs filled in."""
    assert run.calls is not None
    given = {output.call: output for output in event.outputs}
    calls = tuple(
        replace(call, output=given[call.id].output, details=given[call.id].details) if call.id in given else call
        for call in run.calls.calls
    )
    return replace(run.calls, calls=calls)


def _completed(run: Run, event: RunCompleted) -> Changes:
    return {"status": "completed", "ended_at": event.at}


def _failed(run: Run, event: RunFailed) -> Changes:
    return {"status": "failed", "ended_at": event.at, "last_error": event.error, "calls": None, "writing": None}


def _incomplete(run: Run, event: RunIncomplete) -> Changes:
    return {"status": "incomplete", "ended_at": event.at, "limit_reached": event.limit, "calls": None, "writing": None}


def _cancelling(run: Run, event: RunCancelling) -> Changes:
    return {"status": "cancelling"}


def _cancelled(run: Run, event: RunCancelled) -> Changes:
    return {"status": "cancelled", "ended_at": event.at, "calls": None, "writing": None}


def _expired(run: Run, event: RunExpired) -> Changes:
    return {"status": "expired", "ended_at": event.at, "calls": None, "writing": None}


def _resumed(run: Run, event: RunResumed) -> Changes:
    return {"writing": None, "skipped": event.skipped}


_EVOLVE: dict[type, Callable[[Run, Any], Changes]] = {
    RunCreated: _created,
    RunQueued: _queued,
    RunStarted: _started,
    ContextChosen: _context_chosen,
    MessageStarted: _message_started,
    TextAdded: _text_added,
    RefusalAdded: _refusal_added,
    ReasoningAdded: _reasoning_added,
    MessageEnded: _message_ended,
    CallsStarted: _calls_started,
    CallAdded: _call_added,
    ArgumentsAdded: _arguments_added,
    CallsMade: _made,
    ActionRequired: _action_required,
    OutputsGiven: _outputs_given,
    RunCompleted: _completed,
    RunFailed: _failed,
    RunIncomplete: _incomplete,
    RunCancelling: _cancelling,
    RunCancelled: _cancelled,
    RunExpired: _expired,
    RunResumed: _resumed,
}
