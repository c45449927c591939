"""Who may ask: keys by three names, loopback without keys, and what foreign pages get."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from respun.store import keys
from respun.store.backend import Backend
from respun.store.keys import Key
from respun.store.opening import open_backend
from respun.web.auth import Auth, is_loopback

SECRET = "sk-respun-" + "s" * 43


class Answered:
    """What a request got: its status, its error, and the project it was let in for."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.project: str | None = None

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


class Door:
    """An application behind the middleware, with a clock that a test moves."""

    def __init__(self, backend: Backend, *, loopback: bool = True) -> None:
        self.clock = 100.0
        self._auth = Auth(self._inside, backend, loopback=loopback, monotonic=lambda: self.clock, now=lambda: 7.0)

    async def ask(self, path: str = "/v1/threads", **headers: str) -> Answered:
        answered = Answered()

        async def send(message: Any) -> None:
            answered.status = message.get("status", answered.status)
            answered.headers |= dict(message.get("headers", ()))
            answered.body += message.get("body", b"")

        async def receive() -> Any:
            return {"type": "http.request"}

        given = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": given}
        await self._auth(scope, receive, send)
        answered.project = scope.get("respun.project")
        return answered

    async def _inside(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})


@pytest_asyncio.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    backend = await open_backend(tmp_path / "data")
    yield backend
    await backend.close()


@pytest.fixture
def door(backend: Backend) -> Iterator[Door]:
    return Door(backend)


async def make(backend: Backend, secret: str = SECRET, project: str = "default") -> Key:
    key = Key(f"key_{project}", project, "", keys.hint_of(secret), 1.0)
    return await backend.write(lambda tx: keys.add(tx, secret, key))


async def test_on_loopback_without_keys_any_key_and_none_mean_the_default_project(door: Door) -> None:
    assert (await door.ask(host="localhost:8484")).project == "default"
    assert (await door.ask(host="127.0.0.1:8484", authorization="Bearer anything")).project == "default"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8484", "10.0.0.1:8484", "localhost.evil.example"])
async def test_names_of_other_machines_are_refused_without_keys(door: Door, host: str) -> None:
    refused = await door.ask(host=host)
    assert refused.status == 403
    assert refused.error["code"] == "foreign_host"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8484", "[::1]:8484", "respun.localhost:1"])
async def test_names_of_this_machine_are_let_in(door: Door, host: str) -> None:
    assert (await door.ask(host=host)).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000", "https://localhost:8484"])
async def test_pages_of_another_origin_are_refused_without_keys(door: Door, origin: str) -> None:
    refused = await door.ask(host="localhost:8484", origin=origin)
    assert refused.status == 403
    assert "`respun keys create`" in refused.error["message"]


async def test_pages_of_the_server_itself_are_let_in(door: Door) -> None:
    assert (await door.ask(host="localhost:8484", origin="http://localhost:8484")).status == 200


async def test_a_key_by_any_of_its_names_opens_its_project(door: Door, backend: Backend) -> None:
    await make(backend, project="team-a")
    assert (await door.ask(authorization=f"Bearer {SECRET}")).project == "team-a"
    assert (await door.ask(authorization=f"bearer {SECRET}")).project == "team-a"
    assert (await door.ask(x_api_key=SECRET)).project == "team-a"
    assert (await door.ask(api_key=SECRET, host="anything.example")).project == "team-a"


async def test_once_there_is_a_key_a_request_without_one_is_refused_in_openais_words(
    door: Door, backend: Backend
) -> None:
    await make(backend)
    refused = await door.ask(host="localhost")
    assert refused.status == 401
    assert refused.error["message"].startswith("You didn't provide an API key. You need to provide your API key in an ")
    assert (refused.error["type"], refused.error["code"]) == ("invalid_request_error", None)


async def test_a_wrong_key_is_refused_in_openais_words_and_masked(door: Door, backend: Backend) -> None:
    await make(backend)
    refused = await door.ask(authorization="Bearer not-a-real-key-but-quite-a-long-one-sanitized")
    assert refused.error["code"] == "invalid_api_key"
    assert refused.error["message"].startswith(f"Incorrect API key provided: not-a-re{'*' * 33}ized.")
    short = await door.ask(authorization="Bearer hunter2")
    assert "hunter2" not in short.error["message"]


async def test_a_revoked_key_stops_working_within_a_second_and_the_server_stays_closed(
    door: Door, backend: Backend
) -> None:
    key = await make(backend)
    assert (await door.ask(authorization=f"Bearer {SECRET}")).status == 200
    await backend.write(lambda tx: keys.revoke(tx, key.id, 2.0))
    door.clock += 1.0
    assert (await door.ask(authorization=f"Bearer {SECRET}")).status == 401
    assert (await door.ask(host="localhost")).status == 401


async def test_a_first_key_closes_an_open_server_within_a_second(door: Door, backend: Backend) -> None:
    assert (await door.ask(host="localhost")).status == 200
    await make(backend)
    door.clock += 1.0
    assert (await door.ask(host="localhost")).status == 401


async def test_the_last_use_of_a_key_is_noted(door: Door, backend: Backend) -> None:
    await make(backend)
    await door.ask(authorization=f"Bearer {SECRET}")
    async with asyncio.timeout(5):
        while (await backend.read(keys.listed))[0].last_used_at != 7.0:
            await asyncio.sleep(0.01)


async def test_health_is_public_and_the_docs_take_a_key_as_a_password(door: Door, backend: Backend) -> None:
    await make(backend)
    assert (await door.ask("/healthz")).status == 200
    asked = await door.ask("/docs")
    assert asked.status == 401
    assert asked.headers[b"www-authenticate"].startswith(b"Basic")
    password = b64encode(f"ann:{SECRET}".encode()).decode()
    assert (await door.ask("/docs", authorization=f"Basic {password}")).status == 200
    assert (await door.ask("/v1/threads", authorization=f"Basic {password}")).status == 401
    assert (await door.ask("/docs", authorization="Basic !")).status == 401


async def test_a_store_that_does_not_answer_is_no_open_door(door: Door, backend: Backend) -> None:
    await backend.close()
    refused = await door.ask(host="localhost")
    assert refused.status == 503


async def test_refusals_carry_the_headers_that_every_answer_has(door: Door, backend: Backend) -> None:
    foreign = await door.ask(host="evil.example")
    await make(backend)
    door.clock += 1.0
    keyless = await door.ask(host="localhost")
    await backend.close()
    door.clock += 1.0
    silent = await door.ask(host="localhost")
    assert [foreign.status, keyless.status, silent.status] == [403, 401, 503]
    ids = {refused.headers[b"x-request-id"] for refused in (foreign, keyless, silent)}
    assert len(ids) == 3
    for refused in (foreign, keyless, silent):
        assert refused.headers[b"openai-version"] == b"2020-10-01"
        assert int(refused.headers[b"openai-processing-ms"]) >= 1
    assert keyless.headers[b"x-should-retry"] == b"false"
    assert silent.headers[b"x-should-retry"] == b"true"
    assert silent.headers[b"retry-after"] == b"1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.com"])
def test_what_others_reach(host: str) -> None:
    assert not is_loopback(host)
