"""Server CPU of the everyday calls, beside the same server with an application that does nothing.

    python bench/crud.py [requests per call]

Eight connections, durable writes included. The figures are run time of the whole server process as the scheduler
accounts it, per request; ratios to the bare floor hold on a busy machine, absolute times do not.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

CONNECTIONS = 8
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

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Use = Callable[[Connection, int], Awaitable[object]]


def cpu_seconds(pid: int) -> float:
    """Time on a processor of all threads of a process, from the scheduler's own accounts (Linux)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class Server:
    """A server process on a port of its own."""

    def __init__(self, port: int, *command: str) -> None:
        self.port = port
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def connect(self) -> Connection:
        for _ in range(200):
            try:
                return await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.05)
        raise SystemExit(f"Nothing listens on port {self.port}.")

    async def call(self, connection: Connection, method: str, path: str, body: object = None) -> Any:
        reader, writer = connection
        payload = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nauthorization: Bearer bench\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
        writer.write(head.encode() + payload)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        data = await reader.readexactly(length)
        if b" 200 " not in answer[:20]:
            raise SystemExit(f"{method} {path}: {data.decode()}")
        return json.loads(data)

    async def measure(self, requests: int, use: Use) -> float:
        """CPU microseconds a request."""
        connections = [await self.connect() for _ in range(CONNECTIONS)]
        turns = iter(range(requests))

        async def client(connection: Connection) -> None:
            for turn in turns:
                await use(connection, turn)

        before = cpu_seconds(self.process.pid)
        await asyncio.gather(*(client(connection) for connection in connections))
        spent = cpu_seconds(self.process.pid) - before
        for _, writer in connections:
            writer.close()
        return spent / requests * 1e6


async def main(requests: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "floor.py"
        code.write_text(FLOOR)
        floor = Server(18501, sys.executable, str(code), "18501")
        ours = Server(
            18502,
            sys.executable,
            "-m",
            "respun",
            "serve",
            "--port=18502",
            f"--data={folder}/data",
            "--provider=scripted",
        )
        try:
            await compare(floor, ours, requests)
        finally:
            for server in (floor, ours):
                server.process.terminate()
                server.process.wait(30)


async def compare(floor: Server, ours: Server, requests: int) -> None:
    connection = await ours.connect()
    thread = (await ours.call(connection, "POST", "/v1/threads", {}))["id"]
    messages = f"/v1/threads/{thread}/messages"
    made: list[str] = []

    async def create_message(connection: Connection, turn: int) -> None:
        body = {"role": "user", "content": f"Message {turn} of the bench, about as long as people write."}
        made.append((await ours.call(connection, "POST", messages, body))["id"])

    calls: dict[str, Use] = {
        "create thread": lambda c, turn: ours.call(c, "POST", "/v1/threads", {}),
        "create message": create_message,
        "retrieve message": lambda c, turn: ours.call(c, "GET", f"{messages}/{made[turn % len(made)]}"),
        "list 20 messages": lambda c, turn: ours.call(c, "GET", f"{messages}?limit=20"),
    }
    body = {"role": "user", "content": "Message of the bench, about as long as people write."}
    where = f"({os.cpu_count()} cores, load {os.getloadavg()[0]:.1f})"
    print(f"{'':18}{'floor us':>10}{'ours us':>10}{'ratio':>8}{'wall us':>10}   {where}")
    for name, use in calls.items():
        posts = name.startswith("create")
        bare = await floor.measure(
            requests,
            lambda c, turn, posts=posts: floor.call(c, "POST" if posts else "GET", "/", body if posts else None),
        )
        started = time.perf_counter()
        spent = await ours.measure(requests, use)
        wall = (time.perf_counter() - started) / requests * 1e6
        print(f"{name:18}{bare:10.0f}{spent:10.0f}{spent / bare:8.1f}{wall:10.0f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
