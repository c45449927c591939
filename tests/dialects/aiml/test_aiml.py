"""AIML API's paths at the root: its console chats, its answers and its refusals, by the stock SDK."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from openai import AssistantEventHandler, BadRequestError, NotFoundError, OpenAI
from typing_extensions import override

from plugins.server import Server
from plugins.stock import TWO_CITIES, WEATHER, outputs_of

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


@pytest.fixture(params=["/", ""])
def aiml(server: Server, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """As its guides make it: the base URL is the host, with or without a slash."""
    with OpenAI(api_key="none", base_url=server.origin + request.param, max_retries=0) as client:
        yield client


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.origin) as client:
        yield client


def test_a_console_chat_that_polls(aiml: OpenAI):
    bot = aiml.beta.assistants.create(name="Chef", instructions="You know recipes.", model="openai/gpt-4o")
    thread = aiml.beta.threads.create()
    said = []
    for line in ("What shall I cook?", "And for dessert?"):
        aiml.beta.threads.messages.create(thread.id, role="user", content=line)
        run = aiml.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=bot.id)
        assert run.status == "completed"
        newest = aiml.beta.threads.messages.list(thread.id, limit=1).data[0]
        said.append((newest.role, text_of(newest)))
    assert [role for role, _ in said] == ["assistant", "assistant"]
    assert ['"What shall I cook?"' in said[0][1], '"And for dessert?" I saw 4 messages' in said[1][1]] == [True, True]
    assert aiml.beta.threads.delete(thread.id).deleted


class Console(AssistantEventHandler):
    """Prints as the guide's handler does."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    @override
    def on_text_created(self, text: Any) -> None:
        self.shown.append("assistant > ")

    @override
    def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.shown.append(delta.value)

    @override
    def on_tool_call_created(self, tool_call: Any) -> None:
        self.shown.append(f"{tool_call.type} > ")


def test_a_console_chat_that_streams(aiml: OpenAI):
    bot = aiml.beta.assistants.create(name="Guide", model="gpt-4o", tools=[WEATHER])
    thread = aiml.beta.threads.create()
    aiml.beta.threads.messages.create(thread.id, role="user", content=TWO_CITIES)
    console = Console()
    with aiml.beta.threads.runs.stream(thread_id=thread.id, assistant_id=bot.id, event_handler=console) as stream:
        stream.until_done()
    assert console.shown == ["function > ", "function > "]
    waiting = stream.current_run
    assert waiting
    console = Console()
    with aiml.beta.threads.runs.submit_tool_outputs_stream(
        thread_id=thread.id, run_id=waiting.id, tool_outputs=outputs_of(waiting), event_handler=console
    ) as stream:
        stream.until_done()
    assert "".join(console.shown) == "assistant > Warm and cold."


def test_a_guide_that_asks_a_file_shows_where_an_answer_stands(aiml: OpenAI):
    file = aiml.files.create(file=("recipes.txt", b"Dough for pizza rests for two days."), purpose="assistants")
    stores: Any = {"file_search": {"vector_stores": [{"file_ids": [file.id]}]}}
    bot = aiml.beta.assistants.create(model="gpt-4o", tools=[{"type": "file_search"}], tool_resources=stores)
    asked = '@call file_search {"queries": ["pizza dough"]}\n@then\n@say Two days【0:0†recipes.txt】.'
    thread = aiml.beta.threads.create(messages=[{"role": "user", "content": asked}])
    console = Console()
    with aiml.beta.threads.runs.stream(thread_id=thread.id, assistant_id=bot.id, event_handler=console) as stream:
        stream.until_done()
    assert "".join(console.shown) == "file_search > assistant > Two days【0:0†recipes.txt】."
    (note,) = aiml.beta.threads.messages.list(thread.id, limit=1).data[0].content[0].text.annotations  # type: ignore[union-attr]
    assert note.file_citation.file_id == file.id  # type: ignore[union-attr]
    assert aiml.files.retrieve(file.id).filename == "recipes.txt"
    assert aiml.files.delete(file.id).deleted


