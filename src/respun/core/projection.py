"""What an event means for the records that callers read: the messages and steps it begins, changes or ends."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from respun.core.events import (
    AnyEvent,
    CallsMade,
    CallsStarted,
    MessageEnded,
    MessageStarted,
    OutputsGiven,
    RunCancelled,
    RunExpired,
    RunFailed,
    RunIncomplete,
    RunResumed,
)
from respun.core.fold import answer, evolve
from respun.core.machine import INTERRUPTED
from respun.core.runs import Run, RunError, Step, StepStatus
from respun.core.threads import Attachment, IncompleteReason, Message
from respun.core.usage import Usage

Records = tuple[Message | Step, ...]

_ENDS: dict[IncompleteReason | None, StepStatus] = {
    None: "completed",
    "max_tokens": "completed",
    "content_filter": "completed",
    "run_cancelled": "cancelled",
    "run_expired": "expired",
    "run_failed": "failed",
}


def records(before: Run, event: AnyEvent) -> Records:
    """The messages and steps as they are after the event; only those that it touches."""
    touched = _RECORDS.get(type(event))
    return touched(before, event) if touched else ()


def last_records(before: Run, events: Sequence[AnyEvent]) -> Records:
    """The same for several events in a row, each message and step once, as the last of them left it."""
    latest: dict[str, Message | Step] = {}
    touching = [index for index, event in enumerate(events) if type(event) in _RECORDS]
    for event in events[: touching[-1] + 1] if touching else ():
        for record in records(before, event):
            latest[record.id] = record
        before = evolve(before, event)
    return tuple(latest.values())


def _open_step(run: Run) -> Step | None:
    """The tool calls step that is being done, as it stands."""
    opened = run.calls or run.writing
    if not opened:
        return None
    return Step(
        id=opened.step,
        run=run.id,
        thread=run.thread,
        assistant=run.assistant,
        turn=run.turn - 1 if run.calls else run.turn,
        created_at=opened.started_at,
        calls=run.calls.calls if run.calls else (),
        expires_at=run.expires_at,
    )


def _message_started(run: Run, event: MessageStarted) -> Records:
    step = Step(
        id=event.step,
        run=run.id,
        thread=run.thread,
        assistant=run.assistant,
        turn=run.turn,
        created_at=event.at,
        message=event.message,
        expires_at=run.expires_at,
    )
    message = Message(
        id=event.message,
        thread=run.thread,
        created_at=event.at,
        role="assistant",
        content=(),
        assistant=run.assistant,
        run=run.id,
        status="in_progress",
        attachments=tuple(Attachment(file, ("code_interpreter",)) for file in event.files),
    )
    return (step, message)


def _message_ended(run: Run, event: MessageEnded) -> Records:
    opened = run.message
    assert opened is not None
    begun = MessageStarted(opened.started_at, opened.id, opened.step, opened.images, opened.files)
    step, message = _message_started(run, begun)
    assert isinstance(message, Message)
    assert isinstance(step, Step)
    whole = event.reason is None
    return (
        replace(
            message,
            content=event.content,
            status="completed" if whole else "incomplete",
            incomplete_reason=event.reason,
            ended_at=event.at,
        ),
        replace(
            step,
            status=_ENDS[event.reason],
            ended_at=event.at,
            last_error=event.error,
            usage=event.usage or (Usage() if whole else None),
        ),
    )


def _as_it_stands(run: Run, event: Any) -> Records:
    step = _open_step(evolve(run, event))
    return (step,) if step else ()


def _outputs_given(run: Run, event: OutputsGiven) -> Records:
    calls = answer(run, event)
    step = _open_step(replace(run, calls=calls))
    assert step is not None
    if calls.owed:
        return (step,)
    return (replace(step, status="completed", ended_at=event.at, usage=calls.usage),)


def _closed(status: StepStatus) -> Callable[[Run, Any], Records]:
    def close(run: Run, event: Any) -> Records:
        step = _open_step(run)
        if not step:
            return ()
        error: RunError | None = getattr(event, "error", None)
        usage = run.calls.usage if run.calls else None
        return (replace(step, status=status, ended_at=event.at, last_error=error, usage=usage),)

    return close


def _resumed(run: Run, event: RunResumed) -> Records:
    if run.calls or not run.writing:
        return ()
    return tuple(
        replace(step, last_error=INTERRUPTED) for step in _closed("failed")(run, event) if isinstance(step, Step)
    )


_RECORDS: dict[type, Callable[[Run, Any], Records]] = {
    MessageStarted: _message_started,
    MessageEnded: _message_ended,
    CallsStarted: _as_it_stands,
    CallsMade: _as_it_stands,
    OutputsGiven: _outputs_given,
    RunFailed: _closed("failed"),
    RunIncomplete: _closed("failed"),
    RunCancelled: _closed("cancelled"),
    RunExpired: _closed("expired"),
    RunResumed: _resumed,
}
