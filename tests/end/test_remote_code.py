"""The remote back-end as a user sets it up: a server, a key in its environment, and a stand-in for the provider."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openai import OpenAI

from plugins.server import serving
from sandbox.backends import make
from sandbox.e2b import KEY, Provider

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


@pytest_asyncio.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    async with Provider(make("process", tmp_path)).serving() as serving_provider:
        yield serving_provider


def flags(provider: Provider) -> list[str]:
    address = provider.url + "/{port}/{machine}"
    return ["--code-interpreter", "remote", "--code-remote-url", provider.url, "--code-remote-address", address]


def one_run(base_url: str) -> str:
    """What a run of one cell shows, and the content of the file it makes."""
    sdk = OpenAI(api_key="none", base_url=base_url, max_retries=0)
    code = "print(6 * 7)\nopen('/mnt/data/made.txt', 'w').write('made')"
    script = f"@call code_interpreter {json.dumps({'code': code})}\n@then\n@say See sandbox:/mnt/data/made.txt"
    tools: Any = [{"type": "code_interpreter"}]
    who = sdk.beta.assistants.create(model="scripted", tools=tools)
    thread = sdk.beta.threads.create(messages=[{"role": "user", "content": script}])
    run = sdk.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=who.id)
    assert run.status == "completed", run.last_error
    part = sdk.beta.threads.messages.list(thread.id).data[0].content[-1]
    assert part.type == "text"
    (note,) = part.text.annotations
    assert note.type == "file_path"
    made = sdk.files.content(note.file_path.file_id).read().decode()
    sdk.beta.threads.delete(thread.id)
    return made


async def test_code_runs_where_the_settings_say_and_a_deleted_thread_ends_its_machine(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E2B_API_KEY", KEY)
    folder = tmp_path / "server"
    folder.mkdir()

    def use() -> str:
        with serving(folder, *flags(provider), "--code-remote-template", "mine") as server:
            made = one_run(server.base_url)
            assert provider.machines == set()
            return made

    assert await asyncio.to_thread(use) == "made"
    assert provider.asked[0]["templateID"] == "mine"
    assert provider.asked[0]["allow_internet_access"] is False
    assert KEY not in (folder / "server.log").read_text()


@pytest.mark.parametrize(
    ("key", "code", "says"),
    [
        (KEY, 0, "code_interpreter runs in remote"),
        ("e2b_wrong_key", 1, "remote: the provider of remote machines answered 401"),
        (None, 2, "code_interpreter = 'remote' needs the key of its provider: set E2B_API_KEY."),
    ],
)
async def test_the_doctor_says_whether_the_provider_takes_the_key(
    provider: Provider, tmp_path: Path, key: str | None, code: int, says: str
) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RESPUN_", "OPENAI_", "E2B_"))}
    environ |= {"E2B_API_KEY": key} if key else {}
    data = ["--data", str(tmp_path / "data"), "--provider", "scripted", "--port", "0"]
    command = [sys.executable, "-m", "respun", "doctor", *data, *flags(provider)]
    done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True, check=False)
    assert says in done.stdout + done.stderr
    assert done.returncode == code
    assert key is None or key not in done.stdout + done.stderr
