"""What a run does -> what a Backboard client is told: events as they come, and the one reply at the end (2.3, 2.5).

A run ends `completed` in lower case or by an event of its own kind: every SDK raises on any other word.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from respun.core import events as e
from respun.core.ids import uuid_of
from respun.core.runs import Run, RunError
from respun.core.usage import Usage
from respun.dialects.backboard import problems, shapes
from respun.dialects.backboard.shapes import Json, timestamp
from respun.workspace import Happening

_EXPIRED: Final = RunError("server_error", "The run expired before it was done.")


class Telling:
    """Follows one run from where its caller began to listen. `window`: the model's, in tokens."""

    def __init__(self, run: Run, window: int) -> None:
        self.run = run
        self._window = window
        self._message: str | None = None
        self._content: str | None = None
        self._written = ""
        self._reasoning = ""
        self._reasoned = True
        self._files: dict[str, None] = {}
        self._turn = Usage()

    def tell(self, happening: Happening) -> Iterator[Json]:
        """The events of one happening; none for most of them."""
        self.run = happening.after
        event = happening.event
        if not self._reasoned and not isinstance(event, e.ReasoningAdded | e.MessageStarted):
            self._reasoned = True
            yield self._event("reasoning_ended")
        teller = _TELLERS.get(type(event))
        if teller:
            yield from teller(self, event)

    def reply(self, message: str, now: float) -> Json:
        """The flat reply. `message` is a sentence for people."""
        run = self.run
        waits, failed = run.status == "requires_action", _failure(run)
        content = f"LLM Invocation Error: {failed.message}" if failed else self._content
        ident = self._ident()
        flat = {
            "message": message,
            "thread_id": shapes.thread_id(run.thread),
            "assistant_id": shapes.assistant_id(run.assistant),
            "content": None if waits and not content else content,
            "message_id": ident,
            "role": "assistant",
            "status": _status(run),
            "tool_calls": shapes.owed(run) if waits else None,
            "run_id": run.id,
            "memory_operation_id": run.plan.memory.operation,
            "retrieved_memories": memories(run),
            "retrieved_files": list(self._files),
            "reasoning": self._reasoning or None,
            **shapes.model_of(run),
            **shapes.tokens_of(run),
            "created_at": timestamp(run.ended_at or now),
            "attachments": [],
            "timestamp": timestamp(now),
            "context_usage": shapes.context_usage(run, self._window, self._turn),
        }
        if failed:
            flat["error"] = problems.error(failed.message, failed.code)
        return {**flat, "latest_message": latest(flat)}

    def reasoning(self, event: e.ReasoningAdded) -> Iterator[Json]:
        self._reasoned = False
        self._reasoning += event.text
        yield self._event("reasoning_streaming", content=event.text, accumulated_reasoning=self._reasoning)

    def message_started(self, event: e.MessageStarted) -> Iterator[Json]:
        self._message, self._written = event.message, ""
        yield from ()

    def text(self, event: e.TextAdded | e.RefusalAdded) -> Iterator[Json]:
        self._written += event.text
        yield self._event("content_streaming", content=event.text, accumulated_content=self._written)

    def message_ended(self, event: e.MessageEnded) -> Iterator[Json]:
        self._content = self._written
        self._turn = event.usage or self._turn
        yield from ()

    def call_started(self, event: e.CallAdded) -> Iterator[Json]:
        if event.kind == "function":
            yield self._event("tool_call_start", tool_call_id=event.call, name=event.name)

    def calls_made(self, event: e.CallsMade) -> Iterator[Json]:
        self._turn = event.usage
        for call in shapes.owed(self.run):
            yield self._event("tool_call_ready", tool_call=call)

    def answered(self, event: e.OutputsGiven) -> Iterator[Json]:
        """Notes which documents a search has brought."""
        for output in event.outputs:
            results = (output.details or {}).get("results")
            for result in results if isinstance(results, list) else ():
                self._files[str(result["file_name"])] = None
        yield from ()

    def action_required(self, event: e.ActionRequired) -> Iterator[Json]:
        usage = {**shapes.tokens_of(self.run), "cached_input_tokens": self.run.usage.cached, "cost_usd": None}
        yield self._event("tool_submit_required", tool_calls=shapes.owed(self.run), **usage)

    def ended(self, event: e.RunCompleted | e.RunIncomplete) -> Iterator[Json]:
        run = self.run
        yield self._event(
            "run_ended",
            status="completed",
            assistant_id=shapes.assistant_id(run.assistant),
            message_id=self._ident(),
            final_content=self._content,
            **shapes.model_of(run),
            **shapes.tokens_of(run),
            cached_input_tokens=run.usage.cached,
            cost_usd=None,
            finish_reason="length" if run.status == "incomplete" else "stop",
            memory_operation_id=run.plan.memory.operation,
            retrieved_memories=memories(run),
            retrieved_files=list(self._files),
            context_usage=shapes.context_usage(run, self._window, self._turn),
        )

    def failed(self, event: e.RunFailed | e.RunExpired) -> Iterator[Json]:
        error = _failure(self.run) or _EXPIRED
        yield self._event("run_failed", error=problems.told(error.message), code=error.code)

    def cancelled(self, event: e.RunCancelled) -> Iterator[Json]:
        yield self._event("run_cancelled")

    def _event(self, kind: str, **more: Any) -> Json:
        return {"type": kind, "thread_id": shapes.thread_id(self.run.thread), "run_id": self.run.id, **more}

    def _ident(self) -> str:
        """The message's; where none was written, that of the turn which stands in its place in the thread."""
        if self.run.status == "requires_action" and self.run.calls:
            return shapes.stub_id(self.run.calls.step)
        return str(uuid_of("message", self._message) if self._message else uuid_of("run", self.run.id))


