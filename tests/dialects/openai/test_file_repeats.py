"""Requests about files, uploads and vector stores that come again have one effect, as those about threads have."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import pytest

from plugins.server import BOTH_STORES, Server

pytestmark = BOTH_STORES
_numbers = count()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=30) as client:
        yield client


def file(http: httpx.Client) -> str:
    answer = http.post("/files", data={"purpose": "assistants"}, files={"file": ("a.txt", b"Hello")})
    return str(answer.json()["id"])


def thrice(http: httpx.Client, method: str, path: str, body: Any = None) -> list[Any]:
    """What the SDK is answered that sends a request, gives it up, and sends it again, all of them at once."""

    def once(retries: int) -> Any:
        answer = http.request(method, path, json=body, headers={"x-stainless-retry-count": str(retries)})
        assert answer.status_code == 200, answer.text
        return answer.json()

    with ThreadPoolExecutor() as pool:
        return list(pool.map(once, range(3)))


def ids(answers: list[Any]) -> set[str]:
    return {answer["id"] for answer in answers}


def test_a_vector_store_is_made_once_and_deleted_once(http: httpx.Client):
    made = thrice(http, "POST", "/vector_stores", {"name": f"Store {next(_numbers)}", "file_ids": [file(http)]})
    (store,) = ids(made)
    assert http.delete(f"/vector_stores/{store}").status_code == 200
    again = http.delete(f"/vector_stores/{store}", headers={"x-stainless-retry-count": "1"})
    assert again.json() == {"id": store, "object": "vector_store.deleted", "deleted": True}
    assert http.delete(f"/vector_stores/{store}").status_code == 404


def test_a_batch_is_added_once(http: httpx.Client):
    store = http.post("/vector_stores", json={}).json()["id"]
    batches = thrice(http, "POST", f"/vector_stores/{store}/file_batches", {"file_ids": [file(http)]})
    assert len(ids(batches)) == 1
    assert http.get(f"/vector_stores/{store}").json()["file_counts"]["total"] == 1


def test_an_upload_is_begun_once_completed_once_and_cancelled_once(http: httpx.Client):
    wanted = {"bytes": 5, "filename": f"{next(_numbers)}.txt", "mime_type": "text/plain", "purpose": "assistants"}
    (upload,) = ids(thrice(http, "POST", "/uploads", wanted))
    part = http.post(f"/uploads/{upload}/parts", files={"data": ("data", b"Hello")}).json()["id"]
    first = http.post(f"/uploads/{upload}/complete", json={"part_ids": [part]}).json()
    repeated = {"x-stainless-retry-count": "1"}
    again = http.post(f"/uploads/{upload}/complete", json={"part_ids": [part]}, headers=repeated).json()
    assert (again["status"], again["file"]["id"]) == ("completed", first["file"]["id"])
    assert http.post(f"/uploads/{upload}/complete", json={"part_ids": [part]}).status_code == 400

    (other,) = ids(thrice(http, "POST", "/uploads", {**wanted, "filename": f"{next(_numbers)}.txt"}))
    assert http.post(f"/uploads/{other}/cancel").json()["status"] == "cancelled"
    assert http.post(f"/uploads/{other}/cancel", headers=repeated).json()["status"] == "cancelled"
    assert http.post(f"/uploads/{other}/cancel").status_code == 400


def form(http: httpx.Client, path: str, retries: int, name: str, content: bytes, **fields: str) -> httpx.Response:
    """A form as the SDKs send it: each try chooses a boundary of its own."""
    part = "data" if path.endswith("/parts") else "file"
    headers = {"x-stainless-retry-count": str(retries)}
    return http.post(path, data=fields, files={part: (name, content)}, headers=headers)


def test_a_file_that_is_sent_again_is_one_file(http: httpx.Client):
    name, content = f"{next(_numbers)}.txt", b"Hello" * 100_000

    def once(retries: int) -> Any:
        return form(http, "/files", retries, name, content, purpose="assistants").json()

    with ThreadPoolExecutor() as pool:
        (made,) = ids(list(pool.map(once, range(3))))
    assert [each["id"] for each in http.get("/files").json()["data"] if each["filename"] == name] == [made]
    for other in (
        form(http, "/files", 1, name, content[:-1] + b"!", purpose="assistants"),
        form(http, "/files", 1, f"other-{name}", content, purpose="assistants"),
        form(http, "/files", 1, name, content, purpose="vision"),
        form(http, "/files", 0, name, content, purpose="assistants"),
    ):
        assert other.json()["id"] != made


def test_a_file_that_was_deleted_since_is_made_anew(http: httpx.Client):
    name = f"{next(_numbers)}.txt"
    first = form(http, "/files", 0, name, b"Hello", purpose="assistants").json()["id"]
    http.delete(f"/files/{first}")
    again = form(http, "/files", 1, name, b"Hello", purpose="assistants").json()["id"]
    assert again != first
    assert http.get(f"/files/{again}").json()["bytes"] == 5


def test_a_part_that_is_sent_again_is_one_part(http: httpx.Client):
    wanted = {"bytes": 5, "filename": f"{next(_numbers)}.txt", "mime_type": "text/plain", "purpose": "assistants"}
    upload = http.post("/uploads", json=wanted).json()["id"]
    path = f"/uploads/{upload}/parts"
    with ThreadPoolExecutor() as pool:
        (part,) = ids(
            [answer.json() for answer in pool.map(lambda n: form(http, path, n, "upload", b"Hello"), range(3))]
        )
    whole = http.post(f"/uploads/{upload}/complete", json={"part_ids": [part]}).json()
    assert (whole["status"], whole["file"]["bytes"]) == ("completed", 5)


def test_a_file_is_deleted_once(http: httpx.Client):
    made = file(http)
    first = http.delete(f"/files/{made}").json()
    assert http.delete(f"/files/{made}", headers={"x-stainless-retry-count": "2"}).json() == first
    assert http.delete(f"/files/{made}").status_code == 404


def test_who_comes_too_early_with_a_key_is_told_to_try_again(http: httpx.Client):
    key = {"idempotency-key": f"key-{next(_numbers)}"}

    def once(_: int) -> httpx.Response:
        return http.post("/vector_stores", json={"name": "Keyed"}, headers=key)

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(once, range(5)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert all(answer.headers["x-should-retry"] == "true" for answer in answers if answer.status_code == 409)
