"""Events -> frames of the stream (contract section 2: orders of 2.1, deltas of 2.2, traps of 2.3).

A frame is a function of the event and the run around it, so that whoever reads it again sees the same bytes.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from respun.core import events as e
from respun.core.projection import records
from respun.core.runs import Run, Step, ToolCall
from respun.core.threads import Annotation, FileCitation, Message
from respun.dialects.frames import frame
from respun.dialects.openai import run_shapes, shapes
from respun.dialects.openai.objects import Json
from respun.dialects.openai.shapes import encode

DONE: Final = b"event: done\ndata: [DONE]\n\n"

Frame = tuple[bytes, bytes]
"""The event's name and its data."""

_TEXT: Final = (
    b"id: %d.1\nevent: thread.message.delta\n"
    b'data: {"id":%b,"object":"thread.message.delta","delta":{"content":[{"index":%d,"type":"text",'
    b'"text":{"value":%b%b}}]}}\n\n'
)
_ARGUMENTS: Final = (
    b"id: %d.1\nevent: thread.run.step.delta\n"
    b'data: {"id":%b,"object":"thread.run.step.delta","delta":{"step_details":{"type":"tool_calls","tool_calls":['
    b'{"index":%d,"type":"function","function":{"arguments":%b}}]}}}\n\n'
)

_CODE: Final = (
    b"id: %d.1\nevent: thread.run.step.delta\n"
    b'data: {"id":%b,"object":"thread.run.step.delta","delta":{"step_details":{"type":"tool_calls","tool_calls":['
    b'{"index":%d,"type":"code_interpreter","code_interpreter":{"input":%b}}]}}}\n\n'
)


def render(before: Run | None, event: e.AnyEvent, after: Run, *, content: bool = False) -> bytes:
    """The frames of one event, joined; empty when clients see nothing of it.

    `content`: with the text of search results. The frame `done` is not among them: a stream ends with it, not a run.
    """
    number = after.number
    if isinstance(event, e.TextAdded):
        return _text(number, before, event)
    if isinstance(event, e.ArgumentsAdded):
        return _arguments(number, event, after)
    if isinstance(event, e.RunCreated):
        pairs = _created(event, after)
    else:
        assert before is not None, "only the first event has nothing before it"
        pairs = _FRAMES[type(event)](before, event, after, content)
    return b"".join(frame(number, k, name, data) for k, (name, data) in enumerate(pairs, 1))


def _text(number: int, before: Run | None, event: e.TextAdded) -> bytes:
    assert before is not None
    message = before.message
    assert message is not None
    # A block's kind cannot change in a client's hands: text behind a refusal is shown by the whole message only.
    if message.refusal:
        return b""
    notes = b"" if message.text else b',"annotations":[]'
    if event.annotations:
        known = len(message.annotations)
        notes = b',"annotations":' + encode([_annotation(known + i, note) for i, note in enumerate(event.annotations)])
    return _TEXT % (number, encode(message.id), len(message.images), encode(event.text), notes)


def _arguments(number: int, event: e.ArgumentsAdded, after: Run) -> bytes:
    written = after.writing
    assert written is not None
    call = written.calls[event.index]
    match call.kind:
        case "function":
            return _ARGUMENTS % (number, encode(written.step), event.index, encode(event.text))
        case "code_interpreter" if call.code.shown:
            return _CODE % (number, encode(written.step), event.index, encode(call.code.shown))
        case _:
            return b""


def _created(event: e.RunCreated, after: Run) -> Iterator[Frame]:
    if event.new_thread:
        yield b"thread.created", encode(shapes.thread(event.new_thread))
    data = _run(after)
    yield b"thread.run.created", data
    yield b"thread.run.queued", data


def _queued(before: Run, event: e.RunQueued, after: Run, content: bool) -> Iterator[Frame]:
    # The creation has already said so.
    if before.status != "queued":
        yield b"thread.run.queued", _run(after)


def _status(before: Run, event: e.AnyEvent, after: Run, content: bool) -> Iterator[Frame]:
    yield from _ended(before, event, content)
    yield b"thread.run." + after.status.encode(), _run(after)


def _unseen(before: Run, event: e.AnyEvent, after: Run, content: bool) -> Iterator[Frame]:
    yield from ()


def _message_started(before: Run, event: e.MessageStarted, after: Run, content: bool) -> Iterator[Frame]:
    step, message = records(before, event)
    assert isinstance(step, Step)
    assert isinstance(message, Message)
    yield from _step_begun(step, content)
    data = encode(shapes.message(message))
    yield b"thread.message.created", data
    yield b"thread.message.in_progress", data
    for index, image in enumerate(event.images):
        part = {"index": index, "type": "image_file", "image_file": {"file_id": image, "detail": "auto"}}
        yield _message_delta(event.message, part)


def _refusal(before: Run, event: e.RefusalAdded, after: Run, content: bool) -> Iterator[Frame]:
    assert before.message is not None
    index = len(before.message.images) + (1 if before.message.text else 0)
    yield _message_delta(before.message.id, {"index": index, "type": "refusal", "refusal": event.text})


