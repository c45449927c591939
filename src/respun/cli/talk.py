"""A conversation with a server, as a client's code holds it: through the stock `openai` SDK, or plain HTTP."""

import contextlib
import http.client
import json
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

_SECONDS: Final = 1800.0
"""For one call: an embedded model may take long to start on a busy machine."""


class Ended(Struct, frozen=True):
    """How a run ended."""

    id: str = ""
    status: str = "cut off"
    tokens: int = 0
    reason: str = "the stream ended before the run did"


class Talk(Protocol):
    through: str
    last_run: Ended

    def first_model(self) -> str: ...
    def create_assistant(self, model: str, name: str, instructions: str) -> str: ...
    def create_thread(self) -> str: ...
    def add_message(self, thread: str, text: str) -> str: ...
    def stream_run(self, thread: str, assistant: str) -> Iterator[str]:
        """The answer in pieces; `last_run` says afterwards how it ended."""
        ...

    def count_messages(self, thread: str) -> int: ...
    def close(self) -> None: ...


def talk_to(base_url: str, key: str) -> Talk:
    """Through the SDK where it is installed."""
    return SdkTalk(base_url, key) if find_spec("openai") else HttpTalk(base_url, key)


class SdkTalk:
    """The calls as any program with the SDK makes them."""

    def __init__(self, base_url: str, key: str) -> None:
        import openai

        # The SDK says at each call that OpenAI ended this API, which is why people are here.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="respun.cli.talk")
        self.through = f"the openai SDK {version('openai')}"
        self.last_run = Ended()
        self._client: Any = openai.OpenAI(base_url=base_url, api_key=key, timeout=_SECONDS)
        self._beta: Any = self._client.beta

    def first_model(self) -> str:
        return next((model.id for model in self._client.models.list()), "gpt-4o-mini")

    def create_assistant(self, model: str, name: str, instructions: str) -> str:
        return str(self._beta.assistants.create(model=model, name=name, instructions=instructions, temperature=0).id)

    def create_thread(self) -> str:
        return str(self._beta.threads.create().id)

    def add_message(self, thread: str, text: str) -> str:
        return str(self._beta.threads.messages.create(thread, role="user", content=text).id)

    def stream_run(self, thread: str, assistant: str) -> Iterator[str]:
        with self._beta.threads.runs.stream(thread_id=thread, assistant_id=assistant) as stream:
            yield from stream.text_deltas
            self.last_run = _ended(stream.current_run.to_dict())

    def count_messages(self, thread: str) -> int:
        return sum(1 for _ in self._beta.threads.messages.list(thread))

    def close(self) -> None:
        self._client.close()


class HttpTalk:
    """The same calls with nothing but the standard library."""

    def __init__(self, base_url: str, key: str) -> None:
        parts = urlsplit(base_url)
        self.through = "plain HTTP (the openai package isn't installed)"
        self.last_run = Ended()
        self._host, self._port, self._path = parts.hostname or "127.0.0.1", parts.port, parts.path
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def first_model(self) -> str:
        found = self._call("GET", "/models")["data"]
        return str(found[0]["id"]) if found else "gpt-4o-mini"

    def create_assistant(self, model: str, name: str, instructions: str) -> str:
        return str(
            self._call("POST", "/assistants", model=model, name=name, instructions=instructions, temperature=0)["id"]
        )

    def create_thread(self) -> str:
        return str(self._call("POST", "/threads")["id"])

    def add_message(self, thread: str, text: str) -> str:
        return str(self._call("POST", f"/threads/{thread}/messages", role="user", content=text)["id"])

    def stream_run(self, thread: str, assistant: str) -> Iterator[str]:
        with self._send("POST", f"/threads/{thread}/runs", assistant_id=assistant, stream=True) as answer:
            for event, data in _frames(answer):
                if event == "thread.message.delta":
                    for part in data["delta"]["content"]:
                        yield part.get("text", {}).get("value", "")
                elif data.get("object") == "thread.run":
                    self.last_run = _ended(data)

    def count_messages(self, thread: str) -> int:
        return len(self._call("GET", f"/threads/{thread}/messages?limit=100")["data"])

    def close(self) -> None:
        """Nothing stays open between calls."""

    def _call(self, method: str, path: str, **body: object) -> Any:
        with self._send(method, path, **body) as answer:
            return json.loads(answer.read())

    @contextlib.contextmanager
    def _send(self, method: str, path: str, **body: object) -> Iterator[http.client.HTTPResponse]:
        with contextlib.closing(http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)) as connection:
            payload = json.dumps(body) if method == "POST" else None
            connection.request(method, self._path + path, payload, self._headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"{method} {path} was answered with {answer.status}: {answer.read().decode()}")
            yield answer


def _frames(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    event = ""
    for raw in answer:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: ") and event != "done":
            yield event, json.loads(line.removeprefix("data: "))


def _ended(run: dict[str, Any]) -> Ended:
    usage, error = run.get("usage") or {}, run.get("last_error") or {}
    return Ended(run["id"], run["status"], usage.get("total_tokens", 0), error.get("message", ""))
