"""A server started as a user would start it: `python -m respun serve` in a process of its own, on loopback.

`server` is one for the whole session, with SQLite and the scripted model; `BOTH_STORES` runs a module's tests on
PostgreSQL as well. The base URL is read from the banner, so a test begins as soon as the server listens.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import pytest
import pytest_asyncio
from openai import AsyncOpenAI, OpenAI

BOTH_STORES = pytest.mark.parametrize("server", ["sqlite", "postgres"], indirect=True)

_SOURCE = Path(__file__).parents[2] / "src"
_LONGEST_START = 30.0
_QUICK = ["--provider", "scripted", "--poll-after-ms", "5", "--drain-seconds", "0.1", "--code-interpreter", "off"]
_API = re.compile(r"API\s+(http://\S+)/v1")


@dataclass(frozen=True, slots=True)
class Server:
    """`origin` is the address without a path, `base_url` what an SDK wants."""

    origin: str
    process: "subprocess.Popen[str]"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"


@contextmanager
def serving(data: Path, *flags: str, port: int = 0) -> Iterator[Server]:
    """A server with the scripted model and its data in a folder; it is stopped by Ctrl-C at the end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RESPUN_", "OPENAI_"))}
    command = [sys.executable, "-m", "respun", "serve", "--port", str(port), "--data", str(data)]
    with (data / "server.log").open("a") as log:
        process = subprocess.Popen(
            [*command, *_QUICK, *flags],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**environ, "PYTHONPATH": str(_SOURCE), "PYTHONUNBUFFERED": "1"},
        )
    try:
        yield Server(_origin(process, data / "server.log"), process)
    finally:
        _stop(process)


def _origin(process: "subprocess.Popen[str]", log: Path) -> str:
    assert process.stdout
    watchdog = Timer(_LONGEST_START, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            if found := _API.search(line):
                return found[1]
    finally:
        watchdog.cancel()
    raise AssertionError(f"The server ended before it listened. Its log says:\n{log.read_text()}")


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError("The server did not stop within 10 s of Ctrl-C.") from None
    finally:
        assert process.stdout
        process.stdout.close()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags: tuple[str, ...] = ()
    if getattr(request, "param", "sqlite") == "postgres":
        flags = ("--database", request.getfixturevalue("postgres").create())
    with serving(tmp_path_factory.mktemp("server"), *flags) as running:
        yield running


@pytest.fixture
def sdk(server: Server) -> Iterator[OpenAI]:
    """The stock SDK as a program would make it, but without retries, which would hide what went wrong."""
    with OpenAI(api_key="none", base_url=server.base_url, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture
async def async_sdk(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="none", base_url=server.base_url, max_retries=0) as client:
        yield client


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of a test's own with further flags, all on one data folder."""
    with ExitStack() as running:
        yield lambda *flags: running.enter_context(serving(tmp_path, *flags))
