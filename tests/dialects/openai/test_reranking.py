"""A reranker's order counts where one is set, and nothing is lost where it fails or is late."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from openai import OpenAI

from plugins.server import Server

KEY = "a-key-of-the-judge"
TEXTS = {
    "one.txt": "The heron eats fish. The heron.",
    "two.txt": "A heron was drawn on the wall.",
    "three.txt": "Bread",
}


class Judge:
    """An endpoint that prefers what was drawn, in the way of Cohere; `fault` makes it fail."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        judge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                judge.asked.append({**asked, "path": self.path})
                judge.keys.append(self.headers["authorization"])
                if judge.fault == "late":
                    sleep(1.5)
                self.send_response(500 if judge.fault == "broken" else 200)
                self.end_headers()
                self.wfile.write(judge.answer(asked["documents"]))

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, documents: list[str]) -> bytes:
        if self.fault == "short":
            return b'{"results": []}'
        good, bad = (7.5, -3.0) if self.fault == "logits" else (0.9, 0.1)
        scores = [
            {"index": at, "relevance_score": good if "drawn" in text else bad} for at, text in enumerate(documents)
        ]
        return json.dumps({"results": scores[::-1]}).encode()


@pytest.fixture
def judge() -> Iterator[Judge]:
    made = Judge()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def searched(start_server: Callable[..., Server], judge: Judge, tmp_path: Path) -> Iterator[Any]:
    address = f"http://127.0.0.1:{judge.server.server_address[1]}/v1"
    settings = tmp_path / "respun.toml"
    settings.write_text(f'rerank_api_key = "{KEY}"')
    flags = (
        "--config",
        str(settings),
        "--rerank-base-url",
        address,
        "--rerank-model",
        "judge-1",
        "--rerank-seconds",
        "1",
    )
    served = start_server("--embeddings", "none", *flags)
    with OpenAI(api_key="none", base_url=served.base_url) as sdk:
        store = sdk.vector_stores.create().id
        streams = [(name, text.encode()) for name, text in TEXTS.items()]
        sdk.vector_stores.file_batches.upload_and_poll(store, files=streams)

        def search(**options: Any) -> list[tuple[str, float, float | None]]:
            found = sdk.vector_stores.search(store, query="heron", **options).to_dict()["data"]
            return [(each["filename"], each["score"], each["respun"]["found_by"]["rerank_score"]) for each in found]  # type: ignore[index,attr-defined]

        yield search


def test_what_the_reranker_prefers_comes_first(searched: Any, judge: Judge) -> None:
    assert searched() == [("two.txt", 0.9, 0.9), ("one.txt", 0.1, 0.1)]
    (asked,) = judge.asked
    assert (asked["path"], asked["model"], asked["query"]) == ("/v1/rerank", "judge-1", "heron")
    assert searched(max_num_results=1)[0][0] == "two.txt"
    assert searched(ranking_options={"score_threshold": 0.5}) == [("two.txt", 0.9, 0.9)]
    judge.fault = "logits"
    assert [round(score, 3) for _, score, _ in searched()] == [0.999, 0.047]


@pytest.mark.parametrize("fault", [None, "broken"])
def test_its_key_is_sent_in_a_header_and_nowhere_else(
    searched: Any, judge: Judge, tmp_path: Path, fault: str | None
) -> None:
    judge.fault = fault
    searched()
    assert set(judge.keys) == {f"Bearer {KEY}"}
    assert KEY not in str(judge.asked)
    assert KEY not in (tmp_path / "server.log").read_text()


def test_who_wants_no_ranker_has_none(searched: Any, judge: Judge) -> None:
    assert [name for name, _, _ in searched(ranking_options={"ranker": "none"})] == ["one.txt", "two.txt"]
    assert judge.asked == []


@pytest.mark.parametrize("fault", ["broken", "short", "late"])
def test_without_its_answer_passages_stay_as_they_were(searched: Any, judge: Judge, fault: str) -> None:
    judge.fault = fault
    assert [(name, again) for name, _, again in searched()] == [("one.txt", None), ("two.txt", None)]
    asked = len(judge.asked)
    judge.fault = None
    # One that was late is left alone for a while.
    assert [again for _, _, again in searched()] == ([None, None] if fault == "late" else [0.9, 0.1])
    assert len(judge.asked) == (asked if fault == "late" else asked + 1)
