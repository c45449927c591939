"""The plan of a run: what its assistant is set to, and what the run was given in its place."""

from collections.abc import Sequence

from respun.core.assistants import Assistant, FunctionTool, Tool
from respun.core.drafts import RunDraft
from respun.core.problems import Problem
from respun.core.runs import NamedToolChoice, Plan
from respun.engine.tools import kind_of


def plan_of(assistant: Assistant, draft: RunDraft, max_turns: int) -> Plan:
    """The assistant's settings, each replaced by what the run was given (contract section 6, Inheritance).

    Raises Problem for a choice of a tool that the run does not have.
    """
    tools = assistant.tools if draft.tools is None else draft.tools
    _refuse_absent(draft.tool_choice, tools)
    instructions = assistant.instructions if draft.instructions is None else draft.instructions
    if draft.additional_instructions:
        instructions = (
            f"{instructions}\n\n{draft.additional_instructions}" if instructions else draft.additional_instructions
        )
    response_format = assistant.response_format if draft.response_format is None else draft.response_format
    return Plan(
        model=draft.model or assistant.model,
        instructions=instructions,
        tools=tools,
        tool_resources=assistant.tool_resources if draft.tool_resources is None else draft.tool_resources,
        temperature=assistant.temperature if draft.temperature is None else draft.temperature,
        top_p=assistant.top_p if draft.top_p is None else draft.top_p,
        reasoning_effort=draft.reasoning_effort or assistant.reasoning_effort,
        response_format=None if response_format == "auto" else response_format,
        tool_choice=draft.tool_choice,
        parallel_tool_calls=draft.parallel_tool_calls,
        max_prompt_tokens=draft.max_prompt_tokens,
        max_completion_tokens=draft.max_completion_tokens,
        truncation=draft.truncation,
        max_turns=max_turns,
    )


def _refuse_absent(choice: str | NamedToolChoice, tools: Sequence[Tool]) -> None:
    """A model that must call what it was not given would fail every run, or quietly not call it."""
    if choice == "required" and not tools:
        raise Problem(
            "Tool choice 'required' must be specified with 'tools' parameter. Give the run or its assistant a tool.",
            param="tool_choice",
            code="invalid_value",
        )
    if isinstance(choice, NamedToolChoice) and not any(_is(tool, choice) for tool in tools):
        named = choice.function or choice.kind
        raise Problem(
            f"Tool choice '{named}' not found in 'tools' parameter. Choose a tool of the run or of its assistant.",
            param="tool_choice",
            code="invalid_value",
        )


def _is(tool: Tool, choice: NamedToolChoice) -> bool:
    if isinstance(tool, FunctionTool):
        return choice.kind == "function" and choice.function == tool.function.name
    return choice.kind == kind_of(tool)
