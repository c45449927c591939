"""Histories of runs: inputs decided one after another, as an engine would, with time and ids that count up."""

from collections.abc import Iterable, Sequence

from respun.core.assistants import CodeInterpreterTool, FileSearchTool, Function, FunctionTool, Tool
from respun.core.events import AnyEvent, RunCreated
from respun.core.fold import begin, evolve
from respun.core.ids import Kind, prefix_of
from respun.core.machine import Input, decide
from respun.core.runs import Plan, Run

WEATHER = FunctionTool(Function("weather"))
TIME = FunctionTool(Function("time"))
SEARCH = FileSearchTool()
PYTHON = CodeInterpreterTool()
EXPIRES_AT = 600.0


class Counting:
    """Time that moves a second a look, and ids that count."""

    def __init__(self) -> None:
        self.looks = 0
        self.made = 0

    @property
    def now(self) -> float:
        self.looks += 1
        return float(self.looks)

    def id(self, kind: Kind) -> str:
        self.made += 1
        return f"{prefix_of(kind)}{self.made}"


class History:
    """A run and everything that happened to it."""

    def __init__(self, plan: Plan | None = None, fresh: Counting | None = None) -> None:
        self.fresh = fresh or Counting()
        plan = plan or planned(WEATHER, TIME)
        created = RunCreated(self.fresh.now, "run_1", "thread_1", "asst_1", EXPIRES_AT, plan, {"kept": "yes"})
        self.run: Run = begin(created)
        self.events: list[AnyEvent] = [created]
        self.before: list[Run] = []
        """The run as it was before each event but the first."""

    def take(self, *inputs: Input) -> list[AnyEvent]:
        """What followed from these inputs."""
        known = len(self.events)
        for given in inputs:
            for event in decide(self.run, given, self.fresh):
                self.before.append(self.run)
                self.run = evolve(self.run, event)
                self.events.append(event)
        return self.events[known:]

    def changes(self) -> Iterable[tuple[Run, AnyEvent]]:
        return zip(self.before, self.events[1:], strict=True)


def planned(*tools: Tool, max_turns: int = 50, limits: Sequence[int | None] = (None, None)) -> Plan:
    prompt, completion = limits
    return Plan(
        model="scripted",
        tools=tools,
        max_turns=max_turns,
        max_prompt_tokens=prompt,
        max_completion_tokens=completion,
    )
