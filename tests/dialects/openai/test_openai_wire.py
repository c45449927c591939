"""What is on the wire beside the objects: headers, errors, limits, and streams that survive their connection."""

import asyncio
import gzip
import io
import json
import re

import aiohttp
import pytest
from openai import APIError, AsyncOpenAI

from respun.core.problems import Problem
from respun.dialects.openai.problems import error_frame
from respun.workspace import ModelCard

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


async def post(http: aiohttp.ClientSession, path: str, body: object) -> dict:
    async with http.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def ask(http: aiohttp.ClientSession, script: str, **run: object) -> tuple[str, dict]:
    """A thread told what its model shall do, and the body of a run over it."""
    made = await post(http, "/assistants", {"model": "scripted"})
    thread = await post(http, "/threads", {"messages": [{"role": "user", "content": script}]})
    return thread["id"], {"assistant_id": made["id"], **run}


async def error(answer: aiohttp.ClientResponse) -> dict:
    body = await answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]


async def test_every_answer_has_openais_headers(http: aiohttp.ClientSession):
    async with http.post("/threads") as answer:
        assert answer.status == 200
        assert answer.headers["openai-version"] == "2020-10-01"
        assert int(answer.headers["openai-processing-ms"]) >= 1
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["content-type"] == "application/json"
        first = answer.headers["x-request-id"]
    async with http.get("/threads/nope") as answer:
        assert answer.status == 400
        assert answer.headers["x-request-id"] != first
        assert answer.headers["x-should-retry"] == "false"
        assert (await error(answer))["message"] == (
            "Invalid 'thread_id': 'nope'. Expected an ID that begins with 'thread'."
        )


async def test_a_wrong_method_or_path_is_refused_in_the_same_shape(http: aiohttp.ClientSession):
    async with http.put("/assistants", json={}) as answer:
        assert answer.status == 405
        assert answer.headers["allow"] == "GET, POST, HEAD, OPTIONS"
        assert "Not allowed to PUT on /assistants" in (await error(answer))["message"]
    async with http.get("/_stainless_unknown_path") as answer:
        assert answer.status == 404
        assert (await error(answer))["message"] == "Invalid URL (GET /_stainless_unknown_path)"
    async with http.options("/assistants") as answer:
        assert answer.status == 204
    async with http.head("/assistants") as answer:
        assert answer.status == 200
        assert int(answer.headers["content-length"]) > 0
        assert await answer.read() == b""


async def test_a_body_over_the_limit_is_refused_without_being_read(http: aiohttp.ClientSession):
    large = io.BytesIO(b" " * ((1 << 20) + 1))
    async with http.post("/threads", data=large, headers={"content-type": "application/json"}) as answer:
        assert answer.status == 413
        assert "1048576 bytes" in (await error(answer))["message"]

    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1 << 16
            yield b" " * (1 << 16)

    try:
        async with http.post("/threads", data=endless(), headers={"content-type": "application/json"}) as answer:
            assert answer.status == 413
    except aiohttp.ClientConnectionError:
        # The server has closed the connection under the sender.
        pass
    assert sent < 64 << 20


async def test_a_body_that_is_not_declared_json_is_refused(http: aiohttp.ClientSession):
    async with http.post("/threads", data=b"metadata=1", headers={"content-type": "text/plain"}) as answer:
        assert answer.status == 415
        assert "application/json" in (await error(answer))["message"]


async def test_a_body_that_is_compressed_is_refused_by_name(http: aiohttp.ClientSession):
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    async with http.post("/threads", data=gzip.compress(b"{}"), headers=packed) as answer:
        assert answer.status == 415
        assert "content encoding 'gzip'" in (await error(answer))["message"]


async def broken_models() -> tuple[ModelCard, ...]:
    raise RuntimeError("the secret reason")


@pytest.mark.parametrize("models", [broken_models])
async def test_a_fault_of_ours_is_told_with_the_request_id_alone(http: aiohttp.ClientSession):
    async with http.get("/models") as answer:
        assert answer.status == 500
        told = await error(answer)
        assert told["type"] == "server_error"
        assert answer.headers["x-request-id"] in told["message"]
        assert "secret" not in told["message"]
        assert "x-should-retry" not in answer.headers


async def test_pollers_are_told_when_to_look_again_until_the_run_is_done(http: aiohttp.ClientSession):
    thread, body = await ask(http, "@hang")
    run = await post(http, f"/threads/{thread}/runs", body)
    async with http.get(f"/threads/{thread}/runs/{run['id']}") as answer:
        assert answer.headers["openai-poll-after-ms"] == "5"
    await post(http, f"/threads/{thread}/runs/{run['id']}/cancel", None)
    async with http.get(f"/threads/{thread}/runs/{run['id']}/events") as answer:
        assert "thread.run.cancelled" in await answer.text()
    async with http.get(f"/threads/{thread}/runs/{run['id']}") as answer:
        assert (await answer.json())["status"] == "cancelled"
        assert "openai-poll-after-ms" not in answer.headers


