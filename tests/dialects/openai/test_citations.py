"""File search in runs, by the stock SDK: the order of its stream, what steps show, and citations that can be checked."""

import json
from random import Random
from typing import Any

import pytest
from openai import OpenAI

from plugins.server import BOTH_STORES

pytestmark = [BOTH_STORES, pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")]

TEXT = "The grey heron \U0001f426 eats fish.\n\n鷺は魚を食べる。"
CONTENT = "step_details.tool_calls[*].file_search.results[*].content"
BITS = [
    "Herons eat fish",
    "\U0001f426\U0001f32e",
    "鷺は魚",
    "`code 【",
    "【",
    "】",
    "【9:9†invented.txt】",
    "\\n",
    "[1](x)",
    "【0:0†",
    "é",
]


def assistant(sdk: OpenAI, store: str, **options: Any) -> str:
    search: Any = {"type": "file_search", **({"file_search": options} if options else {})}
    resources: Any = {"file_search": {"vector_store_ids": [store]}}
    return sdk.beta.assistants.create(model="scripted", tools=[search], tool_resources=resources).id


def filled(sdk: OpenAI, *names: str) -> str:
    store = sdk.vector_stores.create().id
    sdk.vector_stores.file_batches.upload_and_poll(store, files=[(name, TEXT.encode()) for name in names])
    return store


def asked(*says: str, queries: Any = ("heron",)) -> str:
    call = f"@call file_search {json.dumps({'queries': list(queries)})}\n@then\n@pieces 1\n"
    return call + "\n".join(f"@say {line}" for line in says)


def streamed(sdk: OpenAI, helper: str, content: str, **thread: Any) -> tuple[list[Any], str]:
    made = sdk.beta.threads.create(messages=[{"role": "user", "content": content}], **thread)
    with sdk.beta.threads.runs.stream(thread_id=made.id, assistant_id=helper) as stream:
        return list(stream), made.id


def final(events: list[Any]) -> Any:
    (message,) = [each.data for each in events if each.event == "thread.message.completed"]
    return message.content[0].text


def steps(sdk: OpenAI, events: list[Any], **options: Any) -> list[Any]:
    run = events[-1].data if events[-1].event != "done" else events[-2].data
    return [each.to_dict() for each in sdk.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, **options)]


def test_a_searched_answer_streams_in_order_with_its_citation(sdk: OpenAI) -> None:
    helper = assistant(sdk, filled(sdk, "heron.txt"))
    events, _ = streamed(sdk, helper, asked("\U0001f32e Fish【0:0†heron.txt】 and 【8:8†none.txt】."))
    names = [each.event.removeprefix("thread.") for each in events]
    first = names.index("run.step.created")
    assert names[first : first + 6] == [
        "run.step.created",
        "run.step.in_progress",
        "run.step.delta",
        "run.step.completed",
        "run.step.created",
        "run.step.in_progress",
    ]
    delta = events[first + 2].data.delta.to_dict()["step_details"]["tool_calls"][0]
    ranking = {"ranker": "default_2024_08_21", "score_threshold": 0.0}
    assert delta["file_search"] == {"ranking_options": ranking, "results": []}
    text = final(events)
    (note,) = text.annotations
    assert (note.start_index, note.end_index) == (6, 6 + len("【0:0†heron.txt】"))
    assert text.value[note.start_index : note.end_index] == note.text == "【0:0†heron.txt】"
    pieces = [each.data.delta.content[0].text for each in events if each.event == "thread.message.delta"]
    assert "".join(piece.value or "" for piece in pieces) == text.value
    (cited,) = [piece for piece in pieces if piece.annotations]
    assert cited.value == note.text
    assert cited.annotations[0].file_citation.quote == ""


def test_a_citation_carries_what_it_can_be_checked_with(sdk: OpenAI) -> None:
    store = filled(sdk, "heron.txt")
    _, thread = streamed(sdk, assistant(sdk, store), asked("Fish【0:0†heron.txt】."))
    (message,) = sdk.beta.threads.messages.list(thread, limit=1).to_dict()["data"]  # type: ignore[misc]
    (note,) = message["content"][0]["text"]["annotations"]  # type: ignore[index]
    assert set(note["file_citation"]) == {"file_id"}
    assert (note["source"]["quote"], note["source"]["page"]) == (TEXT, None)
    assert 0 <= note["source"]["score"] <= 1
    (held,) = sdk.vector_stores.files.list(store).data
    assert note["file_citation"]["file_id"] == held.id


