"""One store under all dialects: a thread made through any of them is read, extended, run and deleted by the others."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from plugins.server import Server
from respun.core.ids import spell, uuid_of

DIALECTS = ("openai", "aiml", "backboard")


class Openai:
    """The Assistants API, at the prefix where a dialect of it lives. Objects are known by their UUIDs here."""

    def __init__(self, http: httpx.Client, prefix: str) -> None:
        self._http = http
        self._prefix = prefix

    def assistant(self) -> UUID:
        return uuid_of("assistant", self._ask("POST", "/assistants", {"model": "scripted", "name": "Bot"})["id"])

    def thread(self, assistant: UUID) -> UUID:
        return uuid_of("thread", self._ask("POST", "/threads", {})["id"])

    def say(self, thread: UUID, assistant: UUID, text: str) -> str:
        path = f"/threads/{spell('thread', thread)}"
        self._ask("POST", f"{path}/messages", {"role": "user", "content": text})
        run = self._ask("POST", f"{path}/runs", {"assistant_id": spell("assistant", assistant)})
        while run["status"] in ("queued", "in_progress"):
            run = self._ask("GET", f"{path}/runs/{run['id']}")
        assert run["status"] == "completed"
        return self.read(thread)[-1]

    def read(self, thread: UUID) -> list[str]:
        found = self._ask("GET", f"/threads/{spell('thread', thread)}/messages?order=asc&limit=100")
        return [message["content"][0]["text"]["value"] for message in found["data"]]

    def listed(self) -> list[UUID]:
        return [uuid_of("thread", each["id"]) for each in self._ask("GET", "/threads?limit=100")["data"]]

    def delete(self, thread: UUID) -> None:
        assert self._ask("DELETE", f"/threads/{spell('thread', thread)}")["deleted"]

    def exists(self, thread: UUID) -> bool:
        return self._http.get(f"{self._prefix}/threads/{spell('thread', thread)}").status_code == 200

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, f"{self._prefix}{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()


class Backboard:
    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def assistant(self) -> UUID:
        return UUID(self._ask("POST", "/assistants", {"name": "Bot"})["assistant_id"])

    def thread(self, assistant: UUID) -> UUID:
        return UUID(self._ask("POST", f"/assistants/{assistant}/threads", {})["thread_id"])

    def say(self, thread: UUID, assistant: UUID, text: str) -> str:
        given = {"content": text, "assistant_id": str(assistant)}
        return str(self._ask("POST", f"/threads/{thread}/messages", given)["content"])

    def read(self, thread: UUID) -> list[str]:
        return [message["content"] for message in self._ask("GET", f"/threads/{thread}")["messages"]]

    def listed(self) -> list[UUID]:
        return [UUID(each["thread_id"]) for each in self._ask("GET", "/threads?limit=200")]

    def delete(self, thread: UUID) -> None:
        assert self._ask("DELETE", f"/threads/{thread}")["thread_id"] == str(thread)

    def exists(self, thread: UUID) -> bool:
        return self._http.get(f"/api/threads/{thread}").status_code == 200

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, f"/api{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


Dialect = Openai | Backboard


@pytest.fixture
def dialect(server: Server) -> Iterator[Callable[[str], Dialect]]:
    with httpx.Client(base_url=server.origin) as http:
        made: dict[str, Dialect] = {
            "openai": Openai(http, "/v1"),
            "aiml": Openai(http, ""),
            "backboard": Backboard(http),
        }
        yield made.__getitem__


@pytest.mark.parametrize("maker", DIALECTS)
@pytest.mark.parametrize("ender", DIALECTS)
def test_a_thread_made_through_one_is_a_thread_of_all(dialect: Callable[[str], Dialect], maker: str, ender: str):
    by = dialect(maker)
    assistant = by.assistant()
    thread = by.thread(assistant)
    said = []
    for name in DIALECTS:
        assert dialect(name).say(thread, assistant, f"@say Hello {name}.") == f"Hello {name}."
        said += [f"@say Hello {name}.", f"Hello {name}."]
    for name in DIALECTS:
        assert dialect(name).read(thread) == said
        assert thread in dialect(name).listed()
    dialect(ender).delete(thread)
    assert not any(dialect(name).exists(thread) for name in DIALECTS)


@pytest.mark.parametrize("asker", DIALECTS)
@pytest.mark.parametrize("answerer", DIALECTS)
def test_tools_asked_for_through_one_are_answered_through_any(
    server: Server, dialect: Callable[[str], Dialect], asker: str, answerer: str
):
    with httpx.Client(base_url=server.origin) as http:
        thread, run = asked_for_weather(http, asker)
        path = f"/v1/threads/{spell('thread', thread)}/runs/{run}"
        calls = http.get(path).json()["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs = {"tool_outputs": [{"tool_call_id": call["id"], "output": "31"} for call in calls]}
        submit = f"/threads/{spell('thread', thread)}/runs/{run}/submit_tool_outputs"
        ways = {
            "openai": f"/v1{submit}",
            "aiml": submit,
            "backboard": f"/api/threads/{thread}/runs/{run}/submit-tool-outputs",
        }
        assert http.post(ways[answerer], json=outputs).status_code == 200
        while http.get(path).json()["status"] in ("queued", "in_progress"):
            pass
    assert dialect("backboard").read(thread)[1:] == ["", "31", "Warm."]
    assert dialect("openai").read(thread)[1:] == dialect("aiml").read(thread)[1:] == ["Warm."]


def asked_for_weather(http: httpx.Client, asker: str) -> tuple[UUID, str]:
    """A thread and its run, which waits for the output of a tool."""
    script = "@call weather {}\n@then\n@say Warm."
    weather = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    if asker == "backboard":
        asked = http.post("/api/threads/messages", json={"content": script, "tools": [weather]}).json()
        return UUID(asked["thread_id"]), str(asked["run_id"])
    prefix = "/v1" if asker == "openai" else ""
    bot = http.post(f"{prefix}/assistants", json={"model": "scripted", "tools": [weather]}).json()["id"]
    given = {"assistant_id": bot, "thread": {"messages": [{"role": "user", "content": script}]}}
    run = http.post(f"{prefix}/threads/runs", json=given).json()
    path = f"{prefix}/threads/{run['thread_id']}/runs/{run['id']}"
    while http.get(path).json()["status"] != "requires_action":
        pass
    return uuid_of("thread", run["thread_id"]), str(run["id"])


def test_metadata_that_only_backboard_can_say_is_shown_as_texts_elsewhere(server: Server):
    with httpx.Client(base_url=server.origin) as http:
        given = {"content": "@say Hi.", "metadata": {"n": 7, "deep": {"a": [1]}, "s": "x"}}
        thread = http.post("/api/threads/messages", json=given).json()["thread_id"]
        found = http.get(f"/v1/threads/{spell('thread', UUID(thread))}/messages?order=asc").json()["data"][0]
        assert found["metadata"] == {"n": "7", "deep": '{"a":[1]}', "s": "x"}
        http.post(f"/v1/threads/{spell('thread', UUID(thread))}/messages/{found['id']}", json={"metadata": {"n": "8"}})
        assert http.get(f"/api/threads/{thread}").json()["messages"][0]["metadata_"] == {"n": "8"}
