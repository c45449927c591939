"""Backboard's wire beside its SDK: three encodings, refusals, frames, and connections that are kept alive."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from plugins.backboard import at_home
from respun.dialects.backboard.answers import Settings
from respun.providers.scripted import Scripted

MESSAGES = "/threads/messages"


@pytest.mark.parametrize("encoding", ["json", "data", "multipart"])
@pytest.mark.parametrize("in_path", [True, False])
def test_a_message_comes_in_any_of_three_encodings_on_both_paths(http: httpx.Client, encoding: str, in_path: bool):
    thread = http.post(MESSAGES, json={"content": "@say Hi."}).json()["thread_id"]
    path = f"/threads/{thread}/messages" if in_path else MESSAGES
    given: dict[str, Any] = {"content": "@say Grüße!", "stream": False, "send_to_llm": True, "unknown": "x"}
    if not in_path:
        given["thread_id"] = thread
    if encoding == "json":
        answer = http.post(path, json={**given, "metadata": {"a": 1}, "thinking": None})
    else:
        texts = {
            **{name: str(value).lower() if value is True or value is False else value for name, value in given.items()},
            "metadata": '{"a": 1}',
        }
        files = [(name, (None, value)) for name, value in texts.items()]
        answer = http.post(path, files=files) if encoding == "multipart" else http.post(path, data=texts)
    assert [answer.status_code, answer.json()["content"], answer.json()["thread_id"]] == [200, "Grüße!", thread]
    said = http.get(f"/threads/{thread}").json()["messages"]
    assert [said[2]["content"], said[2]["metadata_"]] == ["@say Grüße!", {"a": 1}]


def test_the_flat_reply_holds_what_old_and_new_clients_read(http: httpx.Client):
    reply = http.post(MESSAGES, json={"content": "@say Hi."}).json()
    assert "messages" not in reply
    assert reply["latest_message"].keys() >= {"message_id", "role", "content", "created_at", "status", "metadata_"}
    assert reply["latest_message"]["message_id"] == reply["message_id"]
    assert reply["context_usage"].keys() == {"percent", "used_tokens", "context_limit", "summary_tokens", "model"}
    assert [reply["retrieved_memories"], reply["retrieved_files"], reply["attachments"]] == [[], [], []]
    assert len(reply["timestamp"]) == len("2026-11-21T19:00:02.100000Z")


def test_a_stream_is_data_lines_and_nothing_else(http: httpx.Client):
    answer = http.post(MESSAGES, data={"content": "@say Hello.", "stream": "true"})
    frames = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(frame.startswith("data: {") and "\n" not in frame for frame in frames)
    assert "[DONE]" not in answer.text
    assert json.loads(frames[-1][6:])["type"] == "run_ended"
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("path", "body", "loc", "kind"),
    [
        ("/assistants", {}, ["body", "name"], "missing"),
        ("/assistants", {"name": ""}, ["body", "name"], "string_too_short"),
        ("/assistants", {"name": "x" * 256}, ["body", "name"], "string_too_long"),
        ("/assistants", {"name": "x", "tok_k": 0}, ["body", "tok_k"], "greater_than_equal"),
        ("/assistants", {"name": "x", "tools": "["}, ["body", "tools"], "json_invalid"),
        ("/assistants", {"name": "x", "tools": [{"type": "function"}]}, ["body", "tools", 0, "function"], "missing"),
        (MESSAGES, {}, ["body", "content"], "missing"),
        (MESSAGES, {"content": 7}, ["body", "content"], "string_type"),
        (MESSAGES, {"content": "x", "stream": "maybe"}, ["body", "stream"], "bool_parsing"),
        (MESSAGES, {"content": "x", "send_to_llm": []}, ["body", "send_to_llm"], "bool_parsing"),
        (MESSAGES, {"content": "x", "metadata": "[1]"}, ["body", "metadata"], "dict_type"),
        (MESSAGES, {"content": "x", "memory": "sometimes"}, ["body", "memory"], "enum"),
        (MESSAGES, {"content": "x", "thread_id": "thread"}, ["body", "thread_id"], "uuid_parsing"),
        (MESSAGES, {"content": "x", "metadata": {"custom_timestamp": "soon"}}, ["body", "metadata", "custom_timestamp"], "datetime_parsing"),
        ("/threads/tool-outputs", {"tool_outputs": []}, ["body", "thread_id"], "missing"),
        ("/assistants/none/threads", {}, ["path", "assistant_id"], "uuid_parsing"),
    ],
)  # fmt: skip
def test_what_has_not_its_form_is_refused_by_a_list(http: httpx.Client, path: str, body: Any, loc: Any, kind: str):
    answer = http.post(path, json=body)
    assert answer.status_code == 422
    (issue,) = answer.json()["detail"]
    assert [issue["loc"], issue["type"]] == [loc, kind]
    assert issue["msg"]


def test_bodies_that_are_no_json_are_refused(http: httpx.Client):
    for body in (b"{", b"[]", b"\xff", b'{"content":' + b"[" * 5000):
        answer = http.post(MESSAGES, content=body, headers={"content-type": "application/json"})
        assert [answer.status_code, answer.json()["detail"][0]["loc"]] == [422, ["body"]]


def test_a_form_that_is_half_written_is_refused(http: httpx.Client):
    kind = {"content-type": "multipart/form-data; boundary=b"}
    whole = b'--b\r\nContent-Disposition: form-data; name="content"\r\n\r\n@say Hi.\r\n--b--\r\n'
    assert http.post(MESSAGES, content=whole, headers=kind).json()["content"] == "Hi."
    for body in (whole[:-8], whole[:40], b"", b"--c--", b"\r\n\r\n"):
        answer = http.post(MESSAGES, content=body, headers=kind)
        assert answer.status_code in (400, 422), body
        assert answer.json()["detail"]
    answer = http.post(MESSAGES, content=whole, headers={"content-type": "multipart/form-data"})
    assert answer.status_code == 400


def test_unknown_ids_are_not_found(http: httpx.Client):
    nobody = str(uuid4())
    for path in (f"/threads/{nobody}", f"/assistants/{nobody}", f"/assistants/{nobody}/threads"):
        answer = http.get(path)
        assert answer.status_code == 404
        assert nobody in answer.json()["detail"]
    assert http.post(f"/threads/{nobody}/messages", json={"content": "x"}).status_code == 404
    assert http.get("/nothing").json()["detail"] == "Not Found: GET /api/nothing"
    assert http.put("/threads").status_code == 405


def test_a_body_may_be_missing_where_nothing_is_asked_for(http: httpx.Client):
    bot = http.post("/assistants", json={"name": "Bot"}).json()["assistant_id"]
    assert http.post(f"/assistants/{bot}/threads").json()["assistant_id"] == bot
    listed = http.get("/threads", params={"skip": 0, "limit": 1, "include_messages": "false"}).json()
    assert [len(listed), listed[0]["messages"]] == [1, []]


def test_nul_characters_become_visible(http: httpx.Client):
    reply = http.post(MESSAGES, json={"content": "@say a\0b"}).json()
    assert reply["content"] == "a\ufffdb"


@pytest_asyncio.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client that gives up after half a second of silence, at a server that fills silences sooner."""
    async with (
        at_home(tmp_path, Scripted(), Settings(beat=0.1)) as origin,
        httpx.AsyncClient(base_url=origin, timeout=0.5) as client,
    ):
        yield client


