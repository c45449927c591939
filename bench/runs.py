"""Server CPU of a whole streamed run of 20 tokens, at 16 clients, beside a bare ASGI application's request.

    python bench/runs.py [--runs 800]

A run is created with a message, streamed to its end and stored. The model gives its tokens all at once, or 50 a
second, so that each is an event of its own.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvloop

import lab

CLIENTS = 16
TOKENS = 20


async def floor_us(bare: lab.Server, requests: int) -> float:
    clients = await lab.connections(bare, CLIENTS)
    turns = iter(range(requests))

    async def client(connection: lab.Connection) -> None:
        for _ in turns:
            await connection.call("POST", "/", {"content": "Hello"})

    before = bare.spent()
    await asyncio.gather(*map(client, clients))
    return (bare.spent() - before) / requests * 1e6


async def run_us(ours: lab.Server, model: str, runs: int) -> float:
    """CPU microseconds a run; each client begins a thread of its own with every fifth."""
    clients = await lab.connections(ours, CLIENTS)
    assistant = (await clients[0].call("POST", "/v1/assistants", {"model": model}))["id"]
    body = {"assistant_id": assistant, "stream": True, "additional_messages": [{"role": "user", "content": "Hello"}]}

    async def client(connection: lab.Connection, turns: Iterator[int]) -> None:
        for number, _ in enumerate(turns):
            if number % 5 == 0:
                thread = (await connection.call("POST", "/v1/threads", {}))["id"]
            await connection.stream(f"/v1/threads/{thread}/runs", body)
            if len(connection.tokens) != TOKENS:
                raise SystemExit(f"A stream had {len(connection.tokens)} tokens instead of {TOKENS}.")

    warm = iter(range(CLIENTS * 4))
    await asyncio.gather(*(client(one, warm) for one in clients))
    before, turns = ours.spent(), iter(range(runs))
    await asyncio.gather(*(client(one, turns) for one in clients))
    return (ours.spent() - before) / runs * 1e6


async def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        upstream, bare = lab.paced_model(core=1), lab.bare(Path(folder), core=0)
        ours = lab.respun(Path(folder) / "data", lab.behind(upstream), core=0)
        with lab.running(upstream, bare, ours):
            for name, model in (("at once", f"paced-{TOKENS}-0-0"), ("50 a second", f"paced-{TOKENS}-50-0")):
                floor = await floor_us(bare, 1000)
                spent = await run_us(ours, model, runs)
                print(
                    f"{TOKENS} tokens {name:12} {spent:7.0f} us a run (goal 1000)   floor {floor:4.0f} us a request, "
                    f"ratio {spent / floor:5.1f}   {lab.load()}"
                )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=800)
    uvloop.run(main(options.parse_args().runs))
