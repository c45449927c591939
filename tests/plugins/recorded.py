"""Exchanges recorded against the genuine API, and an upstream that says again what the model said then.

The recordings are no part of the repository: they lie beside it, or where RESPUN_CONTRACT says.
"""

import json
import os
import re
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

from plugins.upstream import DONE, chunk, event

NAME = "openai-recordings.jsonl"
LINES = 306
_OURS = re.compile(r"^/(assistants|threads|models|files|uploads|vector_stores)\b")
_GOING = ("queued", "in_progress")
_LONGEST_ANSWER = 20.0


def folder() -> Path:
    """Where the contract lies: RESPUN_CONTRACT, else beside the repository."""
    named = os.environ.get("RESPUN_CONTRACT")
    return Path(named) if named else Path(__file__).parents[3] / "shared" / "contract"


@dataclass(frozen=True, slots=True)
class Exchange:
    test: str
    method: str
    path: str
    status: int
    request: Any
    response: Any
    events: list[list[Any]] | None

    @property
    def going(self) -> bool:
        """A run that was looked at while it was under way."""
        return isinstance(self.response, dict) and self.response.get("status") in _GOING

    @property
    def run(self) -> bool:
        return self.method == "GET" and re.search(r"/runs/run_\w+$", self.path) is not None


def tests() -> dict[str, list[Exchange]]:
    """The exchanges that concern us, by the test they were recorded in; none where there are no recordings."""
    path = folder() / NAME
    found: dict[str, list[Exchange]] = {}
    for exchange in read(path) if path.is_file() else ():
        if _OURS.match(exchange.path):
            found.setdefault(exchange.test, []).append(exchange)
    return found


def read(path: Path) -> list[Exchange]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [
        Exchange(
            row["test"],
            row["method"],
            row["path"],
            row["status"],
            row.get("request"),
            row.get("response"),
            row.get("events"),
        )
        for row in rows
    ]


def models_of(exchanges: list[Exchange]) -> list[dict[str, Any]]:
    """The models that the recorded list names."""
    return next((each.response["data"] for each in exchanges if each.path == "/models"), [])


@dataclass
class Turn:
    """What the model said in one turn: pieces of text or calls."""

    pieces: list[str]
    calls: list[dict[str, Any]]
    usage: dict[str, Any] | None


def turns_of(exchanges: list[Exchange]) -> list[Turn]:
    """The model's turns in a recorded test, in order. A run's usage was recorded as the sum over its turns."""
    turns: list[Turn] = []
    seen: set[str] = set()
    for exchange in exchanges:
        if exchange.events is not None:
            turns += _streamed_turns(exchange.events)
            continue
        for said in _objects(exchange.response):
            if said["id"] in seen:
                continue
            if said["object"] == "thread.message" and said["run_id"]:
                seen.add(said["id"])
                usage = _usage(exchanges, said["run_id"])
                turns.append(Turn([said["content"][0]["text"]["value"]], [], _less(usage, len(turns))))
            if said["object"] == "thread.run" and said["status"] == "requires_action":
                seen.add(said["id"])
                calls = said["required_action"]["submit_tool_outputs"]["tool_calls"]
                turns.append(Turn([], calls, {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}))
    return turns


def _less(usage: dict[str, Any], turns: int) -> dict[str, Any]:
    """What is left for the last turn when those before it used one token each way."""
    spent = {"prompt_tokens": turns, "completion_tokens": turns, "total_tokens": 2 * turns}
    return usage | {name: usage[name] - count for name, count in spent.items()}


def _objects(answer: Any) -> list[dict[str, Any]]:
    found = answer.get("data", [answer]) if isinstance(answer, dict) else []
    return [each for each in found if isinstance(each, dict) and "id" in each]


def _usage(exchanges: list[Exchange], run: str) -> dict[str, Any]:
    usages = [each.response["usage"] for each in exchanges if each.run and each.response["id"] == run]
    return dict(usages[-1])


def _streamed_turns(events: list[list[Any]]) -> list[Turn]:
    deltas = [data["delta"]["content"][0] for name, data in events if name == "thread.message.delta"]
    usage = [data["usage"] for name, data in events if name == "thread.run.completed"]
    return [Turn([delta["text"]["value"] for delta in deltas], [], usage[0])]


class RecordedModel:
    """A Chat Completions server on loopback that says one turn a request, once `go_on` was called for it."""

    def __init__(self, models: list[dict[str, Any]]) -> None:
        self.models = models
        self.turns: SimpleQueue[Turn] = SimpleQueue()
        self._gate = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def play(self, turns: list[Turn]) -> None:
        while not self.turns.empty():
            self.turns.get()
        for turn in turns:
            self.turns.put(turn)
        self.wait()

    def go_on(self) -> None:
        self._gate.set()

    def wait(self) -> None:
        self._gate.clear()

    def close(self) -> None:
        self._gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("application/json", json.dumps({"object": "list", "data": model.models}).encode())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                model._gate.wait(_LONGEST_ANSWER)
                self._answer("text/event-stream", model._said())

            def _answer(self, kind: str, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _said(self) -> bytes:
        try:
            turn = self.turns.get_nowait()
        except Empty:
            turn = Turn(["The recording has no further turn."], [], None)
        chunks = [chunk({"content": piece}) for piece in turn.pieces]
        chunks += [chunk({"tool_calls": [{"index": n, **call}]}) for n, call in enumerate(turn.calls)]
        chunks.append(chunk({}, "tool_calls" if turn.calls else "stop"))
        if turn.usage:
            chunks.append({**chunk(), "choices": [], "usage": turn.usage})
        return b"".join(event(each) for each in chunks) + DONE
