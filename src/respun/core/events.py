"""Events: facts about a run, numbered from 1, stored and streamed. The run is their fold, a stream their rendering.

Ids of messages and steps are in the events, so that whoever reads them again sees the same ids. Times are Unix
seconds.
"""

from typing import Literal

from msgspec import Struct

from respun.core.assistants import Metadata
from respun.core.runs import Context, Plan, RunError, TokenLimit, ToolKind
from respun.core.threads import Annotation, IncompleteReason, Message, Part, Thread
from respun.core.usage import Usage


class RunCreated(Struct, frozen=True, tag_field="e", tag="created"):
    """`new_thread`: made by the same call; a stream shows it first.

    `messages` join the thread when the turn of a run comes that had to wait; no other run sees them before.
    """

    at: float
    run: str
    thread: str
    assistant: str
    expires_at: float
    plan: Plan
    metadata: Metadata = {}
    new_thread: Thread | None = None
    messages: tuple[Message, ...] = ()


class RunQueued(Struct, frozen=True, tag_field="e", tag="queued"):
    at: float


class RunStarted(Struct, frozen=True, tag_field="e", tag="started"):
    at: float


class ContextItem(Struct, frozen=True, omit_defaults=True):
    """Messages `first` to `last` by their places in the thread, one or several in a row.

    `of` is what they would cost whole, `tokens` what is sent of them. `source`: the id of the message, or of the step
    whose tool call or result it is; `to`: the same of the last of several. `parts`: characters from and to.
    """

    kind: Literal["pinned", "digest", "window", "recalled", "dropped"]
    first: int
    last: int
    tokens: int = 0
    of: int = 0
    source: str = ""
    to: str = ""
    role: str = ""
    parts: tuple[tuple[int, int], ...] = ()
    reason: str = ""


class ContextChosen(Struct, frozen=True, tag_field="e", tag="context"):
    """What the run sends of its thread, from now to its end or to the next of these events."""

    at: float
    context: Context
    items: tuple[ContextItem, ...]


class MessageStarted(Struct, frozen=True, tag_field="e", tag="message", omit_defaults=True):
    """`images` and `files` were made by tools before: the message shows the ones and is attached the others."""

    at: float
    message: str
    step: str
    images: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class TextAdded(Struct, frozen=True, tag_field="e", tag="t", omit_defaults=True):
    """Annotations are about this text; their places count from the beginning of the message's text."""

    text: str
    annotations: tuple[Annotation, ...] = ()


class RefusalAdded(Struct, frozen=True, tag_field="e", tag="r"):
    text: str


class ReasoningAdded(Struct, frozen=True, tag_field="e", tag="k"):
    """What a model thinks aloud before it answers. It is no part of the message."""

    text: str


class MessageEnded(Struct, frozen=True, tag_field="e", tag="message_end"):
    """The whole content, so that what is stored does not depend on how it was streamed."""

    at: float
    content: tuple[Part, ...]
    reason: IncompleteReason | None = None
    error: RunError | None = None
    usage: Usage | None = None


class CallsStarted(Struct, frozen=True, tag_field="e", tag="calls"):
    at: float
    step: str


class CallAdded(Struct, frozen=True, tag_field="e", tag="call"):
    """The call at the next index of the open step."""

    call: str
    kind: ToolKind
    name: str


class ArgumentsAdded(Struct, frozen=True, tag_field="e", tag="a"):
    index: int
    text: str


class CallsMade(Struct, frozen=True, tag_field="e", tag="calls_made"):
    """The model has finished asking; what it asked for is owed from now on."""

    at: float
    usage: Usage


class ActionRequired(Struct, frozen=True, tag_field="e", tag="action"):
    at: float


class Output(Struct, frozen=True, omit_defaults=True):
    """`output` is what the model is told; `details` what the step shows; `images` and `files` are ids of new files.

    `unreadable`: the arguments were no JSON object, so nobody was asked.
    """

    call: str
    output: str
    details: dict[str, object] | None = None
    images: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    unreadable: bool = False


class OutputsGiven(Struct, frozen=True, tag_field="e", tag="outputs"):
    """Outputs of owed calls. The step ends with the last of them."""

    at: float
    outputs: tuple[Output, ...]


class RunCompleted(Struct, frozen=True, tag_field="e", tag="completed"):
    at: float


class RunFailed(Struct, frozen=True, tag_field="e", tag="failed"):
    at: float
    error: RunError


class RunIncomplete(Struct, frozen=True, tag_field="e", tag="incomplete"):
    at: float
    limit: TokenLimit


class RunCancelling(Struct, frozen=True, tag_field="e", tag="cancelling"):
    at: float


class RunCancelled(Struct, frozen=True, tag_field="e", tag="cancelled"):
    at: float


class RunExpired(Struct, frozen=True, tag_field="e", tag="expired"):
    at: float


class RunResumed(Struct, frozen=True, tag_field="e", tag="resumed"):
    """Another worker took over. `skipped` numbers were perhaps shown but never stored; they are not used again."""

    at: float
    skipped: int


AnyEvent = (
    RunCreated
    | RunQueued
    | RunStarted
    | ContextChosen
    | MessageStarted
    | TextAdded
    | RefusalAdded
    | ReasoningAdded
    | MessageEnded
    | CallsStarted
    | CallAdded
    | ArgumentsAdded
    | CallsMade
    | ActionRequired
    | OutputsGiven
    | RunCompleted
    | RunFailed
    | RunIncomplete
    | RunCancelling
    | RunCancelled
    | RunExpired
    | RunResumed
)
