"""Makes the objects that generated tests need, each fresh and in the state that an operation wants."""

import time
from typing import Any

import httpx2

WEATHER = {"type": "function", "function": {"name": "weather"}}
CONTENT = b"Hello, it is warm in Rome."
_LONGEST_WAIT = 20.0


class Maker:
    """Makes objects on the server."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx2.Client(base_url=base_url, timeout=30)

    def assistant(self) -> str:
        body = {"model": "scripted", "instructions": "Be brief.", "tools": [WEATHER]}
        return str(self._post("/assistants", body)["id"])

    def thread(self, script: str = "@say Hi") -> str:
        return str(self._post("/threads", {"messages": [{"role": "user", "content": script}]})["id"])

    def file(self, purpose: str = "assistants") -> str:
        content = {"file": ("a.txt", CONTENT)}
        answer = self.http.post("/files", data={"purpose": purpose}, files=content)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def upload(self) -> str:
        wanted = {"bytes": len(CONTENT), "filename": "a.txt", "mime_type": "text/plain", "purpose": "assistants"}
        return str(self._post("/uploads", wanted)["id"])

    def part(self, upload: str) -> str:
        answer = self.http.post(f"/uploads/{upload}/parts", files={"data": ("a", CONTENT)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def store(self) -> str:
        return str(self._post("/vector_stores", {"name": "A store"})["id"])

    def file_in(self, store: str) -> str:
        """A file of the store, once it has been read."""
        file = self._post(f"/vector_stores/{store}/files", {"file_id": self.file()})
        until = time.monotonic() + _LONGEST_WAIT
        while file["status"] == "in_progress":
            assert time.monotonic() < until, file
            time.sleep(0.01)
            file = self.http.get(f"/vector_stores/{store}/files/{file['id']}").json()
        assert file["status"] == "completed", file
        return str(file["id"])

    def batch(self, store: str) -> str:
        return str(self._post(f"/vector_stores/{store}/file_batches", {"file_ids": [self.file()]})["id"])

    def message(self, thread: str) -> str:
        return str(self._post(f"/threads/{thread}/messages", {"role": "user", "content": "@say Hi"})["id"])

    def run(self, thread: str, status: str) -> dict[str, Any]:
        """A run of the thread, once it has the status."""
        run = self._post(f"/threads/{thread}/runs", {"assistant_id": self.assistant()})
        until = time.monotonic() + _LONGEST_WAIT
        while run["status"] != status:
            assert time.monotonic() < until, run
            time.sleep(0.002)
            run = self.http.get(f"/threads/{thread}/runs/{run['id']}").json()
        return run

    def step(self, run: dict[str, Any]) -> str:
        steps = self.http.get(f"/threads/{run['thread_id']}/runs/{run['id']}/steps").json()
        return str(steps["data"][0]["id"])

    def _post(self, path: str, body: Any) -> dict[str, Any]:
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())
