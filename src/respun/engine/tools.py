"""Hosted tools: offered to the model as functions of their own name, called by us, told back as text.

What a tool raises is told to the model as the tool's failure, so that it can do without; a run never ends by it.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from respun import telemetry
from respun.core import chat
from respun.core.assistants import CodeInterpreterTool, FileSearchTool, FunctionTool, Tool
from respun.core.events import Output
from respun.core.problems import Problem
from respun.core.runs import Run, RunError, Step, ToolCall, ToolKind
from respun.engine.annotate import FILES, Source

log: Final = telemetry.log("engine")

_FURTHER_CALL: Final = 1000
_OTHER_BRACKETS: Final = str.maketrans("【】", "[]")
_LONGEST_NAME: Final = 120
_KINDS: Final[dict[type, ToolKind]] = {
    CodeInterpreterTool: "code_interpreter",
    FileSearchTool: "file_search",
    FunctionTool: "function",
}


def kind_of(tool: Tool) -> ToolKind:
    return _KINDS[type(tool)]


class EndsRun(Exception):
    """A tool found what the run can't go on with."""

    def __init__(self, error: RunError) -> None:
        super().__init__(error.message)
        self.error = error


class HostedTool(Protocol):
    """One kind of tool that this server answers."""

    async def missing(self) -> str | None:
        """Why it can't be served on this machine, as a sentence; None if it can."""
        ...

    def offer(self, run: Run) -> chat.ChatTool:
        """How the model is told of it; its function bears the name of the kind."""
        ...

    async def call(self, project: str, run: Run, call: ToolCall) -> Output:
        """Answer a call. Raises Problem with a sentence for the model, or `EndsRun`."""
        ...


class Tools:
    """The hosted tools of a server, by kind."""

    def __init__(
        self, tools: Mapping[ToolKind, HostedTool] | None = None, absent: Mapping[ToolKind, str] | None = None
    ) -> None:
        """`absent`: why others are not there, a sentence each."""
        self._tools = dict(tools or {})
        self._absent = dict(absent or {})

    async def check(self, tools: Sequence[Tool]) -> None:
        """Raises a Problem for the first tool that this server does not serve, with the reason.

        May take seconds after a start, while it is found out what this machine can do.
        """
        for index, tool in enumerate(tools):
            kind = kind_of(tool)
            if kind != "function" and (reason := await self._missing(kind)):
                raise Problem(
                    f"This server does not serve the tool '{kind}': {reason} Take it out of the tools.",
                    param=f"tools[{index}].type",
                    code="unsupported_tool",
                )

    async def _missing(self, kind: ToolKind) -> str | None:
        if kind not in self._tools:
            return self._absent.get(kind, "there is nothing here that answers it.")
        return await self._tools[kind].missing()

    def offers(self, run: Run) -> tuple[chat.ChatTool, ...]:
        kinds = [kind_of(tool) for tool in run.plan.tools]
        return tuple(self._tools[kind].offer(run) for kind in dict.fromkeys(kinds) if kind in self._tools)

    async def answer(self, project: str, run: Run, calls: Sequence[ToolCall]) -> tuple[Output, ...]:
        """Outputs of hosted calls, in their order; those of one kind one after the other, as the model wrote them."""
        by_kind = [[call for call in calls if call.kind == kind] for kind in dict.fromkeys(call.kind for call in calls)]
        answered = await asyncio.gather(*(self._in_turn(project, run, group) for group in by_kind))
        outputs = {output.call: output for group in answered for output in group}
        return tuple(outputs[call.id] for call in calls)

    async def _in_turn(self, project: str, run: Run, calls: Iterable[ToolCall]) -> list[Output]:
        return [await self._call(project, run, call) for call in calls]

    async def _call(self, project: str, run: Run, call: ToolCall) -> Output:
        tool = self._tools.get(call.kind)
        if tool is None:
            return Output(call.id, f"The tool {call.kind} is not served here.")
        try:
            return await tool.call(project, run, call)
        except Problem as problem:
            return Output(call.id, f"Error: {problem.message}")
        except EndsRun:
            raise
        except Exception as fault:
            log.error("tool failed", cause=fault, run=run.id, tool=call.kind)
            return Output(call.id, f"Error: the tool {call.kind} failed on the server.")


def marker(turn: int, place: int, name: str) -> str:
    """What the model copies to cite the passage at this place of a turn (contract section 6, File search).

    Brackets in a name would end the marker, and a model does not copy a name without end.
    """
    return f"【{turn}:{place}†{name.translate(_OTHER_BRACKETS)[:_LONGEST_NAME]}】"


def citing_turn(turn: int, call: ToolCall, run: Run) -> int:
    """The first number of a call's markers: the turn, and far from it for further calls of the same turn."""
    calls = run.calls.calls if run.calls else ()
    return turn + _FURTHER_CALL * next((index for index, one in enumerate(calls) if one.id == call.id), 0)


def sources(steps: Iterable[Step]) -> dict[str, Source]:
    """What the text of a run may refer to, by the marker or path under which the model was shown it."""
    known: dict[str, Source] = {}
    for step in steps:
        for index, call in enumerate(step.calls):
            details: dict[str, Any] = call.details or {}
            for place, result in enumerate(details.get("results") or ()):
                known[marker(step.turn + _FURTHER_CALL * index, place, result["file_name"])] = _passage(result)
            for name, file in (details.get("files") or {}).items():
                known[FILES + name] = Source(file)
    return known


def _passage(result: dict[str, Any]) -> Source:
    quote = "".join(part.get("text", "") for part in result.get("content") or ())
    return Source(result["file_id"], quote, result.get("page"), result.get("score"))