def test_a_thread_over_the_window_is_shortened_smartly_and_nothing_is_lost(aiml: OpenAI, http: httpx.Client):
    bot = aiml.beta.assistants.create(model="gpt-4o")
    thread = aiml.beta.threads.create()
    said = ["Remember the vault: its code is 4711.", *(f"Day {day}: " + "rain and wind " * 40 for day in range(60))]
    ids = [aiml.beta.threads.messages.create(thread.id, role="user", content=each).id for each in said]
    aiml.beta.threads.messages.create(thread.id, role="user", content="Which code opens the vault?")
    run: Any = aiml.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=bot.id, max_prompt_tokens=2000, poll_interval_ms=20
    )
    assert (run.status, run.truncation_strategy.type) == ("completed", "auto")
    assert run.context["tokens_used"] <= 2000 < run.context["tokens_thread"]
    shown = http.get(f"/threads/{thread.id}/runs/{run.id}/context", params={"limit": 100}).json()["data"]
    assert ids[0] in [item["message_id"] for item in shown if item["kind"] in ("recalled", "pinned")]
    assert len(list(aiml.beta.threads.messages.list(thread.id))) == len(said) + 2


def test_it_speaks_openais_paths_with_v1_too(aiml: OpenAI, sdk: OpenAI):
    thread = aiml.beta.threads.create(metadata={"u": "7"})
    assert sdk.beta.threads.retrieve(thread.id).metadata == {"u": "7"}


def test_what_is_created_is_answered_with_201_where_the_contract_says_so(http: httpx.Client):
    bot = http.post("/assistants", json={"model": "m"})
    thread = http.post("/threads", json={})
    messages = f"/threads/{thread.json()['id']}/messages"
    message = http.post(messages, json={"role": "user", "content": "Hi"})
    run = http.post(f"/threads/{thread.json()['id']}/runs", json={"assistant_id": bot.json()["id"]})
    assert [bot.status_code, thread.status_code, message.status_code, run.status_code] == [201, 200, 201, 201]
    assert run.json()["expires_at"] - run.json()["created_at"] == 600


def test_azures_agents_sdk_is_answered_with_200_and_may_send_more_than_openai_knows(http: httpx.Client):
    made = http.post("/assistants?api-version=2025-05-15-preview", json={"model": "m", "agentKind": "x"})
    assert made.status_code == 200
    assert http.get("/threads?api-version=v1").json()["object"] == "list"


def test_a_stream_ends_with_done(http: httpx.Client):
    bot = http.post("/assistants", json={"model": "m"}).json()["id"]
    asked = {"assistant_id": bot, "thread": {"messages": [{"role": "user", "content": "Hi"}]}, "stream": True}
    answer = http.post("/threads/runs", json=asked)
    names = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
    assert [answer.status_code, names[0], names[-2:]] == [200, "thread.created", ["thread.run.completed", "done"]]


def test_a_refusal_reads_as_openais_and_as_aimls(http: httpx.Client):
    answer = http.post("/threads", json={"nope": 1})
    body = answer.json()
    assert [answer.status_code, body["statusCode"], body["path"]] == [400, 400, "/threads"]
    assert body["error"]["code"] == "unknown_parameter"
    assert body["message"] == "Body validation error! Unknown parameter: 'nope'."
    assert UUID(body["requestId"]).hex == answer.headers["x-request-id"].removeprefix("req_")
    assert datetime.fromisoformat(body["timestamp"]).tzinfo
    assert body["timestamp"].endswith("Z")


def test_the_sdk_reads_a_refusal(aiml: OpenAI):
    with pytest.raises(BadRequestError) as refused:
        aiml.beta.threads.create(extra_body={"nope": 1})
    assert [refused.value.code, refused.value.param] == ["unknown_parameter", "nope"]
    with pytest.raises(NotFoundError, match="No thread found with id 'thread_gone'"):
        aiml.beta.threads.retrieve("thread_gone")


def test_a_path_that_is_none_is_refused_alike(http: httpx.Client):
    body = http.get("/video/generations").json()
    assert [body["statusCode"], body["error"]["message"]] == [404, "Invalid URL (GET /video/generations)"]


def test_its_own_paths_stay_where_they_were(http: httpx.Client):
    assert "statusCode" not in http.get("/v1/nothing").json()
    assert [http.get("/health").status_code, http.get("/openapi.json").status_code] == [200, 200]


def text_of(message: Any) -> str:
    return str(message.content[0].text.value)
