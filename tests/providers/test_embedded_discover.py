"""Where models come from when nothing is configured: real servers on loopback, found within their time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from respun.providers.catalogue import QWEN_CODER_15B, SMOLLM2
from respun.providers.discover import (
    FoundEmbedded,
    FoundKey,
    FoundNothing,
    FoundServer,
    LocalAddress,
    discover,
)
from respun.providers.hardware import Machine

FIT = Machine(system="Linux", arch="aarch64", cores=4, libc="glibc", free_bytes=8_000_000_000)
CLOSED = LocalAddress("Ollama", "http://127.0.0.1:9")

Start = Callable[[str, str], Awaitable[LocalAddress]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a server that answers /v1/models with the text it is given."""
    async with AsyncExitStack() as servers:

        async def start(name: str, text: str, pause: float = 0.0) -> LocalAddress:
            async def models(request: web.Request) -> web.Response:
                await asyncio.sleep(pause)
                return web.Response(text=text, content_type="application/json")

            app = web.Application()
            app.router.add_get("/v1/models", models)
            server = await servers.enter_async_context(TestServer(app, host="127.0.0.1"))
            return LocalAddress(name, str(server.make_url("")).rstrip("/"))

        yield start


async def test_a_key_in_the_environment_comes_first_and_is_not_repeated(start: Start, tmp_path: Path) -> None:
    ollama = await start("Ollama", '{"data": [{"id": "llama3"}]}')
    environ = {"OPENAI_API_KEY": "sk-secret", "OPENAI_BASE_URL": "https://user:pass@models.example/v1/"}
    found = await discover(environ, FIT, tmp_path, addresses=[ollama])
    assert found == FoundKey("https://user:pass@models.example/v1", has_key=True)
    assert found.sentence == "Models come from models.example, because OPENAI_API_KEY is set."
    assert "sk-secret" not in repr(found)


async def test_an_address_in_the_environment_needs_no_key(tmp_path: Path) -> None:
    found = await discover({"OPENAI_BASE_URL": "http://127.0.0.1:5000/v1"}, FIT, tmp_path, addresses=[])
    assert found == FoundKey("http://127.0.0.1:5000/v1", has_key=False)
    assert found.sentence == "Models come from 127.0.0.1:5000, because OPENAI_BASE_URL is set."


async def test_a_local_server_is_found_with_its_models(start: Start, tmp_path: Path) -> None:
    ollama = await start(
        "Ollama", '{"object": "list", "data": [{"id": "llama3"}, {"id": "nomic-embed-text"}, {"id": "qwen3"}]}'
    )
    found = await discover({"OPENAI_API_KEY": " "}, FIT, tmp_path, addresses=[CLOSED, ollama])
    assert found == FoundServer("Ollama", f"{ollama.origin}/v1", ("llama3", "qwen3"))
    assert found.sentence == f"Models come from Ollama at {ollama.origin.removeprefix('http://')}: llama3 and 1 more."


async def test_the_earlier_of_two_servers_wins_even_if_it_is_slower(start: Start, tmp_path: Path) -> None:
    slow = await start("Ollama", '{"data": [{"id": "llama3"}]}', 0.1)
    quick = await start("LM Studio", '{"data": [{"id": "phi"}]}')
    found = await discover({}, FIT, tmp_path, addresses=[slow, quick])
    assert isinstance(found, FoundServer)
    assert found.server == "Ollama"


@pytest.mark.parametrize(
    "text",
    [
        '{"data": []}',
        '{"data": [{"id": "nomic-embed-text"}]}',
        "<html>a web page</html>",
        "[]",
        '{"data": 5}',
        " " * 2_000_000,
    ],
    ids=["no model", "embeds only", "a web page", "a list", "nonsense", "too long"],
)
async def test_another_program_on_the_port_is_passed_over(start: Start, tmp_path: Path, text: str) -> None:
    found = await discover({}, FIT, tmp_path, addresses=[await start("Ollama", text)])
    assert found == FoundEmbedded(SMOLLM2, present=False)


async def test_silent_ports_together_cost_the_time_of_one(start: Start, tmp_path: Path) -> None:
    silent = [await start(name, "{}", 5.0) for name in ("Ollama", "llama-server", "LM Studio")]
    begun = time.monotonic()
    found = await discover({}, FIT, tmp_path, addresses=silent, seconds=0.2)
    assert time.monotonic() - begun < 0.5
    assert isinstance(found, FoundEmbedded)


async def test_the_embedded_model_says_what_it_will_fetch(tmp_path: Path) -> None:
    found = await discover({}, FIT, tmp_path, addresses=[CLOSED])
    assert found == FoundEmbedded(SMOLLM2, present=False)
    assert found.sentence.endswith("It is fetched when first used (98 MB).")


async def test_the_ablest_pulled_model_that_fits_into_memory_is_taken(tmp_path: Path) -> None:
    for model in (SMOLLM2, QWEN_CODER_15B):
        with (tmp_path / model.file).open("wb") as file:
            file.truncate(model.size)
    small = msgspec.structs.replace(FIT, free_bytes=1_000_000_000)
    assert await discover({}, FIT, tmp_path, addresses=[]) == FoundEmbedded(QWEN_CODER_15B, present=True)
    assert await discover({}, small, tmp_path, addresses=[]) == FoundEmbedded(SMOLLM2, present=True)


async def test_a_machine_that_can_run_no_model_is_told_why_and_what_to_do(tmp_path: Path) -> None:
    old = msgspec.structs.replace(FIT, arch="x86_64")
    found = await discover({}, old, tmp_path, addresses=[])
    assert isinstance(found, FoundNothing)
    assert "AVX2" in found.sentence
    assert "OPENAI_API_KEY" in found.sentence
