"""Events: facts about a run, numbered from 1, stored and streamed. The run is their fold, a stream their rendering.

Ids of messages and steps are in the events, so that whoever reads them again sees the same ids. Times are Unix
seconds.
"""

from msgspec import Struct

from respun.core.assistants import Metadata
from respun.core.runs import Plan, RunError, TokenLimit, ToolKind
from respun.core.threads import IncompleteReason, Part
from respun.core.usage import Usage


class Event(Struct, frozen=True, tag_field="e"):
    pass


class RunCreated(Event, tag="created"):
    """`with_thread`: the thread was made by the same call, which a stream shows first."""

    at: float
    run: str
    thread: str
    assistant: str
    expires_at: float
    plan: Plan
    metadata: Metadata = {}
    with_thread: bool = False


class RunQueued(Event, tag="queued"):
    at: float


class RunStarted(Event, tag="started"):
    at: float


class MessageStarted(Event, tag="message"):
    at: float
    message: str
    step: str


class TextAdded(Event, tag="t"):
    text: str


class RefusalAdded(Event, tag="r"):
    text: str


class MessageEnded(Event, tag="message_end"):
    """The whole content, so that what is stored does not depend on how it was streamed."""

    at: float
    content: tuple[Part, ...]
    reason: IncompleteReason | None = None
    usage: Usage | None = None


class CallsStarted(Event, tag="calls"):
    at: float
    step: str


class CallAdded(Event, tag="call"):
    """The call at the next index of the open step."""

    call: str
    kind: ToolKind
    name: str


class ArgumentsAdded(Event, tag="a"):
    index: int
    text: str


class CallsMade(Event, tag="calls_made"):
    """The model has finished asking; what it asked for is owed from now on."""

    at: float
    usage: Usage


class ActionRequired(Event, tag="action"):
    at: float


class Output(Struct, frozen=True):
    call: str
    output: str
    details: dict[str, object] | None = None


class OutputsGiven(Event, tag="outputs"):
    """Outputs of owed calls. The step ends with the last of them."""

    at: float
    outputs: tuple[Output, ...]


class TurnEnded(Event, tag="turn_end"):
    """A model call that left neither message nor calls: only its usage counts."""

    usage: Usage


class RunCompleted(Event, tag="completed"):
    at: float


class RunFailed(Event, tag="failed"):
    at: float
    error: RunError


class RunIncomplete(Event, tag="incomplete"):
    at: float
    limit: TokenLimit


class RunCancelling(Event, tag="cancelling"):
    at: float


class RunCancelled(Event, tag="cancelled"):
    at: float


class RunExpired(Event, tag="expired"):
    at: float


class RunResumed(Event, tag="resumed"):
    """Another worker took over. `skipped` numbers were perhaps shown but never stored; they are not used again."""

    at: float
    skipped: int


AnyEvent = (
    RunCreated
    | RunQueued
    | RunStarted
    | MessageStarted
    | TextAdded
    | RefusalAdded
    | MessageEnded
    | CallsStarted
    | CallAdded
    | ArgumentsAdded
    | CallsMade
    | ActionRequired
    | OutputsGiven
    | TurnEnded
    | RunCompleted
    | RunFailed
    | RunIncomplete
    | RunCancelling
    | RunCancelled
    | RunExpired
    | RunResumed
)
