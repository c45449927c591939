"""Many streams at a time on one core: how much of a direct call's tokens comes through, how late, at what memory.

    python bench/streams.py [--streams 200 --rate 50 --seconds 20]

Without options: 200 and 300 streams of 50 tokens a second, and 1,000 of 10 a second. The server has a processor to
itself, the model and the clients share the other one. A token is late by the time between its sending and its
arrival; the same streams taken directly from the model say how late it would be without the server.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

import lab

STARTS = 50
"""Streams begun a second: this measures streams under way, not a rush of new runs (`runs.py` has their cost)."""


class Seen:
    """What came of all streams within the time that the model takes for them."""

    def __init__(self, streams: Sequence[lab.Connection], started: float, seconds: float) -> None:
        self.whole = sum(len(stream.tokens) for stream in streams)
        in_time = [pair for stream in streams for pair in stream.tokens if pair[1] <= started + seconds + 1.0]
        self.tokens = len(in_time)
        self.late_ms = sorted((came - sent) * 1000 for sent, came in in_time)

    def late(self, share: float) -> float:
        return lab.percentile(self.late_ms, share)


async def all_at_once(streams: list[lab.Connection], paths: Sequence[str], body: object, seconds: float) -> Seen:
    started = time.monotonic()

    async def one(number: int, stream: lab.Connection) -> None:
        await asyncio.sleep(number / STARTS)
        await stream.stream(paths[number], body)

    await asyncio.gather(*(one(number, stream) for number, stream in enumerate(streams)))
    for stream in streams:
        stream.close()
    return Seen(streams, started, seconds + len(streams) / STARTS)


async def threads(ours: lab.Server, count: int) -> list[str]:
    connection = await lab.Connection.to(ours)
    made = [(await connection.call("POST", "/v1/threads", {}))["id"] for _ in range(count)]
    connection.close()
    return made


async def most_memory(ours: lab.Server) -> int:
    """The most memory seen, in KiB, until cancelled."""
    most = 0
    try:
        while True:
            most = max(most, ours.resident())
            await asyncio.sleep(0.2)
    except asyncio.CancelledError:
        return most


async def compare(upstream: lab.Server, ours: lab.Server, count: int, rate: int, seconds: int) -> None:
    model = f"paced-{rate * seconds}-{rate}-0"
    direct = await all_at_once(
        await lab.connections(upstream, count), [lab.DIRECT] * count, lab.direct_body(model), seconds
    )
    made = await threads(ours, count)
    streams = await lab.connections(ours, count)
    assistant = (await streams[0].call("POST", "/v1/assistants", {"model": model}))["id"]
    body = {"assistant_id": assistant, "stream": True, "additional_messages": [{"role": "user", "content": "Hello"}]}
    idle, spent = ours.resident(), ours.spent()
    watching = asyncio.create_task(most_memory(ours))
    through = await all_at_once(streams, [f"/v1/threads/{thread}/runs" for thread in made], body, seconds)
    watching.cancel()
    most, spent = await watching, ours.spent() - spent
    print(
        f"{count:5} x {rate:2}/s: tokens in time {through.tokens / direct.tokens:.3f} of direct (goal 0.95), "
        f"lost {direct.whole - through.whole}, late p50 {through.late(0.5):6.1f} p99 {through.late(0.99):6.1f} ms "
        f"(direct {direct.late(0.5):.1f}, {direct.late(0.99):.1f}; goal +20), "
        f"{(most - idle) / count:5.1f} KiB a stream (goal 30), {spent / through.whole * 1e6:4.0f} us CPU a token, "
        f"core {spent / (seconds + count / STARTS) * 100:3.0f} %   {lab.load()}"
    )


async def main(cases: list[tuple[int, int]], seconds: int) -> None:
    for count, rate in cases:
        with tempfile.TemporaryDirectory() as folder:
            upstream = lab.paced_model(core=1)
            ours = lab.respun(Path(folder) / "data", lab.behind(upstream), core=0)
            with lab.running(upstream, ours):
                await compare(upstream, ours, 20, 50, 1)
                await compare(upstream, ours, count, rate, seconds)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--streams", type=int)
    options.add_argument("--rate", type=int, default=50)
    options.add_argument("--seconds", type=int, default=20)
    chosen = options.parse_args()
    given = [(chosen.streams, chosen.rate)] if chosen.streams else [(200, 50), (300, 50), (1000, 10)]
    uvloop.run(main(given, chosen.seconds))