def test_steps_show_the_content_of_results_only_on_request(sdk: OpenAI) -> None:
    events, _ = streamed(sdk, assistant(sdk, filled(sdk, "heron.txt")), asked("Yes."))
    bare = steps(sdk, events)[-1]["step_details"]["tool_calls"][0]["file_search"]["results"][0]
    assert "content" not in bare
    assert (bare["file_name"], bare["attributes"]) == ("heron.txt", {})
    full = steps(sdk, events, include=[CONTENT])[-1]["step_details"]["tool_calls"][0]["file_search"]["results"][0]
    assert full["content"] == [{"type": "text", "text": TEXT}]


def test_what_the_tool_is_told_about_results_holds(sdk: OpenAI) -> None:
    store = filled(sdk, "a.txt", "b.txt", "c.txt")
    events, _ = streamed(sdk, assistant(sdk, store, max_num_results=2), asked("Yes."))
    assert len(steps(sdk, events)[-1]["step_details"]["tool_calls"][0]["file_search"]["results"]) == 2
    ranking = {"ranker": "auto", "score_threshold": 1.0}
    high = streamed(sdk, assistant(sdk, store, ranking_options=ranking), asked("Yes.", queries=("fish river",)))[0]
    shown = steps(sdk, high)[-1]["step_details"]["tool_calls"][0]["file_search"]
    assert all(each["score"] >= 1 for each in shown["results"])
    assert shown["ranking_options"] == ranking


def test_the_stores_of_assistant_and_thread_are_searched_together(sdk: OpenAI) -> None:
    resources: Any = {"file_search": {"vector_store_ids": [filled(sdk, "of-thread.txt")]}}
    helper = assistant(sdk, filled(sdk, "of-assistant.txt"))
    events, _ = streamed(sdk, helper, asked("Yes.", queries=("heron", "魚")), tool_resources=resources)
    found = steps(sdk, events)[-1]["step_details"]["tool_calls"][0]["file_search"]["results"]
    assert {each["file_name"] for each in found} == {"of-thread.txt", "of-assistant.txt"}


def test_a_run_waits_for_what_was_attached(sdk: OpenAI) -> None:
    file = sdk.files.create(file=("heron.txt", (TEXT * 300).encode()), purpose="assistants").id
    attachments: Any = [{"file_id": file, "tools": [{"type": "file_search"}]}]
    messages: Any = [{"role": "user", "content": asked("Yes【0:0†heron.txt】."), "attachments": attachments}]
    helper = sdk.beta.assistants.create(model="scripted", tools=[{"type": "file_search"}]).id
    run = sdk.beta.threads.create_and_run_poll(assistant_id=helper, thread={"messages": messages})
    (message,) = sdk.beta.threads.messages.list(run.thread_id, limit=1).data
    assert [each.text for each in message.content[0].text.annotations] == ["【0:0†heron.txt】"]  # type: ignore[union-attr]


def test_a_store_or_file_that_is_deleted_under_a_run_ends_no_run(sdk: OpenAI) -> None:
    store = filled(sdk, "heron.txt")
    helper = assistant(sdk, store)
    (held,) = sdk.vector_stores.files.list(store).data
    sdk.files.delete(held.id)
    assert final(streamed(sdk, helper, asked("Nothing【0:0†heron.txt】."))[0]).annotations == []
    sdk.vector_stores.delete(store)
    text = final(streamed(sdk, helper, asked("Still here【0:0†heron.txt】."))[0])
    assert (text.value, text.annotations) == ("Still here【0:0†heron.txt】.", [])


def test_every_marker_of_a_passage_that_was_shown_resolves(sdk: OpenAI) -> None:
    """Scripted answers by a seed: markers repeated, side by side, within code and between halves of others."""
    names = ["heron.txt", "魚 \U0001f41f.md"]
    helper = assistant(sdk, filled(sdk, *names))
    first = steps(sdk, streamed(sdk, helper, asked("Yes."))[0])[-1]["step_details"]["tool_calls"][0]["file_search"]
    markers = [f"【0:{at}†{each['file_name']}】" for at, each in enumerate(first["results"])]
    random = Random(5)
    emitted = 0
    for _ in range(20):
        lines = ["".join(random.choice(BITS + markers * 3) for _ in range(30)) for _ in range(5)]
        text = final(streamed(sdk, helper, asked(*lines))[0])
        expected = sum(text.value.count(each) for each in markers)
        assert len(text.annotations) == expected
        for note in text.annotations:
            assert text.value[note.start_index : note.end_index] == note.text
            assert note.text in markers
        emitted += expected
    assert emitted > 1000
