"""Lists of more than one page through the SDK's own iterators, in both orders, with deletes on the way."""

from typing import Any, Literal

import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

from plugins.server import BOTH_STORES, Server
from plugins.stock import ask

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


def thread_of(sdk: OpenAI, count: int) -> tuple[str, list[str]]:
    """A thread with so many messages, and their ids from the oldest on."""
    thread = sdk.beta.threads.create().id
    messages = sdk.beta.threads.messages
    return thread, [messages.create(thread, role="user", content=str(n)).id for n in range(count)]


@BOTH_STORES
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_all_messages_come_once_in_both_orders(
    sdk: OpenAI, async_sdk: AsyncOpenAI, order: Literal["asc", "desc"]
):
    thread, ids = thread_of(sdk, 45)
    wanted = ids if order == "asc" else ids[::-1]
    assert [message.id for message in sdk.beta.threads.messages.list(thread, order=order)] == wanted
    assert [each.id async for each in async_sdk.beta.threads.messages.list(thread, order=order, limit=7)] == wanted


@BOTH_STORES
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_is_deleted_while_paging_neither_repeats_nor_hides_others(sdk: OpenAI, order: Literal["asc", "desc"]):
    thread, ids = thread_of(sdk, 25)
    seen = []
    for message in sdk.beta.threads.messages.list(thread, order=order, limit=5):
        seen.append(message.id)
        sdk.beta.threads.messages.delete(message.id, thread_id=thread)
    assert seen == (ids if order == "asc" else ids[::-1])
    empty = sdk.beta.threads.messages.list(thread)
    assert [empty.data, empty.has_more, empty.to_dict()["first_id"], empty.to_dict()["last_id"]] == [
        [],
        False,
        None,
        None,
    ]


def test_messages_of_one_call_are_listed_in_exactly_reversed_order(sdk: OpenAI):
    messages: Any = [{"role": "user", "content": str(n)} for n in range(22)]
    thread = sdk.beta.threads.create(messages=messages).id
    listed = [message.content[0].text.value for message in sdk.beta.threads.messages.list(thread)]  # type: ignore[union-attr]
    assert listed == [str(n) for n in reversed(range(22))]


@BOTH_STORES
def test_cursors_look_in_both_directions(sdk: OpenAI):
    thread, ids = thread_of(sdk, 6)
    messages = sdk.beta.threads.messages
    after = messages.list(thread, order="asc", after=ids[2], limit=2)
    assert [[each.id for each in after.data], after.has_more] == [ids[3:5], True]
    before = messages.list(thread, order="asc", before=ids[3], limit=2)
    assert [[each.id for each in before.data], before.has_more] == [ids[1:3], True]
    last = messages.list(thread, order="desc", after=ids[1])
    assert [[each.id for each in last.data], last.has_more] == [[ids[0]], False]
    assert [last.to_dict()["first_id"], last.to_dict()["last_id"]] == [ids[0], ids[0]]


def test_assistants_runs_and_steps_are_paged_too(sdk: OpenAI):
    assistant, thread = ask(sdk, "@say Hi")
    others = [sdk.beta.assistants.create(model="scripted").id for _ in range(24)]
    listed = [each.id for each in sdk.beta.assistants.list(before=assistant, limit=100)]
    assert listed == others[::-1]
    runs = [sdk.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant).id for _ in range(3)]
    assert [run.id for run in sdk.beta.threads.runs.list(thread, limit=1)] == runs[::-1]
    steps = sdk.beta.threads.runs.steps.list(runs[0], thread_id=thread, limit=1)
    assert [step.run_id for step in steps] == runs[:1]
    for each in others:
        assert sdk.beta.assistants.delete(each).deleted


def test_clients_that_leave_out_v1_list_threads_to_the_empty_page_that_ends_them(sdk: OpenAI, server: Server):
    threads = [sdk.beta.threads.create(metadata={"of": "pages"}).id for _ in range(3)]
    found: list[str] = []
    with httpx2.Client(base_url=server.origin) as http:
        query = {"api-version": "v1", "metadata[of]": "pages", "limit": "2"}
        # Azure's client looks at nothing but last_id, so an `after` that were ignored would keep it here for ever.
        while (page := http.get("/threads", params=query).json())["last_id"] is not None:
            found += [thread["id"] for thread in page["data"]]
            query["after"] = page["last_id"]
    assert found == threads[::-1]
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
