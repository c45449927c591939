"""The command as a user calls it: a subprocess with an environment of its own; servers end with their test."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
_LONGEST = 60.0


@dataclass
class Server:
    """A `respun serve` that listens."""

    process: "subprocess.Popen[str]"
    origin: str
    data: Path
    banner: str
    logged: list[str] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@dataclass(frozen=True)
class Command:
    """Calls `respun` in a folder where nothing is set but what a test says."""

    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.home), "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", **more}

    def __call__(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "respun", *words],
            cwd=self.home,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )

    def serve(self, *words: str, **variables: str) -> Server:
        """With the scripted model on a free port, once it listens."""
        data = self.home / "data"
        flags = ["--port", "0", "--data", str(data), "--provider", "scripted", "--code-interpreter", "off", *words]
        process = subprocess.Popen(
            [sys.executable, "-m", "respun", "serve", *flags],
            cwd=self.home,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return _listening(process, data)


def _listening(process: "subprocess.Popen[str]", data: Path) -> Server:
    assert process.stdout
    assert process.stderr
    impatience = threading.Timer(_LONGEST, process.kill)
    impatience.start()
    said = ""
    for line in process.stdout:
        said += line
        if "Ctrl-C" in line:
            break
    impatience.cancel()
    found = re.search(r"(http://\S+)/v1\b", said)
    if found is None:
        process.kill()
        raise AssertionError(f"The server did not listen: {said}{process.stderr.read()}")
    server = Server(process, found[1], data, said)
    threading.Thread(target=lambda: server.logged.extend(process.stderr or ()), daemon=True).start()
    return server


@pytest.fixture
def command(tmp_path: Path) -> Command:
    home = tmp_path / "home"
    home.mkdir()
    return Command(home)


@pytest.fixture
def serve(command: Command) -> Iterator[Callable[..., Server]]:
    """Start servers: `serve("--host", "0.0.0.0", RESPUN_KEY="...")`."""
    servers: list[Server] = []

    def start(*words: str, **variables: str) -> Server:
        servers.append(command.serve(*words, **variables))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()
        for stream in (server.process.stdout, server.process.stderr):
            if stream:
                stream.close()
