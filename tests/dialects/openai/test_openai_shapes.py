"""Objects and frames that a scripted run does not bring about: their fields and the order of these (contract 2, 3)."""

import json
from collections.abc import Sequence
from typing import Any

from respun.core import fold
from respun.core.assistants import (
    Assistant,
    CodeInterpreterTool,
    FileSearchOptions,
    FileSearchTool,
    HybridSearch,
    RankingOptions,
    ToolResources,
)
from respun.core.events import (
    AnyEvent,
    ArgumentsAdded,
    CallAdded,
    CallsMade,
    CallsStarted,
    MessageEnded,
    MessageStarted,
    Output,
    OutputsGiven,
    RefusalAdded,
    RunCompleted,
    RunCreated,
    RunExpired,
    RunIncomplete,
    RunQueued,
    RunResumed,
    RunStarted,
    TextAdded,
)
from respun.core.runs import NamedToolChoice, Plan, Run, RunError, Step, ToolCall, Truncation
from respun.core.threads import FileCitation, FilePath, ImageFile, Message, Refusal, Text, Thread
from respun.core.usage import Usage
from respun.dialects.openai import run_shapes, shapes
from respun.dialects.openai.events import render

CREATED = RunCreated(100.9, "run_1", "thread_1", "asst_1", 700.0, Plan("m", tools=(CodeInterpreterTool(),)))
FOUND = {"file_id": "file-1", "file_name": "a.txt", "score": 0.5, "attributes": {}, "content": [{"type": "text"}]}


def json_of(shape: object) -> Any:
    return json.loads(shapes.encode(shape))


def frames(events: Sequence[AnyEvent], content: bool = False) -> list[tuple[str, str, Any]]:
    """Id, name and data of each frame that a run with these events has."""
    shown: list[tuple[str, str, Any]] = []
    run: Run | None = None
    for event in events:
        after = fold.begin(event) if isinstance(event, RunCreated) else fold.evolve(run, event)  # type: ignore[arg-type]
        for frame in render(run, event, after, content=content).decode().split("\n\n")[:-1]:
            ident, name, data = (line.split(": ", 1)[1] for line in frame.split("\n"))
            shown.append((ident, name, json.loads(data)))
        run = after
    return shown


def test_a_run_shows_its_fields_in_the_recorded_order():
    shown = json_of(run_shapes.run(fold.begin(CREATED)))
    assert ",".join(shown) == (
        "id,object,created_at,assistant_id,thread_id,status,started_at,expires_at,cancelled_at,failed_at,completed_at,"
        "required_action,last_error,model,instructions,tools,tool_resources,metadata,temperature,top_p,"
        "reasoning_effort,max_completion_tokens,max_prompt_tokens,truncation_strategy,incomplete_details,usage,"
        "response_format,tool_choice,parallel_tool_calls"
    )
    assert shown["created_at"] == 100
    assert shown["truncation_strategy"] == {"type": "auto", "last_messages": None}
    assert (shown["tool_resources"], shown["tool_choice"], shown["response_format"]) == ({}, "auto", "auto")


def test_a_message_shows_its_fields_in_the_recorded_order():
    message = Message("msg_1", "thread_1", 5.7, "user", (Text("Hi"), ImageFile("file-1"), Refusal("No.")))
    shown = json_of(shapes.message(message))
    assert ",".join(shown) == (
        "id,object,created_at,assistant_id,thread_id,run_id,status,incomplete_details,incomplete_at,completed_at,role,"
        "content,attachments,metadata"
    )
    assert (shown["status"], shown["completed_at"], shown["incomplete_at"]) == ("completed", 5, None)
    assert shown["content"] == [
        {"type": "text", "text": {"value": "Hi", "annotations": []}},
        {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "auto"}},
        {"type": "refusal", "refusal": "No."},
    ]


def test_an_assistant_shows_defaults_where_nothing_was_given():
    ranked = FileSearchOptions(9, RankingOptions("auto", 0.5, HybridSearch(0.25, 0.75)))
    shown = json_of(
        shapes.assistant(
            Assistant(
                id="asst_1",
                created_at=5.0,
                model="m",
                tools=(FileSearchTool(ranked),),
                tool_resources=ToolResources(None, ("vs_1",)),
            )
        )
    )
    assert ",".join(shown) == (
        "id,object,created_at,name,description,model,instructions,tools,top_p,temperature,reasoning_effort,"
        "tool_resources,metadata,response_format"
    )
    assert (shown["top_p"], shown["temperature"], shown["response_format"]) == (1.0, 1.0, "auto")
    assert shown["tool_resources"] == {"file_search": {"vector_store_ids": ["vs_1"]}}
    assert shown["tools"][0]["file_search"] == {
        "max_num_results": 9,
        "ranking_options": {
            "ranker": "auto",
            "score_threshold": 0.5,
            "hybrid_search": {"embedding_weight": 0.25, "text_weight": 0.75},
        },
    }


