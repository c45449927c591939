"""`respun serve` as a user starts and stops it."""

import http.client
import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.command import Command, Server
from respun.cli.banner import banner
from respun.cli.talk import HttpTalk
from respun.config import Config

Serve = Callable[..., Server]


def get(server: Server, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_the_banner_gives_the_address_for_code_and_says_who_answers(serve: Serve) -> None:
    server = serve()
    assert f"API      {server.origin}/v1" in server.banner
    assert f"Docs     {server.origin}/docs" in server.banner
    assert "data/respun.db  (SQLite)" in server.banner
    assert "The scripted model answers" in server.banner


def test_the_banner_shows_no_password_and_a_short_home(tmp_path: Path) -> None:
    config = Config(data=tmp_path / "data", models_folder=tmp_path, database="postgresql://ann:secret@db/respun")
    shown = banner("http://127.0.0.1:1", config, "Nobody.", tmp_path)
    assert "postgresql://ann:…@db/respun  (PostgreSQL)" in shown
    own = Config(data=tmp_path / "data", models_folder=tmp_path)
    assert "~/data/respun.db" in banner("http://127.0.0.1:1", own, "Nobody.", tmp_path)


def test_health_readiness_docs_and_description_are_served(serve: Serve) -> None:
    server = serve()
    assert get(server, "/healthz")[0] == get(server, "/health")[0] == 200
    assert json.loads(get(server, "/readyz")[1])["checks"] == {"store": "ok", "accepting": "ok"}
    assert "client = OpenAI(" in get(server, "/docs")[1]
    described = json.loads(get(server, "/openapi.json")[1])
    assert described["paths"]["/threads/{thread_id}/runs"]["post"]["operationId"] == "create_run"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_server_ends_well_and_lets_an_answer_finish(serve: Serve, number: int) -> None:
    server = serve()
    talk = HttpTalk(server.base_url, "any")
    assistant = talk.create_assistant("gpt-4-turbo", "Test", "Be slow.")
    thread = talk.create_thread()
    talk.add_message(thread, "@delay 0.1\n@say one two three four five six seven")
    pieces = talk.stream_run(thread, assistant)
    heard = [next(pieces)]
    server.process.send_signal(number)
    heard.extend(pieces)
    assert "".join(heard) == "one two three four five six seven"
    assert talk.last_run.status == "completed"
    assert server.process.wait(10) == 0


def test_a_public_address_without_a_key_is_refused_with_the_command_that_makes_one(command: Command) -> None:
    said = command("serve", "--host", "0.0.0.0", "--port", "0", "--data", "data", "--provider", "scripted")
    assert said.returncode == 2
    assert "without a key" in said.stderr
    fix = next(line.strip() for line in said.stderr.splitlines() if line.startswith("  respun "))
    assert command(*fix.split()[1:]).returncode == 0


def test_a_public_address_without_a_key_can_be_insisted_on_and_is_warned_of(serve: Serve) -> None:
    server = serve("--host", "0.0.0.0", "--insecure")
    assert get(server, "/v1/models")[0] == 200
    server.stop()
    assert any("anyone who reaches this server may use it" in line for line in server.logged)


def test_a_port_in_use_is_told_with_another_one(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = command("serve", "--port", str(port), "--data", "data", "--provider", "scripted")
    assert said.returncode == 2
    assert f"Port {port} is in use" in said.stderr
    assert f"--port {port + 1}" in said.stderr


def test_two_servers_cannot_share_a_folder(command: Command, serve: Serve) -> None:
    first = serve()
    said = command("serve", "--port", "0", "--data", str(first.data), "--provider", "scripted")
    assert said.returncode == 2
    assert "in use by another process" in said.stderr


def test_serving_is_the_verb_when_none_is_given(command: Command) -> None:
    said = command("--port", "nonsense")
    assert said.returncode == 2
    assert "--port must be a whole number" in said.stderr


def test_a_mistaken_flag_or_model_is_told(command: Command) -> None:
    assert "Did you mean" in command("serve", "--prot", "1").stderr
    said = command("serve", "--port", "0", "--data", "data", "--provider", "embedded", "--embedded-model", "gpt-9")
    assert said.returncode == 2
    assert "smollm2-135m" in said.stderr
