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
def test_a_thread_made_through_one_is_a_thread_of_all(dialect: Callable[[str], Dialect], maker: str):
    by = dialect(maker)
    assistant = by.assistant()
    thread = by.thread(assistant)
    said = []
    for name in (maker, *(each for each in DIALECTS if each != maker)):
        assert dialect(name).say(thread, assistant, f"@say Hello {name}.") == f"Hello {name}."
        said += [f"@say Hello {name}.", f"Hello {name}."]
    for name in DIALECTS:
        assert dialect(name).read(thread) == said
        assert thread in dialect(name).listed()
    others = [dialect(name) for name in DIALECTS if name != maker]
    others[0].delete(thread)
    assert not any(dialect(name).exists(thread) for name in DIALECTS)


def test_a_run_that_waits_is_answered_through_another_dialect(server: Server, dialect: Callable[[str], Dialect]):
    weather = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    with httpx.Client(base_url=server.origin) as http:
        asked = http.post(
            "/api/threads/messages", json={"content": "@call weather {}\n@then\n@say Warm.", "tools": [weather]}
        )
        thread, run = spell("thread", UUID(asked.json()["thread_id"])), asked.json()["run_id"]
        path = f"/v1/threads/{thread}/runs/{run}"
        waits = http.get(path).json()["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs = [{"tool_call_id": call["id"], "output": "31"} for call in waits]
        http.post(f"{path}/submit_tool_outputs", json={"tool_outputs": outputs})
        while http.get(path).json()["status"] != "completed":
            pass
    assert dialect("backboard").read(UUID(asked.json()["thread_id"]))[2:] == ["31", "Warm."]


def test_metadata_that_only_backboard_can_say_is_shown_as_texts_elsewhere(server: Server):
    with httpx.Client(base_url=server.origin) as http:
        given = {"content": "@say Hi.", "metadata": {"n": 7, "deep": {"a": [1]}, "s": "x"}}
        thread = http.post("/api/threads/messages", json=given).json()["thread_id"]
        found = http.get(f"/v1/threads/{spell('thread', UUID(thread))}/messages?order=asc").json()["data"][0]
        assert found["metadata"] == {"n": "7", "deep": '{"a":[1]}', "s": "x"}
        http.post(f"/v1/threads/{spell('thread', UUID(thread))}/messages/{found['id']}", json={"metadata": {"n": "8"}})
        assert http.get(f"/api/threads/{thread}").json()["messages"][0]["metadata_"] == {"n": "8"}
