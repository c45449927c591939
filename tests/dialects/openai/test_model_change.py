"""When the embedding model changes, the old vectors serve until every file has new ones; then the new ones do, at once.

Both models are endpoints on loopback with vectors of their own length; the new one can be held back.
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import pytest
from openai import OpenAI

from plugins.postgres import PostgresDatabases
from plugins.server import Server, serving

MEANINGS = (("boat", "vessel", "ship"), ("cat", "kitten"), ("sun", "star"))


class Model:
    """Answers with vectors of `dims` numbers, of which only a few mean something; `gate` holds answers back."""

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self.gate = Event()
        self.gate.set()
        self.asked = 0
        self.url = ""

    def vector(self, text: str) -> list[float]:
        said = [0.1 + sum(word in text.lower() for word in words) for words in MEANINGS]
        return [*said, *[0.01] * (self.dims - len(said))]


@contextmanager
def answering(dims: int) -> Iterator[Model]:
    model = Model(dims)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model.gate.wait(60)
            model.asked += 1
            data = [{"index": at, "embedding": model.vector(text)} for at, text in enumerate(given["input"])]
            body = json.dumps({"data": data}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        model.url = f"http://127.0.0.1:{server.server_port}/v1"
        yield model
        model.gate.set()
        server.shutdown()


def flags(model: Model, name: str) -> tuple[str, ...]:
    named = ("--embeddings-base-url", model.url, "--embeddings-model", name)
    return ("--embeddings", "endpoint", *named, "--embeddings-dimensions", str(model.dims))


@pytest.fixture(params=["sqlite", "postgres"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    more: tuple[str, ...] = ()
    if request.param == "postgres":
        postgres: PostgresDatabases = request.getfixturevalue("postgres")
        more = ("--database", postgres.create())
    with ExitStack() as running:
        yield lambda *given: running.enter_context(serving(tmp_path, *given, *more))


def put(sdk: OpenAI, store: str, name: str, text: str) -> None:
    file = sdk.files.create(file=(name, text.encode()), purpose="assistants")
    sdk.vector_stores.files.create_and_poll(file.id, vector_store_id=store, poll_interval_ms=20)


def end(server: Server, how: signal.Signals = signal.SIGINT) -> None:
    server.process.send_signal(how)
    server.process.wait(30)


def best(sdk: OpenAI, store: str, query: str) -> dict[str, Any]:
    found: Any = sdk.vector_stores.search(store, query=query).to_dict()["data"]
    return dict(found[0]) if found else {}


def cosine(found: dict[str, Any]) -> float | None:
    value: float | None = found["respun"]["found_by"]["cosine"] if found else None
    return value


def wait(condition: Callable[[], bool]) -> None:
    until = monotonic() + 60
    while not condition():
        assert monotonic() < until
        sleep(0.05)


def test_the_old_vectors_serve_until_the_last_file_has_new_ones(start: Callable[..., Server]) -> None:
    with answering(8) as old, answering(12) as new:
        first = start(*flags(old, "old"))
        with OpenAI(api_key="none", base_url=first.base_url) as sdk:
            store = sdk.vector_stores.create().id
            put(sdk, store, "harbour.txt", "The ship left the harbour.")
            put(sdk, store, "pets.txt", "A cat sleeps all day.")
            before = best(sdk, store, "vessel")
            assert before["filename"] == "harbour.txt"
        end(first)
        new.gate.clear()
        second = start(*flags(new, "new"))
        with OpenAI(api_key="none", base_url=second.base_url) as sdk:
            # No word is shared: only the old vectors can have found it, as they did before.
            assert best(sdk, store, "vessel") == before
            new.gate.set()
            wait(lambda: new.asked >= 2 and cosine(best(sdk, store, "vessel")) != cosine(before))
            asked = old.asked
            assert best(sdk, store, "vessel")["filename"] == "harbour.txt"
            put(sdk, store, "sky.txt", "The sun is up.")
            assert best(sdk, store, "star")["filename"] == "sky.txt"
            assert old.asked == asked
        end(second, signal.SIGKILL)
        third = start(*flags(new, "new"))
        with OpenAI(api_key="none", base_url=third.base_url) as sdk:
            assert best(sdk, store, "kitten")["filename"] == "pets.txt"


def test_words_serve_where_the_old_model_is_gone(start: Callable[..., Server]) -> None:
    with answering(12) as new:
        with answering(8) as old:
            first = start(*flags(old, "old"))
            with OpenAI(api_key="none", base_url=first.base_url) as sdk:
                store = sdk.vector_stores.create().id
                put(sdk, store, "harbour.txt", "The ship left the harbour.")
            end(first)
        new.gate.clear()
        second = start(*flags(new, "new"))
        with OpenAI(api_key="none", base_url=second.base_url) as sdk:
            by_words = best(sdk, store, "harbour")
            assert (by_words["filename"], cosine(by_words)) == ("harbour.txt", None)
            new.gate.set()
            wait(lambda: cosine(best(sdk, store, "vessel")) is not None)
