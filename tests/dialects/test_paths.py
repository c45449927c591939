"""Paths find their routes."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from respun.dialects.paths import PathTree, under


class Named:
    """Answers with its name and the parameters of the path."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        params = ",".join(f"{key}={value}" for key, value in scope.get("path_params", {}).items())
        await PlainTextResponse(f"{self._name} {params}".strip())(scope, receive, send)


def found(path: str) -> str:
    routes = [
        Route("/threads/{thread}", Named("thread")),
        Route("/threads/{thread}/runs", Named("runs")),
        Route("/threads/search", Named("search")),
        Route("/models/{model:path}", Named("model")),
    ]
    tree = PathTree([*routes, *under("/v1", routes), Route("/v1/{rest:path}", Named("unknown"))], Named("default"))
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    asyncio.run(tree(scope, receive, send))
    body: bytes = sent[1]["body"]
    return body.decode()


def test_a_literal_segment_comes_before_a_parameter_in_whatever_order_they_are_given() -> None:
    assert found("/threads/search") == "search"
    assert found("/threads/abc") == "thread thread=abc"


def test_a_literal_that_leads_nowhere_may_still_be_a_parameter() -> None:
    assert found("/threads/search/runs") == "runs thread=search"


def test_a_parameter_is_one_segment_and_never_an_empty_one() -> None:
    assert found("/threads/") == "default"
    assert found("/threads/a/b") == "default"
    assert found("/threads/a/") == "default"


def test_all_that_is_left_may_have_slashes() -> None:
    assert found("/models/meta/llama") == "model model=meta/llama"
    assert found("/v1/models/meta/llama") == "model model=meta/llama"


def test_what_no_route_takes_under_a_prefix_stays_there() -> None:
    assert found("/v1/threads/a/b") == "unknown rest=threads/a/b"
    assert found("/elsewhere") == "default"
