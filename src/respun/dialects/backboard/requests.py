"""Fields of requests -> what the workspace takes (contract 2.2, 2.4). Everything untyped ends here."""

from datetime import datetime
from typing import Any, Final, cast, get_args

import msgspec
from msgspec import UNSET, Struct

from respun.core.assistants import (
    Assistant,
    Effort,
    Function,
    FunctionTool,
    JsonObjectFormat,
    Metadata,
    Tool,
)
from respun.core.drafts import AssistantChanges, AssistantDraft, MessageDraft, RunDraft
from respun.core.events import Output
from respun.core.memories import MemoryMode, MemorySettings, MemoryUse
from respun.core.problems import Problem
from respun.core.threads import Text
from respun.dialects.backboard.answers import Call, ident
from respun.dialects.backboard.fields import Fields, Upload
from respun.dialects.backboard.problems import Invalid, Issue, missing
from respun.workspace.conversations import Address

TIMESTAMP: Final = "custom_timestamp"

_MODES: Final[dict[str, MemoryMode]] = {
    "auto": "auto",
    "on": "auto",
    "readonly": "readonly",
    "off": "off",
    "false": "off",
    "none": "off",
    "": "off",
}
_EFFORTS: Final = frozenset(get_args(Effort))
# Thinking tokens up to which an effort is meant, where a budget is given in its place.
_BUDGETS: Final[tuple[tuple[int, Effort], ...]] = ((2048, "low"), (8192, "medium"))
_MEDIA: Final = ("image_generation", "video_generation")
_MOST_PAIRS: Final = 16
_LONGEST_KEY: Final = 64
_LONGEST_VALUE: Final = 512


class MessageRequest(Struct, frozen=True):
    """What is said where, and how it is to be answered. `warnings` tell what was asked for and isn't done."""

    where: Address
    draft: MessageDraft
    run: RunDraft
    stream: bool = False
    answered: bool = True
    uploads: tuple[Upload, ...] = ()
    warnings: tuple[str, ...] = ()


class OutputsRequest(Struct, frozen=True):
    outputs: tuple[Output, ...]
    stream: bool = False


class Paging(Struct, frozen=True):
    skip: int = 0
    limit: int = 100


def paging(query: Fields, most: int = 200) -> Paging:
    skip, limit = query.integer("skip", 0, 10_000), query.integer("limit", 1, most)
    return Paging(skip or 0, 100 if limit is None else limit)


def assistant(given: Fields, model: str) -> AssistantDraft:
    """`description` and `system_prompt` are two names of the prompt, unless both are given."""
    description, prompt = given.text("description"), given.text("system_prompt")
    return AssistantDraft(
        model=named_model(given.text("llm_provider"), given.text("llm_model_name", "model_name")) or model,
        name=given.required("name", most=255),
        description=description,
        instructions=description if prompt is None else prompt,
        tools=tools(given) or (),
        passages=given.integer("tok_k", 1, 100),
        memory=MemorySettings(
            extraction_prompt=given.text("custom_fact_extraction_prompt") or None,
            update_prompt=given.text("custom_update_memory_prompt") or None,
        ),
    )


def assistant_changes(given: Fields, before: Assistant) -> AssistantChanges:
    described, prompt = given.text("description"), given.text("system_prompt")
    alias = before.description is None or before.instructions in (None, before.description)
    if prompt is None and described is not None and alias:
        prompt = described
    functions = tools(given)
    hosted = tuple(tool for tool in before.tools if not isinstance(tool, FunctionTool))
    passages = given.integer("tok_k", 1, 100)
    return AssistantChanges(
        name=given.required("name", most=255) if "name" in given else UNSET,
        description=UNSET if described is None else described,
        instructions=UNSET if prompt is None else prompt,
        tools=UNSET if functions is None else (*functions, *hosted),
        passages=UNSET if passages is None else passages,
        memory=_memory_settings(given, before.memory),
    )


def message(call: Call, given: Fields) -> MessageRequest:
    thread = call.param("thread_id") if "thread_id" in call.params else given.text("thread_id")
    assistant = given.text("assistant_id")
    content = given.text("content") or ""
    _refuse_media(given)
    uploads = tuple(each for each in given.uploads if each.field in ("files", "file"))
    if not content and not uploads:
        raise Invalid(missing("body", "content"))
    metadata = given.object("metadata") or {}
    functions = tools(given)
    return MessageRequest(
        where=Address(
            ident("thread", thread, "body", "thread_id") if thread else None,
            ident("assistant", assistant, "body", "assistant_id") if assistant else None,
        ),
        draft=_draft(content, metadata),
        run=RunDraft(
            assistant="",
            model=named_model(
                given.text("llm_provider", "provider", "model_provider"), given.text("model_name", "model")
            ),
            instructions=given.text("system_prompt") or None,
            tools=functions,
            reasoning_effort=_effort(given),
            response_format=JsonObjectFormat() if given.flag("json_output") and not functions else None,
            memory=_memory(given, metadata),
        ),
        stream=given.flag("stream"),
        answered=given.flag("send_to_llm", default=True),
        uploads=uploads,
        warnings=_warnings(given),
    )


def outputs(given: Fields, query: Fields) -> OutputsRequest:
    listed = given.array("tool_outputs")
    if listed is None:
        raise Invalid(missing("body", "tool_outputs"))
    if not listed:
        raise given.issue("tool_outputs", "List should have at least 1 item", "too_short")
    taken = tuple(_output(each, index) for index, each in enumerate(listed))
    return OutputsRequest(taken, query.flag("stream") or given.flag("stream"))


