"""The verbs that look and show: demo, doctor, config, models."""

import json
from collections.abc import Callable

import pytest

from plugins.command import Command, Server
from respun.cli.talk import HttpTalk, SdkTalk

Serve = Callable[..., Server]


def test_the_demo_holds_a_conversation_and_leaves_nothing_behind(command: Command) -> None:
    said = command("demo", "--scripted")
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("This is the scripted model") == 2
    assert said.stdout.count("completed") == 2
    assert "The thread holds 4 messages." in said.stdout
    assert not [path for path in command.home.rglob("*") if path.is_file()]


def test_the_demo_leaves_a_database_of_the_environment_alone(command: Command) -> None:
    said = command("demo", "--scripted", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert said.returncode == 0, said.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_plain_http_holds_the_same_conversation_as_the_sdk(serve: Serve) -> None:
    server = serve()
    for talk in (HttpTalk(server.base_url, "any"), SdkTalk(server.base_url, "any")):
        assert talk.first_model() == "scripted"
        assistant = talk.create_assistant("gpt-4-turbo", "Test", "Be short.")
        thread = talk.create_thread()
        talk.add_message(thread, "@say one two three")
        assert list(talk.stream_run(thread, assistant)) == ["one", " two", " three"]
        assert talk.last_run.status == "completed"
        assert talk.count_messages(thread) == 2
        talk.close()


def test_the_doctor_says_what_works_and_fails_when_something_does_not(command: Command) -> None:
    well = command("doctor", "--provider", "scripted", "--port", "0", "--code-interpreter", "off", "--json")
    assert well.returncode == 0
    assert {finding["what"]: finding["state"] for finding in json.loads(well.stdout)} == {
        "versions": "ok",
        "store": "ok",
        "port": "ok",
        "models": "ok",
        "upstream": "ok",
        "code": "note",
    }
    ill = command("doctor", "--port", "0", "--code-interpreter", "off", OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    assert ill.returncode == 1
    assert "✗ upstream" in ill.stdout


def test_the_doctor_says_why_code_cannot_be_run(command: Command) -> None:
    asked = ("doctor", "--provider", "scripted", "--port", "0", "--code-python", "/nonexistent/python")
    said = command(*asked)
    assert said.returncode == 0, "a server without a code interpreter is no broken one"
    assert "no code_interpreter: process: the interpreter /nonexistent/python does not start" in said.stdout
    assert command(*asked, "--code-interpreter", "process").returncode == 1, "but one that was asked for is"


def test_the_doctor_knows_a_respun_that_runs(command: Command, serve: Serve) -> None:
    server = serve()
    port = server.origin.rpartition(":")[2]
    off = ("--code-interpreter", "off")
    said = command("doctor", "--provider", "scripted", "--port", port, "--data", str(server.data), *off)
    assert said.returncode == 0, said.stdout
    assert "is served by a respun that runs now" in said.stdout


def test_the_settings_are_shown_with_their_sources_and_no_secret(command: Command) -> None:
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz"
    (command.home / "respun.toml").write_text("max_turns = 7")
    said = command("config", "--json", "--port", "9", OPENAI_API_KEY=secret)
    rows = json.loads(said.stdout)
    assert rows["port"] == {"value": "9", "source": "--port"}
    assert rows["max_turns"] == {"value": "7", "source": "respun.toml"}
    assert rows["openai_api_key"]["source"] == "OPENAI_API_KEY"
    assert secret not in said.stdout
    assert secret not in command("config", OPENAI_API_KEY=secret).stdout


def test_the_models_are_listed_with_size_and_licence(command: Command) -> None:
    said = command("models", "list").stdout
    assert "smollm2-135m" in said
    assert "98 MB, Apache-2.0" in said
    assert "respun models get qwen2.5-coder-1.5b" in said
    unknown = command("models", "get", "gpt-9")
    assert unknown.returncode == 2
    assert "smollm2-135m" in unknown.stderr
