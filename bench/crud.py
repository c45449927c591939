"""Server CPU of the everyday calls, beside the same server with an application that does nothing.

    python bench/crud.py [requests per call]

Eight connections, durable writes included. The figures are run time of the whole server process as the scheduler
accounts it, per request; ratios to the bare floor hold on a busy machine, absolute times do not.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

import lab

CONNECTIONS = 8
GOAL = 250
Use = Callable[[lab.Connection, int], Awaitable[object]]


async def measure(server: lab.Server, requests: int, use: Use) -> float:
    """CPU microseconds a request."""
    connections = await lab.connections(server, CONNECTIONS)
    turns = iter(range(requests))

    async def client(connection: lab.Connection) -> None:
        for turn in turns:
            await use(connection, turn)

    before = server.spent()
    await asyncio.gather(*map(client, connections))
    for connection in connections:
        connection.close()
    return (server.spent() - before) / requests * 1e6


async def calls(ours: lab.Server) -> dict[str, Use]:
    first = await lab.Connection.to(ours)
    thread = (await first.call("POST", "/v1/threads", {}))["id"]
    first.close()
    messages = f"/v1/threads/{thread}/messages"
    made: list[str] = []

    async def create_message(connection: lab.Connection, turn: int) -> None:
        body = {"role": "user", "content": f"Message {turn} of the bench, about as long as people write."}
        made.append((await connection.call("POST", messages, body))["id"])

    return {
        "create thread": lambda connection, turn: connection.call("POST", "/v1/threads", {}),
        "create message": create_message,
        "retrieve message": lambda connection, turn: connection.call("GET", f"{messages}/{made[turn % len(made)]}"),
        "list 20 messages": lambda connection, turn: connection.call("GET", f"{messages}?limit=20"),
    }


async def main(requests: int) -> None:
    body = {"role": "user", "content": "Message of the bench, about as long as people write."}
    with tempfile.TemporaryDirectory() as folder:
        floor = lab.bare(Path(folder))
        ours = lab.respun(Path(folder) / "data", "--provider=scripted")
        with lab.running(floor, ours):
            print(f"{'':18}{'floor us':>10}{'ours us':>10}{'ratio':>8}{'wall us':>10}   (goal {GOAL} us; {lab.load()})")
            for name, use in (await calls(ours)).items():
                method, sent = ("POST", body) if name.startswith("create") else ("GET", None)
                bare = await measure(floor, requests, lambda c, turn, m=method, s=sent: c.call(m, "/", s))
                started = time.perf_counter()
                spent = await measure(ours, requests, use)
                wall = (time.perf_counter() - started) / requests * 1e6
                print(f"{name:18}{bare:10.0f}{spent:10.0f}{spent / bare:8.1f}{wall:10.0f}")


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
