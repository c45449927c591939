"""What users see of it through the stock SDK: strategies echoed, the run's context, pages of it, and a dry run."""

from collections.abc import Callable
from typing import Any

import pytest
from context_world import small_talk
from openai import BadRequestError, NotFoundError, OpenAI

from plugins.server import BOTH_STORES

pytestmark = [BOTH_STORES, pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")]


@pytest.fixture
def thread(sdk: OpenAI) -> str:
    """A thread of 300 messages; the scripted model holds 8,192 tokens."""
    messages: Any = [{"role": role, "content": text} for role, text in small_talk(150)]
    messages[4]["content"] = "The alarm code of the Ghent warehouse is 7741-blue."
    messages[6]["metadata"] = {"pin": "true"}
    return sdk.beta.threads.create(messages=messages).id


@pytest.fixture
def ask(sdk: OpenAI, thread: str) -> Callable[..., Any]:
    assistant = sdk.beta.assistants.create(model="scripted", instructions="You help a shop.").id

    def run(text: str, **given: Any) -> Any:
        sdk.beta.threads.messages.create(thread, role="user", content=text)
        return sdk.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant, **given)

    return run


def test_the_sdk_keeps_the_context_of_a_run(ask: Callable[..., Any]) -> None:
    run = ask("What is the alarm code in Ghent?", truncation_strategy={"type": "auto", "max_context_tokens": 3000})
    assert run.status == "completed"
    context = run.context
    assert context["strategy"] == "auto"
    assert context["tokens_used"] <= context["budget"] == 3000 < context["tokens_thread"]
    assert context["messages"]["total"] == 301
    assert context["messages"]["pinned"] == 1
    assert context["messages"]["dropped"] > 100
    assert context["cached_tokens"] == 0


@pytest.mark.parametrize(
    "strategy",
    [
        {"type": "auto", "last_messages": None},
        {"type": "last_messages", "last_messages": 3},
        {"type": "drop_middle", "last_messages": None},
        {"type": "drop_oldest", "last_messages": None, "max_context_tokens": 900},
        {"type": "auto", "last_messages": None, "preset": "economy", "pins": False},
    ],
    ids=lambda given: "-".join(str(value) for value in given.values()),
)
def test_a_strategy_is_echoed_as_it_was_given(ask: Callable[..., Any], strategy: dict[str, Any]) -> None:
    run = ask("Hello?", truncation_strategy=strategy)
    assert run.status == "completed"
    assert run.truncation_strategy.to_dict() == strategy
    assert run.context["strategy"] == strategy["type"]


def test_a_strategy_that_there_is_not_is_refused(ask: Callable[..., Any]) -> None:
    with pytest.raises(BadRequestError) as refused:
        ask("Hello?", truncation_strategy={"type": "auto", "recall_share": 2})
    assert refused.value.param == "truncation_strategy.recall_share"


def test_the_items_of_a_context_come_in_pages(sdk: OpenAI, ask: Callable[..., Any]) -> None:
    run = ask("What is the alarm code in Ghent?", truncation_strategy={"type": "auto", "max_context_tokens": 3000})
    path = f"/threads/{run.thread_id}/runs/{run.id}/context"
    items: list[Any] = []
    page: Any = {"has_more": True, "last_id": "item_0"}
    while page["has_more"]:
        page = sdk.get(path, cast_to=object, options={"params": {"limit": 7, "after": page["last_id"]}})
        assert len(page["data"]) <= 7
        items += page["data"]
    assert page["context"]["tokens_used"] == run.context["tokens_used"]
    assert {item["kind"] for item in items} == {"pinned", "window", "recalled", "dropped"}
    places = [place for item in items for place in range(item["first"], item["last"] + 1)]
    assert set(places) == set(range(1, 302))
    recalled = {item["message_id"] for item in items if item["kind"] == "recalled"}
    texts = [sdk.beta.threads.messages.retrieve(one, thread_id=run.thread_id).content[0] for one in recalled]
    assert any("7741-blue" in text.text.value for text in texts if text.type == "text")


def test_a_dry_run_shows_what_would_be_sent(sdk: OpenAI, thread: str) -> None:
    asked = {"query": "What is the alarm code in Ghent?", "model": "scripted", "max_prompt_tokens": 2000}
    shown: Any = sdk.post(f"/threads/{thread}/context", body=asked, cast_to=object)
    assert shown["context"]["tokens_used"] <= 2000
    assert any(item["kind"] == "recalled" for item in shown["data"])
    assert sdk.beta.threads.runs.list(thread).data == []
    with pytest.raises(BadRequestError, match="Missing required parameter: 'model'"):
        sdk.post(f"/threads/{thread}/context", body={"query": "?"}, cast_to=object)


def test_a_run_that_sent_nothing_has_no_context(sdk: OpenAI, ask: Callable[..., Any]) -> None:
    run = ask("word " * 4000, max_prompt_tokens=300)
    assert run.status == "incomplete"
    assert run.incomplete_details.reason == "max_prompt_tokens"
    with pytest.raises(NotFoundError, match="has no context"):
        sdk.get(f"/threads/{run.thread_id}/runs/{run.id}/context", cast_to=object)


def test_vectors_and_digest_are_told_of(ask: Callable[..., Any], sdk: OpenAI, thread: str) -> None:
    strategy = {"type": "auto", "last_messages": None, "vectors": True, "digest": True, "max_context_tokens": 3000}
    run = ask("What is the alarm code in Ghent?", truncation_strategy=strategy)
    assert run.truncation_strategy.to_dict() == strategy
    assert run.context["vectors"]["status"] in ("not_needed", "not_ready", "no_model", "late", "used")
    assert run.context["digest"]["status"] == "not_ready"
    assert run.context["digest"]["usage"] == {"prompt_tokens": 0, "completion_tokens": 0}
    body = {"model": "scripted", "query": "Which code?", "max_prompt_tokens": 3000, "truncation_strategy": strategy}
    shown: Any = sdk.post(f"/threads/{thread}/context", body=body, cast_to=object)
    assert shown["context"]["digest"]["status"] in ("not_ready", "used")
    assert "vectors" in shown["context"]


def test_a_key_that_is_no_flag_is_refused(ask: Callable[..., Any]) -> None:
    for key in ("vectors", "digest"):
        with pytest.raises(BadRequestError) as refused:
            ask("Hello?", truncation_strategy={"type": "auto", key: "yes"})
        assert refused.value.param == f"truncation_strategy.{key}"