def _reasoning(before: Run, event: e.ReasoningAdded, after: Run, content: bool) -> Iterator[Frame]:
    """The Assistants API shows none."""
    yield from ()


def _message_ended(before: Run, event: e.MessageEnded, after: Run, content: bool) -> Iterator[Frame]:
    message, step = records(before, event)
    assert isinstance(message, Message)
    assert isinstance(step, Step)
    yield b"thread.message." + message.status.encode(), encode(shapes.message(message))
    yield _step(step, content)


def _calls_started(before: Run, event: e.CallsStarted, after: Run, content: bool) -> Iterator[Frame]:
    for step in records(before, event):
        assert isinstance(step, Step)
        yield from _step_begun(step, content)


def _call_added(before: Run, event: e.CallAdded, after: Run, content: bool) -> Iterator[Frame]:
    assert before.writing is not None
    shown: Json
    match event.kind:
        case "function":
            shown = {"name": event.name, "arguments": "", "output": None}
        case "code_interpreter":
            shown = {"input": "", "outputs": []}
        case "file_search":
            shown = {"ranking_options": run_shapes.search_ranking(None), "results": []}
    call = {"index": len(before.writing.calls), "id": event.call, "type": event.kind, event.kind: shown}
    yield _step_delta(before.writing.step, call)


def _calls_made(before: Run, event: e.CallsMade, after: Run, content: bool) -> Iterator[Frame]:
    """Code that could be told from its wrapping only now."""
    assert before.writing is not None
    for index, call in enumerate(before.writing.calls):
        if call.kind == "code_interpreter" and (rest := call.code.rest()):
            yield _step_delta(before.writing.step, {"index": index, "type": call.kind, call.kind: {"input": rest}})


def _outputs_given(before: Run, event: e.OutputsGiven, after: Run, content: bool) -> Iterator[Frame]:
    assert before.calls is not None
    given = {output.call: output for output in event.outputs}
    for index, call in enumerate(before.calls.calls):
        if call.id in given and call.kind == "code_interpreter":
            yield from _cell_outputs(before.calls.step, index, call, given[call.id].details or {})
    yield from _ended(before, event, content)


def _cell_outputs(step: str, index: int, call: ToolCall, details: Json) -> Iterator[Frame]:
    outputs = [{"index": place, **output} for place, output in enumerate(details.get("outputs") or ())]
    if outputs:
        yield _step_delta(step, {"index": index, "type": call.kind, call.kind: {"outputs": outputs}})


def _resumed(before: Run, event: e.RunResumed, after: Run, content: bool) -> Iterator[Frame]:
    yield from _ended(before, event, content)


def _ended(before: Run, event: e.AnyEvent, content: bool) -> Iterator[Frame]:
    for record in records(before, event):
        if isinstance(record, Step) and record.status != "in_progress":
            yield _step(record, content)


def _run(run: Run) -> bytes:
    return encode(run_shapes.run(run, streamed=True))


def _step_begun(step: Step, content: bool) -> Iterator[Frame]:
    data = encode(run_shapes.step(step, streamed=True, content=content))
    yield b"thread.run.step.created", data
    yield b"thread.run.step.in_progress", data


def _step(step: Step, content: bool) -> Frame:
    data = encode(run_shapes.step(step, streamed=True, content=content))
    return b"thread.run.step." + step.status.encode(), data


def _message_delta(ident: str, part: Json) -> Frame:
    delta = {"id": ident, "object": "thread.message.delta", "delta": {"content": [part]}}
    return b"thread.message.delta", encode(delta)


def _step_delta(step: str, call: Json) -> Frame:
    details = {"type": "tool_calls", "tool_calls": [call]}
    delta = {"id": step, "object": "thread.run.step.delta", "delta": {"step_details": details}}
    return b"thread.run.step.delta", encode(delta)


def _annotation(index: int, note: Annotation) -> Json:
    shown = {"index": index, **shapes.annotation(note)}
    # Only deltas have a quote, and it is empty (contract 2.2).
    if isinstance(note, FileCitation):
        shown["file_citation"] = {"file_id": note.file, "quote": ""}
    return shown


_FRAMES: Final[dict[type, Callable[[Run, Any, Run, bool], Iterator[Frame]]]] = {
    e.RunQueued: _queued,
    e.RunStarted: _status,
    e.ContextChosen: _unseen,
    e.MessageStarted: _message_started,
    e.RefusalAdded: _refusal,
    e.ReasoningAdded: _reasoning,
    e.MessageEnded: _message_ended,
    e.CallsStarted: _calls_started,
    e.CallAdded: _call_added,
    e.CallsMade: _calls_made,
    e.ActionRequired: _status,
    e.OutputsGiven: _outputs_given,
    e.RunCompleted: _status,
    e.RunFailed: _status,
    e.RunIncomplete: _status,
    e.RunCancelling: _status,
    e.RunCancelled: _status,
    e.RunExpired: _status,
    e.RunResumed: _resumed,
}