def begun(run: Run, message: Json) -> Iterator[Json]:
    """What a stream begins with: what was said, and what the model is told beside it."""
    where = {"thread_id": shapes.thread_id(run.thread), "run_id": run.id}
    about = {"message_id": message["message_id"], "content": message["content"]}
    yield {"type": "user_message", **where, **about, "assistant_id": shapes.assistant_id(run.assistant)}
    if run.plan.memory.recalled:
        yield {"type": "memory_retrieved", **where, "memories": memories(run)}


def memories(run: Run) -> list[Json]:
    return [shapes.recalled(each) for each in run.plan.memory.recalled]


def latest(flat: Json) -> Json:
    """The message as clients up to 1.4.4 want it, inside the reply (contract 2.8)."""
    names = ("message_id", "role", "content", "created_at", "status", "attachments")
    counted = ("model_provider", "model_name", "input_tokens", "output_tokens", "total_tokens")
    return {**{name: flat[name] for name in (*names, *counted)}, "metadata_": {"run_id": flat["run_id"]}}


def _failure(run: Run) -> RunError | None:
    if run.status == "expired":
        return _EXPIRED
    return run.last_error if run.status == "failed" else None


def _status(run: Run) -> str:
    match run.status:
        case "requires_action":
            return "REQUIRES_ACTION"
        case "failed" | "expired":
            return "FAILED"
        case "cancelling" | "cancelled":
            return "CANCELLED"
        case "completed" | "incomplete":
            return "COMPLETED"
        case _:
            return "IN_PROGRESS"


_TELLERS: Final[dict[type, Callable[[Telling, Any], Iterator[Json]]]] = {
    e.ReasoningAdded: Telling.reasoning,
    e.MessageStarted: Telling.message_started,
    e.TextAdded: Telling.text,
    e.RefusalAdded: Telling.text,
    e.MessageEnded: Telling.message_ended,
    e.CallAdded: Telling.call_started,
    e.CallsMade: Telling.calls_made,
    e.OutputsGiven: Telling.answered,
    e.ActionRequired: Telling.action_required,
    e.RunCompleted: Telling.ended,
    e.RunIncomplete: Telling.ended,
    e.RunFailed: Telling.failed,
    e.RunExpired: Telling.failed,
    e.RunCancelled: Telling.cancelled,
}
