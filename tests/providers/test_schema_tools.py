"""Tools for a model that has none: the schema it is held to, and its JSON read as text or a call."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.upstream import FakeUpstream, saying, streamed
from providers.conftest import Make, asking, batches_of, end_of, news_of, text_of
from respun.core.chat import (
    AssistantMessage,
    CalledFunction,
    ChatFunction,
    ChatTool,
    ChatToolCall,
    ModelError,
    ModelRequest,
    NamedFunction,
    NamedTool,
    SystemMessage,
    ToolCallDelta,
    ToolMessage,
    UserMessage,
)
from respun.providers.json_turn import Called, TurnReader
from respun.providers.schema_tools import SchemaTools, adapt

PLACE = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
LOOK = ChatTool(ChatFunction("look", "Looks.", PLACE))
LISTEN = ChatTool(ChatFunction("listen"))
TOOLS = (LOOK, LISTEN)
NAMED = NamedTool(NamedFunction("listen"))


def read(text: str, cuts: list[int]) -> tuple[list[str], Called | None]:
    reader = TurnReader({"look"})
    edges = [0, *sorted(cuts), len(text)]
    pieces = [reader.feed(text[a:b]) for a, b in pairwise(edges)]
    return [*pieces, reader.finish(whole=True)], reader.call


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\/\n\U0001f642{}'), max_size=60)


@given(TEXTS, st.booleans(), st.sampled_from([None, 2]), st.data())
def test_a_reply_in_any_pieces_is_the_text(text: str, escaped: bool, indent: int | None, data: st.DataObject) -> None:
    written = json.dumps({"reply": text}, ensure_ascii=escaped, indent=indent)
    cuts = data.draw(st.lists(st.integers(0, len(written)), max_size=8))
    pieces, call = read(written, cuts)
    assert ("".join(pieces), call) == (text, None)


@given(st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=3), st.booleans(), st.data())
def test_a_call_in_any_pieces_is_the_call(arguments: dict[str, Any], first: bool, data: st.DataObject) -> None:
    call = {"tool": "look", "arguments": arguments}
    written = json.dumps(call if first else dict(reversed(call.items())))
    pieces, called = read(written, data.draw(st.lists(st.integers(0, len(written)), max_size=8)))
    assert "".join(pieces) == ""
    assert called is not None
    assert (called.name, json.loads(called.arguments)) == ("look", arguments)


@given(st.text(max_size=80) | st.text('{}"\\u0dD8replyto: ', max_size=80), st.data())
def test_no_text_breaks_the_reader(written: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(written)), max_size=5))
    whole = "".join(read(written, [])[0])
    assert "".join(read(written, cuts)[0]) == whole


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("Just words, {not} JSON.", "Just words, {not} JSON."),
        ('```json\n{"reply": "In a fence."}\n```', "In a fence."),
        ('{"reply": "lone \\ud83d here"}', "lone \ufffd here"),
        ('{"reply": "\\ude42 and \\ud83d"}', "\ufffd and \ufffd"),
        ('{"reply": "odd \\q \\uZZ"}', "odd q \ufffdZZ"),
        ('{"reply": "cut', "cut"),
        ('{"reply": {"a": 1}}', '{"a":1}'),
        ('{"tool": "nobody", "arguments": {}}', '{"tool":"nobody","arguments":{}}'),
        ('{"broken": ', '{"broken": '),
    ],
)
def test_odd_answers_still_give_their_text(written: str, text: str) -> None:
    for cuts in ([], list(range(len(written)))):
        pieces, call = read(written, cuts)
        assert ("".join(pieces), call) == (text, None)


def test_a_reply_comes_out_while_it_is_written() -> None:
    reader = TurnReader(())
    assert [reader.feed(piece) for piece in ('{"rep', 'ly":"He', "llo", "\\ud83d", "\\ude", "42!", '"}')] == [
        "", "He", "llo", "", "", "\U0001f642!", "",
    ]  # fmt: skip


def forms_of(request: ModelRequest) -> list[dict[str, Any]]:
    """The properties of each form the answer may have."""
    wish = adapt(request).request.response_format
    assert wish is not None
    schema = wish["json_schema"]["schema"]
    return [form["properties"] for form in schema.get("oneOf", [schema])]


@pytest.mark.parametrize(
    ("choice", "tools", "reply"),
    [
        (None, ["look", "listen"], True),
        ("auto", ["look", "listen"], True),
        ("required", ["look", "listen"], False),
        (NAMED, ["listen"], False),
    ],
)
def test_the_choice_of_tools_is_the_choice_of_forms(choice: Any, tools: list[str], reply: bool) -> None:
    forms = forms_of(asking(tools=TOOLS, tool_choice=choice))
    assert [form["tool"]["const"] for form in forms if "tool" in form] == tools
    assert any("reply" in form for form in forms) == reply


@pytest.mark.parametrize("choice", ["none", "auto", None])
def test_a_model_too_small_to_decide_is_asked_in_plain_words(choice: Any) -> None:
    adapted = adapt(asking(tools=TOOLS, tool_choice=choice), "directed")
    assert adapted.request == asking()
    assert not adapted.names


def test_a_model_too_small_to_decide_still_calls_what_it_must() -> None:
    assert adapt(asking(tools=TOOLS, tool_choice="required"), "directed").names == {"look", "listen"}


def test_definitions_move_to_where_references_look() -> None:
    schema = {
        "type": "object",
        "properties": {"p": {"$ref": "#/$defs/P"}},
        "$defs": {"P": {"items": [{"$ref": "#/$defs/P"}]}},
    }
    wish = adapt(asking(tools=(ChatTool(ChatFunction("f", None, schema)),))).request.response_format
    assert wish is not None
    whole = wish["json_schema"]["schema"]
    assert whole["oneOf"][0]["properties"]["arguments"]["properties"]["p"] == {"$ref": "#/$defs/tool0_P"}
    assert whole["$defs"] == {"tool0_P": {"items": [{"$ref": "#/$defs/tool0_P"}]}}


def test_a_wished_schema_becomes_the_form_of_the_reply() -> None:
    wish = {"type": "json_schema", "json_schema": {"name": "n", "schema": PLACE}}
    assert forms_of(asking(tools=TOOLS, response_format=wish))[-1] == {"reply": PLACE}


def test_the_system_text_lists_the_tools_and_keeps_the_callers_instructions() -> None:
    request = ModelRequest("m", (SystemMessage("Be kind."), UserMessage("Hi")), tools=TOOLS)
    first, *rest = adapt(request).request.messages
    assert isinstance(first, SystemMessage)
    assert first.content.startswith("Be kind.\n\nYou can call these tools:\n- look: Looks. Arguments: {")
    assert '{"tool":"look","arguments":{"at":"..."}}' in first.content
    assert '{"reply": ' in first.content
    assert rest == [UserMessage("Hi")]


def test_earlier_calls_and_outputs_become_plain_messages() -> None:
    calls = (ChatToolCall("c1", CalledFunction("look", '{"at":"x"}')), ChatToolCall("c2", CalledFunction("listen", "")))
    history = (
        UserMessage("Look and listen."),
        AssistantMessage("Well.", calls),
        ToolMessage("c1", "a tree"),
        ToolMessage("c2", "wind"),
        AssistantMessage("A tree in the wind."),
    )
    assert adapt(ModelRequest("m", history)).request.messages == (
        UserMessage("Look and listen."),
        AssistantMessage('Well.\n{"tool": "look", "arguments": {"at":"x"}}\n{"tool": "listen", "arguments": {}}'),
        UserMessage("The tool look answered:\na tree\n\nThe tool listen answered:\nwind"),
        AssistantMessage("A tree in the wind."),
    )


async def test_over_the_wire_a_reply_streams_and_a_call_is_a_call(provider_of: Make, upstream: FakeUpstream) -> None:
    adapter = SchemaTools(provider_of(), new_call_id=lambda: "c9")
    upstream.script = [streamed(*saying('{"reply": "Hel', 'lo."}'))]
    news = await news_of(adapter, asking(tools=TOOLS))
    assert (text_of(news), end_of(news).reason) == ("Hello.", "stop")
    assert "tools" not in upstream.received[0].json
    upstream.script = [streamed(*saying('{"tool": "look", "argu', 'ments": {"at": "x"}}'))]
    news = await news_of(adapter, asking(tools=TOOLS))
    assert news[0] == ToolCallDelta(0, "c9", "look", '{"at":"x"}')
    assert end_of(news).reason == "tool_calls"
    assert end_of(news).usage is not None


async def test_a_call_that_was_cut_by_the_limit_is_no_call(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [streamed(*saying('{"tool": "look", "argu', finish="length"))]
    news = await news_of(SchemaTools(provider_of()), asking(tools=TOOLS))
    assert [end_of(news)] == news
    assert end_of(news).reason == "length"


async def test_a_model_that_calls_nothing_it_must_is_an_error(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [streamed(*saying('{"tool": "nobody", "arguments": {}}'))]
    with pytest.raises(ModelError, match="called none of the tools it had to"):
        await news_of(SchemaTools(provider_of()), asking(tools=TOOLS, tool_choice="required"))


async def test_without_tools_everything_passes_through(provider_of: Make, upstream: FakeUpstream) -> None:
    upstream.script = [streamed(*saying('{"reply": "as it is"}'))]
    batches = await batches_of(SchemaTools(provider_of()), asking())
    assert text_of([each for batch in batches for each in batch]) == '{"reply": "as it is"}'
