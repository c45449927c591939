"""A proxy for generated tests, which name objects that no server has: `assistant_id`, `thread_id`, cursor `after`.

In front of the server it makes a fresh object in the state that an operation wants, for each request, and puts its id
where the literal stood; it leaves out what no server can serve. The server itself knows nothing of it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import shim_files
from makers import Maker

REWRITES = (
    "the ids `assistant_id`, `thread_id`, `message_id`, `run_id` and `step_id` become those of fresh objects",
    "a run to cancel is under way, one to submit to waits, any other is completed; outputs get the ids of its calls",
    "`limit=0` and the cursors `after` and `before` that are no ids are left out",
    "`file_id` and `string`, where they stand for a file, become the id of an uploaded file",
    "attachments of messages and `tool_resources.file_search`, whose files are made up, and the tool "
    "`code_interpreter` of runs, which needs a sandbox on the machine, are left out",
    "the model `gpt-6-astra` becomes one that the server offers",
    *shim_files.REWRITES,
)
"""What is done to requests; docs/conformance.md lists it."""

_HEADERS = ("content-type", "openai-beta", "accept", "authorization")


class Rewriting:
    """One request as it can be served."""

    def __init__(self, maker: Maker, method: str, target: str, body: bytes) -> None:
        self._maker = maker
        parts = urlsplit(target)
        self.method = method
        self.path = parts.path
        self.query = parts.query
        self.sent = body
        self.body: Any = json.loads(body) if body[:1] in (b"{", b"[") else None
        self._run: dict[str, Any] | None = None
        self._rewrite_path()
        self._rewrite_query()
        if isinstance(self.body, dict):
            self._rewrite_body(self.body)
        self.path, self.body = shim_files.rewritten(maker, self.method, self.path, self.body)

    def _rewrite_path(self) -> None:
        self.path = self.path.replace("/models/gpt-6-astra", "/models/scripted")
        if "/assistant_id" in self.path:
            self.path = self.path.replace("/assistant_id", f"/{self._maker.assistant()}")
        if "/thread_id" not in self.path:
            return
        thread = self._maker.thread(self._script())
        self.path = self.path.replace("/thread_id", f"/{thread}")
        if "/message_id" in self.path:
            self.path = self.path.replace("/message_id", f"/{self._maker.message(thread)}")
        if "/run_id" in self.path:
            self._run = self._maker.run(thread, self._status())
            self.path = self.path.replace("/run_id", f"/{self._run['id']}")
        if "/step_id" in self.path and self._run:
            self.path = self.path.replace("/step_id", f"/{self._maker.step(self._run)}")

    def _script(self) -> str:
        return {"in_progress": "@hang", "requires_action": "@call weather", "completed": "@say Hi"}[self._status()]

    def _status(self) -> str:
        if self.path.endswith("/cancel"):
            return "in_progress"
        return "requires_action" if self.path.endswith("/submit_tool_outputs") else "completed"

    def _rewrite_query(self) -> None:
        pairs = parse_qsl(self.query, keep_blank_values=True)
        bogus = {
            ("limit", "0"),
            ("after", "after"),
            ("before", "before"),
            ("run_id", "run_id"),
            ("purpose", "purpose"),
        }
        self.query = urlencode([pair for pair in pairs if pair not in bogus])

    def _rewrite_body(self, body: dict[str, Any]) -> None:
        if body.get("assistant_id") == "assistant_id":
            body["assistant_id"] = self._maker.assistant()
            body.pop("tools", None)
        if "tool_outputs" in body and self._run:
            calls = self._run["required_action"]["submit_tool_outputs"]["tool_calls"]
            body["tool_outputs"] = [
                {"output": "20", **each, "tool_call_id": call["id"]}
                for each, call in zip(body["tool_outputs"], calls, strict=True)
            ]
        for part in (body, body.get("thread") or {}):
            self._give_files(part)

    def _give_files(self, part: dict[str, Any]) -> None:
        resources = part.get("tool_resources") or {}
        resources.pop("file_search", None)
        if "code_interpreter" in resources:
            resources["code_interpreter"]["file_ids"] = [self._maker.file()]
        for message in (part, *part.get("messages", ()), *part.get("additional_messages", ())):
            message.pop("attachments", None)

    @property
    def content(self) -> bytes | None:
        """The body as it is sent on; a form stays as it came."""
        return (self.sent or None) if self.body is None else json.dumps(self.body).encode()

    @property
    def target(self) -> str:
        return self.path + (f"?{self.query}" if self.query else "")


@contextmanager
def shimmed(base_url: str) -> Iterator[str]:
    """The base URL of the proxy. Its paths have no /v1."""
    maker = Maker(base_url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = Rewriting(maker, self.command, self.path, body)
            headers = {name: self.headers[name] for name in _HEADERS if name in self.headers}
            answer = maker.http.request(asked.method, asked.target, content=asked.content, headers=headers)
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers.get("content-type", "application/json"))
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        maker.http.close()