async def test_a_slow_reply_keeps_its_connection_alive_by_white_space(impatient: httpx.AsyncClient):
    before = time.monotonic()
    answer = await impatient.post(MESSAGES, json={"content": "@delay 1.2\n@say Late."})
    assert time.monotonic() - before > 1.2
    assert answer.text.startswith(" ")
    assert answer.json()["content"] == "Late."


async def test_a_slow_stream_keeps_its_connection_alive_by_comments(impatient: httpx.AsyncClient):
    answer = await impatient.post(MESSAGES, json={"content": "@delay 1.2\n@say Late.", "stream": True})
    assert "\n\n: ping\n\n" in answer.text
    assert '"run_ended"' in answer.text


async def test_a_run_goes_on_when_its_caller_is_gone(impatient: httpx.AsyncClient):
    given = {"content": "@delay 0.2\n@say One two three four.", "stream": True}
    async with impatient.stream("POST", MESSAGES, json=given) as answer:
        async for line in answer.aiter_lines():
            if '"content_streaming"' in line:
                thread = json.loads(line[6:])["thread_id"]
                break
    async with asyncio.timeout(5):
        while True:
            said = (await impatient.get(f"/threads/{thread}")).json()["messages"]
            if said[-1]["status"] == "COMPLETED" and said[-1]["role"] == "assistant":
                break
            await asyncio.sleep(0.05)
    assert said[-1]["content"] == "One two three four."