def tools(given: Fields) -> tuple[Tool, ...] | None:
    listed = given.array("tools")
    return None if listed is None else tuple(_tool(each, index) for index, each in enumerate(listed))


def named_model(provider: str | None, name: str | None) -> str | None:
    """The name that routes know. OpenAI's models go by their bare names there."""
    if not name:
        return None
    if not provider or provider.lower() == "openai" or name.startswith(f"{provider}/"):
        return name
    return f"{provider}/{name}"


def _memory_settings(given: Fields, before: MemorySettings) -> MemorySettings:
    extraction, update = given.text("custom_fact_extraction_prompt"), given.text("custom_update_memory_prompt")
    return msgspec.structs.replace(
        before,
        extraction_prompt=before.extraction_prompt if extraction is None else extraction or None,
        update_prompt=before.update_prompt if update is None else update or None,
    )


def _memory(given: Fields, metadata: dict[str, Any]) -> MemoryUse | None:
    """None where nothing was said about it: the assistant's settings then hold."""
    lite, pro = _mode(given, "memory"), _mode(given, "memory_pro")
    if lite not in (None, "off") and pro not in (None, "off"):
        raise Problem("'memory' and 'memory_pro' can't be combined. Send one of them.")
    mode = pro if pro not in (None, "off") else lite
    if mode is None:
        return None
    user = metadata.get("user_id")
    return MemoryUse(
        mode=mode,
        user=str(user) if user is not None else None,
        careful=pro not in (None, "off"),
        cite=given.flag("memory_response_citation") or given.flag("memory_citation"),
    )


def _mode(given: Fields, name: str) -> MemoryMode | None:
    word = given.text(name)
    if word is None:
        return None
    mode = _MODES.get(word.lower())
    if mode is None:
        raise given.issue(name, "Input should be 'Auto', 'Readonly' or 'off'", "enum")
    return mode


def _draft(content: str, metadata: dict[str, Any]) -> MessageDraft:
    _check_timestamp(metadata)
    plain = _plain(metadata)
    original = None if plain == metadata else metadata
    return MessageDraft("user", (Text(content),), metadata=plain, original=original)


def _plain(metadata: dict[str, Any]) -> Metadata:
    """As much of it as metadata holds that other dialects know: few short strings."""
    texts = {name: value if isinstance(value, str) else _json(value) for name, value in metadata.items()}
    fitting = [
        (name, text) for name, text in texts.items() if len(name) <= _LONGEST_KEY and len(text) <= _LONGEST_VALUE
    ]
    return dict(fitting[:_MOST_PAIRS])


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _check_timestamp(metadata: dict[str, Any]) -> None:
    given = metadata.get(TIMESTAMP)
    if given is None:
        return
    try:
        datetime.fromisoformat(given)
    except (TypeError, ValueError):
        issue = Issue(
            ("body", "metadata", TIMESTAMP), "Input should be a date and time in ISO 8601", "datetime_parsing"
        )
        raise Invalid(issue) from None


def _effort(given: Fields) -> Effort | None:
    thinking = given.object("thinking")
    if not thinking:
        return None
    effort, budget = thinking.get("effort"), thinking.get("budget_tokens")
    if effort is not None:
        if effort not in _EFFORTS:
            raise given.issue("thinking", "'effort' should be 'low', 'medium' or 'high'", "enum")
        return cast(Effort, effort)
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 0:
        raise given.issue("thinking", "Give 'effort' or, as a number, 'budget_tokens'")
    return next((effort for most, effort in _BUDGETS if budget <= most), "high")


def _tool(given: Any, index: int) -> FunctionTool:
    where = ("body", "tools", index)
    function = given.get("function") if isinstance(given, dict) else None
    if not isinstance(function, dict):
        raise Invalid(missing(*where, "function"))
    if given.get("type", "function") != "function":
        raise Invalid(Issue((*where, "type"), "Input should be 'function'", "enum"))
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise Invalid(missing(*where, "function", "name"))
    try:
        return FunctionTool(msgspec.convert(function, Function))
    except msgspec.ValidationError as fault:
        raise Invalid(Issue((*where, "function"), str(fault), "value_error")) from None


def _output(given: Any, index: int) -> Output:
    where = ("body", "tool_outputs", index)
    call = given.get("tool_call_id") if isinstance(given, dict) else None
    if not isinstance(call, str):
        raise Invalid(missing(*where, "tool_call_id"))
    output = given.get("output")
    if not isinstance(output, str):
        raise Invalid(Issue((*where, "output"), "Input should be a valid string", "string_type"))
    return Output(call, output)


def _refuse_media(given: Fields) -> None:
    for name in _MEDIA:
        if (given.text(name) or "off").lower() not in ("off", "false", "none"):
            raise _no_media(name)
    if (given.text("operation") or "chat") != "chat":
        raise _no_media("operation")
    if given.object("voice") or any(each.field == "audio_file" for each in given.uploads):
        raise Problem("This server has no voice: 'voice' and 'audio_file' can't be used. Send text in 'content'.")
    if given.object("system_one"):
        raise Problem("This server does not answer typed questions: 'system_one' can't be used. Ask in 'content'.")


def _no_media(name: str) -> Problem:
    return Problem(f"This server makes no images or videos: '{name}' can't be used. Leave it out, or send 'off'.")


def _warnings(given: Fields) -> tuple[str, ...]:
    if (given.text("web_search") or "off").lower() == "off":
        return ()
    return ("web_search: this server does not search the web; the answer was made without it.",)
