"""Runs and their steps, as they stand after the events so far."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from respun.core.assistants import Effort, Metadata, ResponseFormat, Tool, ToolResources
from respun.core.code import CodeReading
from respun.core.context.strategies import Preset
from respun.core.growing import Growing
from respun.core.memories import MemoryUse
from respun.core.threads import Annotation
from respun.core.usage import Usage

RunStatus = Literal[
    "queued",
    "in_progress",
    "requires_action",
    "cancelling",
    "cancelled",
    "failed",
    "completed",
    "incomplete",
    "expired",
]
FINAL: frozenset[RunStatus] = frozenset({"cancelled", "failed", "completed", "incomplete", "expired"})
TokenLimit = Literal["max_completion_tokens", "max_prompt_tokens"]
ErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
ToolKind = Literal["function", "file_search", "code_interpreter"]


class NamedToolChoice(Struct, frozen=True):
    """The model must call this tool; `function` is its name where the kind is function."""

    kind: ToolKind
    function: str | None = None


TruncationType = Literal["auto", "last_messages", "drop_middle", "drop_oldest", "disabled"]


class Truncation(Struct, frozen=True, omit_defaults=True):
    """How a thread that does not fit is cut. `last_messages` counts messages, for the strategy of that name.

    The rest is ours, for `auto` but `max_context_tokens`, which is for all; None is what the preset or the server says.
    """

    type: TruncationType = "auto"
    last_messages: int | None = None
    preset: Preset | None = None
    recall_share: float | None = None
    recall_max_tokens: int | None = None
    window_keep: float | None = None
    fill: bool | None = None
    pins: bool | None = None
    vectors: bool | None = None
    digest: bool | None = None
    max_context_tokens: int | None = None


VectorsStatus = Literal["used", "not_needed", "not_ready", "no_model", "late", "failed"]


class Vectors(Struct, frozen=True, omit_defaults=True):
    """Whether a run's excerpts were also chosen by meaning; `upto`: places of the thread that have vectors.

    `not_needed`: the thread is short. `not_ready`: they are being made. `late`: the run did not wait for them.
    """

    status: VectorsStatus
    model: str = ""
    upto: int = 0


class DigestUse(Struct, frozen=True, omit_defaults=True):
    """Whether a summary of what was said before the window is sent; `upto`: places of the thread that it tells of.

    `usage` is what making it has taken so far, all its calls together; it is in no run's usage. `not_needed`: the
    thread fits. `not_ready`: it is being made. `too_long`: it would take too much of the room.
    """

    status: Literal["used", "not_needed", "not_ready", "too_long", "failed"]
    tokens: int = 0
    upto: int = 0
    usage: Usage = Usage()
    error: str = ""


class Context(Struct, frozen=True):
    """What a run sends of its thread, in sum. Tokens as we count them: `used` of `budget`, out of `total`.

    `start` and `cleared` are where its window begins, the `before` ones where that of the run before did
    (`core.context.selection.WindowState`). `messages` counts all that the thread has, tool calls and results too.
    """

    strategy: TruncationType
    model: str
    window: int
    budget: int
    used: int
    total: int
    messages: int
    whole: int
    clipped: int
    pinned: int
    recalled: int
    dropped: int
    start: int
    cleared: int
    ms: float
    start_before: int = 1
    cleared_before: int = 1
    vectors: Vectors | None = None
    digest: DigestUse | None = None


class GivenFile(Struct, frozen=True):
    """A file that code finds under this name in its folder."""

    id: str
    name: str


class Plan(Struct, frozen=True):
    """What one run was asked to do: assistant and overrides, frozen when the run is created.

    `code_files` are those of the assistant, the thread and its messages together, where code can be run.
    """

    model: str
    instructions: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_resources: ToolResources = ToolResources()
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: Effort | None = None
    response_format: ResponseFormat | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice = "auto"
    parallel_tool_calls: bool = True
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    truncation: Truncation = Truncation()
    max_turns: int = 50
    code_files: tuple[GivenFile, ...] | UnsetType = UNSET
    memory: MemoryUse = MemoryUse()


class RunError(Struct, frozen=True):
    code: ErrorCode
    message: str


class ToolCall(Struct, frozen=True):
    """A model's request for a tool. `output` is None while it is owed."""

    id: str
    kind: ToolKind
    name: str
    arguments: str = ""
    output: str | None = None
    details: dict[str, Any] | None = None
    """What a hosted tool leaves for the step beside its text: results, logs, images."""

    @property
    def hosted(self) -> bool:
        return self.kind != "function"


class OpenMessage(Struct, frozen=True):
    """The message being written: at most one a run."""

    id: str
    step: str
    started_at: float
    images: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    text: Growing = Growing()
    annotations: tuple[Annotation, ...] = ()
    refusal: Growing = Growing()


class WrittenCall(Struct, frozen=True):
    """A tool call that the model is still writing. `code` is read from the arguments of a code interpreter's."""

    id: str
    kind: ToolKind
    name: str
    arguments: Growing = Growing()
    code: CodeReading = CodeReading()

    @property
    def hosted(self) -> bool:
        return self.kind != "function"


class WrittenCalls(Struct, frozen=True):
    """The tool calls that the model is writing: not yet a request."""

    step: str
    started_at: float
    calls: tuple[WrittenCall, ...] = ()


class OpenCalls(Struct, frozen=True):
    """The tool calls of the turn, owed until each has its output."""

    step: str
    started_at: float
    calls: tuple[ToolCall, ...]
    usage: Usage

    @property
    def owed(self) -> tuple[ToolCall, ...]:
        return tuple(call for call in self.calls if call.output is None)


class Run(Struct, frozen=True):
    """One execution of a plan over a thread: the fold of its events up to `number`.

    `ended_at` is the time of the final status, whichever it is. `message` and `writing` are what a model call in
    progress has brought so far; they are in the events, not in the stored row. `images` and `files` were made by tools
    and wait for the next message. `unreadable` counts turns with arguments that were no JSON object.
    """

    id: str
    thread: str
    assistant: str
    created_at: float
    expires_at: float
    plan: Plan
    status: RunStatus = "queued"
    metadata: Metadata = {}
    number: int = 0
    turn: int = 0
    unreadable: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    last_error: RunError | None = None
    limit_reached: TokenLimit | None = None
    usage: Usage = Usage()
    calls: OpenCalls | None = None
    images: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    message: OpenMessage | None = None
    writing: WrittenCalls | None = None
    context: Context | None = None

    @property
    def done(self) -> bool:
        return self.status in FINAL


StepStatus = Literal["in_progress", "cancelled", "failed", "completed", "expired"]


class Step(Struct, frozen=True):
    """What a dialect shows of a turn: a message created (`message`) or tools called (`calls`)."""

    id: str
    run: str
    thread: str
    assistant: str
    turn: int
    created_at: float
    status: StepStatus = "in_progress"
    message: str | None = None
    calls: tuple[ToolCall, ...] = ()
    ended_at: float | None = None
    expires_at: float | None = None
    last_error: RunError | None = None
    usage: Usage | None = None