def test_a_step_shows_search_results_with_content_only_when_asked():
    call = ToolCall("call_1", "file_search", "file_search", "{}", "text", {"results": [FOUND]})
    step = Step(
        "step_1", "run_1", "thread_1", "asst_1", 0, 5.0, "completed", calls=(call,), ended_at=6.0, expires_at=9.0
    )
    bare = json_of(run_shapes.step(step))
    (shown,) = bare["step_details"]["tool_calls"]
    assert shown["file_search"]["ranking_options"] == {"ranker": "default_2024_08_21", "score_threshold": 0.0}
    assert "content" not in shown["file_search"]["results"][0]
    assert (bare["expires_at"], bare["completed_at"], bare["type"]) == (None, 6, "tool_calls")
    (full,) = json_of(run_shapes.step(step, content=True))["step_details"]["tool_calls"]
    assert full["file_search"]["results"] == [FOUND]


def test_a_named_tool_choice_and_a_truncation_come_back_as_given():
    plan = Plan("m", tool_choice=NamedToolChoice("function", "f"), truncation=Truncation("last_messages", 3))
    shown = json_of(run_shapes.run(Run("run_1", "thread_1", "asst_1", 1.0, 2.0, plan)))
    assert shown["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert shown["truncation_strategy"] == {"type": "last_messages", "last_messages": 3}


def test_the_thread_comes_first_and_frames_show_empty_lists_of_files():
    thread = Thread("thread_1", 100.0, {"a": "b"})
    first, created, queued = frames(
        [RunCreated(100.0, "run_1", "thread_1", "asst_1", 700.0, Plan("m"), new_thread=thread)]
    )
    assert [frame[:2] for frame in (first, created, queued)] == [
        ("1.1", "thread.created"),
        ("1.2", "thread.run.created"),
        ("1.3", "thread.run.queued"),
    ]
    assert first[2]["metadata"] == {"a": "b"}
    empty = {"code_interpreter": {"file_ids": []}}
    assert first[2]["tool_resources"] == created[2]["tool_resources"] == empty


def test_queued_is_shown_once_at_creation():
    assert [frame[1] for frame in frames([CREATED, RunQueued(101.0)])] == ["thread.run.created", "thread.run.queued"]


def test_a_code_cell_streams_its_input_then_its_outputs():
    logs = {"type": "logs", "logs": "1"}
    shown = frames(
        [
            CREATED,
            RunStarted(101.0),
            CallsStarted(102.0, "step_1"),
            CallAdded("call_1", "code_interpreter", "code_interpreter"),
            ArgumentsAdded(0, '{"code":"pri'),
            ArgumentsAdded(0, 'nt(1)"}'),
            CallsMade(103.0, Usage(1, 2)),
            OutputsGiven(104.0, (Output("call_1", "1", {"outputs": [logs]}),)),
        ]
    )
    deltas = [frame[2]["delta"]["step_details"]["tool_calls"] for frame in shown if frame[1].endswith("step.delta")]
    kind = "code_interpreter"
    assert deltas == [
        [{"index": 0, "id": "call_1", "type": kind, kind: {"input": "", "outputs": []}}],
        [{"index": 0, "type": kind, kind: {"input": "pri"}}],
        [{"index": 0, "type": kind, kind: {"input": "nt(1)"}}],
        [{"index": 0, "type": kind, kind: {"outputs": [{"index": 0, **logs}]}}],
    ]
    assert shown[-1][1] == "thread.run.step.completed"
    assert shown[-1][2]["step_details"]["tool_calls"] == [
        {"id": "call_1", "type": kind, kind: {"input": "print(1)", "outputs": [logs]}}
    ]
    assert shown[-1][2]["usage"]["total_tokens"] == 3


def test_a_file_search_has_one_delta_and_its_results_in_the_end():
    events = [
        CREATED,
        RunStarted(101.0),
        CallsStarted(102.0, "step_1"),
        CallAdded("call_1", "file_search", "file_search"),
        ArgumentsAdded(0, '{"query":"x"}'),
        CallsMade(103.0, Usage(1, 2)),
        OutputsGiven(104.0, (Output("call_1", "found", {"results": [FOUND]}),)),
    ]
    names = [frame[1] for frame in frames(events)]
    assert names[-2:] == ["thread.run.step.delta", "thread.run.step.completed"]
    assert names.count("thread.run.step.delta") == 1
    with_content = frames(events, content=True)[-1][2]["step_details"]["tool_calls"][0]
    assert with_content["file_search"]["results"] == [FOUND]


def test_citations_come_with_their_marker_and_a_quote_and_end_without_one():
    notes = (FileCitation("[a]", 3, 6, "file-1"), FilePath("sandbox:/a", 6, 16, "file-2"))
    shown = frames(
        [
            CREATED,
            RunStarted(101.0),
            MessageStarted(102.0, "msg_1", "step_1"),
            TextAdded("It "),
            TextAdded("[a]", notes[:1]),
            TextAdded("sandbox:/a", notes[1:]),
            MessageEnded(103.0, (Text("It [a]sandbox:/a", notes),), usage=Usage(1, 1)),
            RunCompleted(103.0),
        ]
    )
    deltas = [frame[2]["delta"]["content"][0] for frame in shown if frame[1] == "thread.message.delta"]
    assert deltas[0] == {"index": 0, "type": "text", "text": {"value": "It ", "annotations": []}}
    (first,) = deltas[1]["text"]["annotations"]
    (second,) = deltas[2]["text"]["annotations"]
    assert first == {
        "index": 0,
        "type": "file_citation",
        "text": "[a]",
        "start_index": 3,
        "end_index": 6,
        "file_citation": {"file_id": "file-1", "quote": ""},
    }
    assert (second["index"], second["file_path"]) == (1, {"file_id": "file-2"})
    done = next(frame[2] for frame in shown if frame[1] == "thread.message.completed")
    assert done["content"][0]["text"]["annotations"][0]["file_citation"] == {"file_id": "file-1"}


def test_a_refusal_behind_text_is_a_second_block_and_text_behind_it_is_no_delta():
    shown = frames(
        [
            CREATED,
            RunStarted(101.0),
            MessageStarted(102.0, "msg_1", "step_1"),
            TextAdded("Well"),
            RefusalAdded("no"),
            TextAdded(" then"),
        ]
    )
    deltas = [frame[2]["delta"]["content"][0] for frame in shown if frame[1] == "thread.message.delta"]
    assert [delta["index"] for delta in deltas] == [0, 1]


def test_an_open_step_ends_with_its_run():
    waiting = [
        CREATED,
        RunStarted(101.0),
        CallsStarted(102.0, "step_1"),
        CallAdded("call_1", "function", "f"),
        CallsMade(103.0, Usage(1, 2)),
    ]
    expired = frames([*waiting, RunExpired(700.0)])
    assert [frame[1] for frame in expired[-2:]] == ["thread.run.step.expired", "thread.run.expired"]
    assert expired[-2][2]["expired_at"] == 700
    cut = frames([*waiting, RunIncomplete(104.0, "max_completion_tokens")])
    assert [frame[1] for frame in cut[-2:]] == ["thread.run.step.failed", "thread.run.incomplete"]
    assert cut[-1][2]["incomplete_details"] == {"reason": "max_completion_tokens"}


def test_a_step_cut_off_by_a_restart_is_shown_as_failed():
    shown = frames([CREATED, RunStarted(101.0), CallsStarted(102.0, "step_1"), RunResumed(103.0, 10)])
    ident, name, step = shown[-1]
    assert (ident, name) == ("14.1", "thread.run.step.failed")
    assert step["last_error"]["code"] == "server_error"


def test_a_text_delta_is_one_line_whatever_the_text():
    shown = frames([CREATED, RunStarted(1.0), MessageStarted(1.0, "msg_1", "step_1"), TextAdded('a\n"\u2028\\b\r')])
    assert shown[-1][2]["delta"]["content"][0]["text"]["value"] == 'a\n"\u2028\\b\r'


def test_a_step_knows_two_of_the_three_error_codes():
    step = Step("step_1", "run_1", "thread_1", "asst_1", 0, 5.0, "failed", last_error=RunError("invalid_prompt", "x"))
    assert json_of(run_shapes.step(step))["last_error"] == {"code": "server_error", "message": "x"}
