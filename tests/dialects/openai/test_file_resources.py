"""Files that assistants, threads and messages name: they exist, stores are made for them, attachments are kept."""

from collections.abc import Callable
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from plugins.server import BOTH_STORES

pytestmark = [BOTH_STORES, pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")]

SEARCH: Any = [{"type": "file_search"}]
CODE: Any = [{"type": "code_interpreter"}]
DAYS_7 = 7 * 86_400


def put(sdk: OpenAI, text: str = "Herons eat fish.", name: str = "heron.txt") -> str:
    return sdk.files.create(file=(name, text.encode()), purpose="assistants").id


def attached(sdk: OpenAI, thread: str, tools: Any, *files: str) -> None:
    attachments: Any = [{"file_id": file, "tools": tools} for file in files]
    sdk.beta.threads.messages.create(thread, role="user", content="Look", attachments=attachments)


def resources(sdk: OpenAI, thread: str) -> Any:
    return sdk.beta.threads.retrieve(thread).to_dict()["tool_resources"]


def test_a_thread_makes_a_store_of_files_that_lives_for_seven_days(sdk: OpenAI) -> None:
    wanted: Any = {"file_search": {"vector_stores": [{"file_ids": [put(sdk)], "metadata": {"a": "b"}}]}}
    thread = sdk.beta.threads.create(tool_resources=wanted)
    (ident,) = resources(sdk, thread.id)["file_search"]["vector_store_ids"]
    store = sdk.vector_stores.retrieve(ident)
    assert (store.file_counts.total, store.metadata) == (1, {"a": "b"})
    assert store.expires_at == store.last_active_at + DAYS_7


def test_an_assistants_store_lives_on(sdk: OpenAI) -> None:
    wanted: Any = {"file_search": {"vector_stores": [{"file_ids": [put(sdk)]}]}}
    assistant = sdk.beta.assistants.create(model="m", tools=SEARCH, tool_resources=wanted)
    (ident,) = assistant.to_dict()["tool_resources"]["file_search"]["vector_store_ids"]  # type: ignore[index]
    assert sdk.vector_stores.retrieve(ident).expires_after is None


def test_attachments_for_search_go_into_the_threads_own_store(sdk: OpenAI) -> None:
    thread = sdk.beta.threads.create().id
    attached(sdk, thread, SEARCH, put(sdk))
    (ident,) = resources(sdk, thread)["file_search"]["vector_store_ids"]
    attached(sdk, thread, SEARCH, put(sdk, name="other.txt"), put(sdk, name="third.txt"))
    assert resources(sdk, thread)["file_search"]["vector_store_ids"] == [ident]
    store = sdk.vector_stores.retrieve(ident)
    assert store.file_counts.total == 3
    assert store.expires_at == store.last_active_at + DAYS_7


def test_attachments_of_a_new_thread_and_its_run_are_kept(sdk: OpenAI) -> None:
    first, second, code = put(sdk), put(sdk, name="b.txt"), put(sdk, name="c.csv")
    message: Any = {"role": "user", "content": "@say Hi", "attachments": [{"file_id": first, "tools": SEARCH}]}
    assistant = sdk.beta.assistants.create(model="scripted").id
    run = sdk.beta.threads.create_and_run_poll(assistant_id=assistant, thread={"messages": [message]})
    assert run.status == "completed"
    (ident,) = resources(sdk, run.thread_id)["file_search"]["vector_store_ids"]
    more: Any = [
        {"role": "user", "content": "@say Ho", "attachments": [{"file_id": second, "tools": [*SEARCH, *CODE]}]},
        {"role": "user", "content": "@say Ho", "attachments": [{"file_id": code, "tools": CODE}]},
    ]
    sdk.beta.threads.runs.create_and_poll(thread_id=run.thread_id, assistant_id=assistant, additional_messages=more)
    assert sdk.vector_stores.retrieve(ident).file_counts.total == 2
    assert resources(sdk, run.thread_id)["code_interpreter"]["file_ids"] == [second, code]


def test_a_deleted_file_leaves_the_lists_of_the_code_interpreter(sdk: OpenAI) -> None:
    kept, gone = put(sdk), put(sdk)
    listed: Any = {"code_interpreter": {"file_ids": [gone, kept]}}
    thread = sdk.beta.threads.create(tool_resources=listed).id
    assistant = sdk.beta.assistants.create(model="m", tools=CODE, tool_resources=listed).id
    sdk.files.delete(gone)
    assert resources(sdk, thread)["code_interpreter"]["file_ids"] == [kept]
    shown: Any = sdk.beta.assistants.retrieve(assistant).to_dict()["tool_resources"]
    assert shown["code_interpreter"]["file_ids"] == [kept]


def test_a_thread_has_twenty_files_for_the_code_interpreter(sdk: OpenAI) -> None:
    thread = sdk.beta.threads.create().id
    attached(sdk, thread, CODE, *[put(sdk) for _ in range(20)])
    with pytest.raises(BadRequestError, match="20 are the most"):
        attached(sdk, thread, CODE, put(sdk))
    assert len(sdk.beta.threads.messages.list(thread).data) == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda sdk, thread: attached(sdk, thread, SEARCH, "file-nowhere"),
        lambda sdk, thread: sdk.beta.threads.messages.create(
            thread, role="user", content=[{"type": "image_file", "image_file": {"file_id": "file-nowhere"}}]
        ),
        lambda sdk, thread: sdk.beta.threads.update(
            thread, tool_resources={"code_interpreter": {"file_ids": ["file-nowhere"]}}
        ),
        lambda sdk, thread: sdk.beta.assistants.create(
            model="m", tool_resources={"code_interpreter": {"file_ids": ["file-nowhere"]}}
        ),
        lambda sdk, thread: sdk.vector_stores.create(file_ids=["file-nowhere"]),
    ],
)
def test_a_file_that_is_nowhere_is_refused(sdk: OpenAI, ask: Callable[[OpenAI, str], object]) -> None:
    thread = sdk.beta.threads.create().id
    with pytest.raises(NotFoundError, match="No such File object: file-nowhere"):
        ask(sdk, thread)
    assert sdk.beta.threads.messages.list(thread).data == []


def test_a_store_that_is_nowhere_is_refused(sdk: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="No vector store found with id 'vs_nowhere'"):
        sdk.beta.threads.create(tool_resources={"file_search": {"vector_store_ids": ["vs_nowhere"]}})
