"""SIGHUP: a server that runs takes the routes of respun.toml as they are now."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from openai import AsyncOpenAI, OpenAI

from plugins.command import Command, Server
from plugins.upstream import FakeUpstream, saying, streamed
from respun.cli.talk import HttpTalk

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
Serve = Callable[..., Server]
DEAD = '{ base_url = "http://127.0.0.1:1/v1" }'


@pytest.fixture
def routes(command: Command) -> Callable[[str], Path]:
    """Write the file of a server's settings."""

    def write(text: str) -> Path:
        file = command.home / "respun.toml"
        file.write_text(text)
        return file

    return write


def hang_up(server: Server, told: str) -> str:
    """Send SIGHUP and wait for the line that the log gives to it."""
    known = len(server.logged)
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        for line in server.logged[known:]:
            if told in line:
                return line
        time.sleep(0.02)
    raise AssertionError(f"The log never said '{told}': {server.logged}")


def names(server: Server) -> set[str]:
    with OpenAI(api_key="none", base_url=server.base_url, max_retries=0) as sdk:
        return {model.id for model in sdk.models.list()}


def test_routes_that_were_added_answer_and_those_that_went_do_not(serve: Serve, routes: Callable[[str], Path]) -> None:
    routes('[models]\n"first" = { upstream = "scripted" }')
    server = serve("--provider", "auto")
    assert names(server) == {"first"}
    routes('[upstreams.house]\nbase_url = "http://127.0.0.1:1/v1"\n[models]\n"second" = { upstream = "house" }')
    assert "second" in hang_up(server, "routes reloaded")
    assert names(server) == {"second"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[models", "is not valid TOML"),
        ('[models]\n"first" = { upstream = "nowhere" }', "there is no upstream 'nowhere'"),
        ('[models]\n"a" = { upstream = "scripted", fallback = ["gone"] }', "no route serves its fallback 'gone'"),
    ],
)
def test_a_file_that_can_not_be_used_changes_nothing_and_says_why_once(
    serve: Serve, routes: Callable[[str], Path], text: str, reason: str
) -> None:
    routes('[models]\n"first" = { upstream = "scripted" }')
    server = serve("--provider", "auto")
    routes(text)
    assert reason in hang_up(server, "the routes stay as they were")
    assert names(server) == {"first"}
    assert sum("the routes stay as they were" in line for line in server.logged) == 1
    routes('[models]\n"third" = { upstream = "scripted" }')
    hang_up(server, "routes reloaded")
    assert names(server) == {"third"}


def test_an_answer_under_way_goes_on_with_the_routes_it_began_with(serve: Serve, routes: Callable[[str], Path]) -> None:
    routes('[models]\n"model" = { upstream = "scripted" }')
    server = serve("--provider", "auto")
    talk = HttpTalk(server.base_url, "any")
    assistant = talk.create_assistant("model", "Test", "Be slow.")
    thread = talk.create_thread()
    talk.add_message(thread, "@delay 0.1\n@say one two three four five six seven")
    pieces = talk.stream_run(thread, assistant)
    heard = [next(pieces)]
    routes(f'[models]\n"model" = {DEAD}')
    hang_up(server, "routes reloaded")
    heard.extend(pieces)
    assert "".join(heard) == "one two three four five six seven"
    assert talk.last_run.status == "completed"
    talk.add_message(thread, "@say again")
    assert list(talk.stream_run(thread, assistant)) == []
    assert talk.last_run.status == "failed"


@pytest_asyncio.fixture
async def house() -> AsyncIterator[FakeUpstream]:
    upstream = FakeUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


async def test_a_run_is_held_to_its_schema_on_a_server_without_schemas(
    serve: Serve, routes: Callable[[str], Path], house: FakeUpstream
) -> None:
    routes(
        f'[upstreams.house]\nbase_url = "{house.base_url}"\njson_schema = false\n'
        '[models]\n"*" = { upstream = "house" }'
    )
    server = await asyncio.to_thread(serve, "--provider", "auto")
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    async with AsyncOpenAI(api_key="none", base_url=server.base_url, max_retries=0) as sdk:
        assistant = await sdk.beta.assistants.create(model="any", response_format=wanted)  # type: ignore[arg-type]
        bad, good = streamed(*saying('{"age": "old"}')), streamed(*saying('{"age": 7}'))
        house.script = [bad, good]
        run = await sdk.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
        assert run.status == "completed"
        assert run.usage is not None
        assert (run.usage.prompt_tokens, run.usage.completion_tokens) == (22, 4)
        answer = (await sdk.beta.threads.messages.list(run.thread_id)).data[0].content[0]
        assert answer.type == "text"
        assert answer.text.value == '{"age": 7}'
        house.script = [bad]
        run = await sdk.beta.threads.create_and_run_poll(assistant_id=assistant.id, poll_interval_ms=20)
    assert run.status == "failed"
    assert run.last_error is not None
    assert "at $.age, the value is not of type" in run.last_error.message
