"""What the benches share: servers as processes of their own, what they cost, and a client that costs little itself.

Costs are run time as the scheduler accounts it (Linux): ratios of them hold on a busy machine, absolute times do not.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

BENCH = Path(__file__).parent
_TOKEN = re.compile(rb" (\d+\.\d{6})")
_WAIT = 20.0

FLOOR = """
import sys
from starlette.types import Receive, Scope, Send
import uvicorn
BODY = b'{"id":"' + b"x" * 400 + b'"}'
async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]})
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="uvloop", lifespan="off", access_log=False,
            log_level="error", server_header=False)
"""
"""A bare ASGI application under the same server."""


def cpu_seconds(pid: int) -> float:
    """Time on a processor of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def resident_kib(pid: int) -> int:
    """Memory of a process that is in use, in KiB."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Server:
    """A server process on a port of its own, and on a processor of its own if one is named."""

    def __init__(self, port: int, command: Sequence[str], core: int | None = None) -> None:
        self.port = port
        self.core = core
        environ = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": _sources()}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ)
        if core is not None:
            os.sched_setaffinity(self.process.pid, {core})
        _go_first(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    def spent(self) -> float:
        return cpu_seconds(self.pid)

    def resident(self) -> int:
        return resident_kib(self.pid)

    def wait(self) -> "Server":
        """Until it takes connections."""
        end = time.monotonic() + _WAIT
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return self
        raise SystemExit(f"Nothing listens on port {self.port}.")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    try:
        _go_first(os.getpid())
        for server in servers:
            server.wait()
        yield
    finally:
        for server in servers:
            server.stop()


def bare(folder: Path, core: int | None = None) -> Server:
    """The floor: what the web server under ours costs."""
    code = folder / "floor.py"
    code.write_text(FLOOR)
    port = free_port()
    return Server(port, [sys.executable, str(code), str(port)], core)


def respun(data: Path | str, *options: str, core: int | None = None) -> Server:
    """Our server over a data folder or a database."""
    port = free_port()
    where = f"--database={data}" if "://" in str(data) else f"--data={data}"
    command = [sys.executable, "-m", "respun", "serve", f"--port={port}", where, "--log-level=error", *options]
    return Server(port, command, core)


def paced_model(core: int | None = None) -> Server:
    """An upstream whose answers are as long and as fast as the name of the model asks (`paced_model.py`)."""
    port = free_port()
    return Server(port, [sys.executable, str(BENCH / "paced_model.py"), str(port)], core)


def behind(upstream: Server) -> str:
    """The option by which ours answers with that upstream."""
    return f"--openai-base-url=http://127.0.0.1:{upstream.port}/v1"


class Connection(asyncio.Protocol):
    """One keep-alive connection of a client. One request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._done: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._stream = False
        self.tokens: list[tuple[float, float]] = []
        """Of the last stream: when each token was sent by the model, and when it came here."""

    @classmethod
    async def to(cls, server: Server) -> "Connection":
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", server.port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(ConnectionError(f"closed after {bytes(self._buffer)[:200]!r}"))

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of a good answer; ends the bench at any other."""
        await self._send(method, path, body, stream=False)
        head, _, data = bytes(self._buffer).partition(b"\r\n\r\n")
        if b" 200 " not in head[:20]:
            raise SystemExit(f"{method} {path}: {data.decode()}")
        return json.loads(data)

    async def stream(self, path: str, body: object) -> None:
        """A streamed answer, to its end; `tokens` has what came."""
        self.tokens = []
        await self._send("POST", path, body, stream=True)

    async def _send(self, method: str, path: str, body: object, *, stream: bool) -> None:
        assert self._transport is not None
        payload = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer bench\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
        self._buffer.clear()
        self._stream = stream
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(head.encode() + payload)
        await self._done

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._stream:
            self._read_frames()
        elif self._whole():
            self._finish()

    def _whole(self) -> bool:
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        return len(rest) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])

    def _read_frames(self) -> None:
        now = time.monotonic()
        *frames, rest = bytes(self._buffer).split(b"\n\n")
        for frame in frames:
            if b"delta" in frame:
                self.tokens += [(float(sent), now) for sent in _TOKEN.findall(frame)]
        self._buffer[:] = rest
        if rest.endswith(b"0\r\n\r\n"):
            self._finish()
        elif b"content-length:" in rest.lower():
            raise SystemExit(f"No stream: {rest.decode()}")

    def _finish(self) -> None:
        if self._done and not self._done.done():
            self._done.set_result(None)


async def connections(server: Server, count: int) -> list[Connection]:
    return [await Connection.to(server) for _ in range(count)]


def direct_body(model: str) -> dict[str, Any]:
    """What a client would send to the upstream itself."""
    return {"model": model, "stream": True, "messages": [{"role": "user", "content": "Say something."}]}


DIRECT = "/v1/chat/completions"


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _go_first(pid: int) -> None:
    """Let the kernel run a process before what else runs here, so that waits are its own. Needs root."""
    with suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


def load() -> str:
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def _sources() -> str:
    return str(BENCH.parent / "src")