async def test_a_stream_is_numbered_frames_and_a_last_word(http: aiohttp.ClientSession):
    thread, body = await ask(http, "@say Hi", stream=True)
    async with http.post(f"/threads/{thread}/runs", json=body) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        text = await answer.text()
    *frames, last, rest = text.split("\n\n")
    assert rest == ""
    assert last == "event: done\ndata: [DONE]"
    assert all(re.fullmatch(r"id: \d+\.\d+\nevent: thread\.[a-z_.]+\ndata: \{.*\}", frame) for frame in frames)


@pytest.mark.parametrize("way", ["header", "query"])
async def test_a_stream_resumes_behind_any_frame(http: aiohttp.ClientSession, way: str):
    thread, body = await ask(http, "@say One two three", stream=True)
    async with http.post(f"/threads/{thread}/runs", json=body) as answer:
        whole = await answer.text()
    run = json.loads(whole.split("data: ", 1)[1].split("\n", 1)[0])["id"]
    ids = re.findall(r"^id: (.*)$", whole, re.MULTILINE)
    for ident in ids:
        rest = whole.split(f"id: {ident}\n", 1)[1].split("\n\n", 1)[1]
        headers = {"last-event-id": ident} if way == "header" else {}
        query = {"starting_after": ident} if way == "query" else {}
        async with http.get(f"/threads/{thread}/runs/{run}/events", headers=headers, params=query) as answer:
            assert await answer.text() == rest
    async with http.get(f"/threads/{thread}/runs/{run}/events") as answer:
        assert await answer.text() == whole
    async with http.get(f"/threads/{thread}/runs/{run}/events?starting_after=x") as answer:
        assert answer.status == 400


async def test_a_client_that_goes_away_leaves_its_run_alone(http: aiohttp.ClientSession):
    thread, body = await ask(http, "@delay 0.05\n@say One two three four", stream=True)
    async with http.post(f"/threads/{thread}/runs", json=body) as answer:
        first = await answer.content.readuntil(b"\n\n")
        answer.close()
    run = json.loads(first.split(b"data: ")[1])["id"]
    async with http.get(f"/threads/{thread}/runs/{run}/events") as answer:
        assert "thread.run.completed" in await answer.text()


async def test_a_silent_stream_is_kept_alive(http: aiohttp.ClientSession):
    thread, body = await ask(http, "@hang", stream=True)
    async with http.post(f"/threads/{thread}/runs", json=body) as answer:
        async with asyncio.timeout(5):
            await answer.content.readuntil(b": keep-alive\n")
        answer.close()


async def test_two_listeners_see_the_same_bytes(http: aiohttp.ClientSession):
    thread, body = await ask(http, "@delay 0.02\n@say One two three", stream=True)
    async with http.post(f"/threads/{thread}/runs", json=body) as answer:
        first = await answer.content.readuntil(b"\n\n")
        run = json.loads(first.split(b"data: ")[1])["id"]
        async with http.get(f"/threads/{thread}/runs/{run}/events") as other:
            assert await other.read() == first + await answer.read()


async def test_threads_can_be_listed_and_searched(http: aiohttp.ClientSession):
    made = [await post(http, "/threads", {"metadata": {"user": str(n)}}) for n in range(3)]
    await post(http, f"/threads/{made[1]['id']}/messages", {"role": "user", "content": "Where is the zebra?"})
    async with http.get("/threads", params={"limit": 2}) as answer:
        page = await answer.json()
        assert [one["id"] for one in page["data"]] == [made[2]["id"], made[1]["id"]]
        assert page["has_more"] is True
    async with http.get("/threads", params={"metadata[user]": "1"}) as answer:
        assert [one["id"] for one in (await answer.json())["data"]] == [made[1]["id"]]
    async with http.get("/threads/search", params={"query": "zebra"}) as answer:
        assert [one["thread_id"] for one in (await answer.json())["data"]] == [made[1]["id"]]
    async with http.get("/threads/search") as answer:
        assert (await error(answer))["message"] == "Missing required parameter: 'query'."


async def test_an_empty_page_has_null_cursors(http: aiohttp.ClientSession):
    async with http.get("/assistants") as answer:
        assert await answer.json() == {
            "object": "list",
            "data": [],
            "first_id": None,
            "last_id": None,
            "has_more": False,
        }


async def test_the_error_frame_raises_in_the_sdk():
    frame = error_frame(Problem("The disk is full.", kind="full"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + frame)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}", max_retries=0) as client:
            stream = await client.beta.threads.runs.create("thread_1", assistant_id="asst_1", stream=True)
            with pytest.raises(APIError, match="The disk is full"):
                [event async for event in stream]
