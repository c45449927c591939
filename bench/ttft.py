"""Time to the first token that the server adds, over calling the same upstream directly with the same client.

    python bench/ttft.py [--rounds 300] [--think 30]

Each round makes both calls, one after the other. Everything is durable: the run's creation is committed before
anything is shown. `--think` is the time, in ms, that the model takes before its first token; with 0 nothing of the
commit can hide behind it.
"""

import argparse
import tempfile
import time
from pathlib import Path

import uvloop

import lab


async def first_token(connection: lab.Connection, path: str, body: object) -> float:
    """Milliseconds from sending the request to the arrival of the first token."""
    started = time.monotonic()
    await connection.stream(path, body)
    return (connection.tokens[0][1] - started) * 1000


async def measure(upstream: lab.Server, ours: lab.Server, rounds: int, think: int) -> None:
    model = f"paced-4-100-{think}"
    direct, through = await lab.Connection.to(upstream), await lab.Connection.to(ours)
    assistant = (await through.call("POST", "/v1/assistants", {"model": model, "instructions": "Be brief."}))["id"]
    body = {"assistant_id": assistant, "stream": True, "additional_messages": [{"role": "user", "content": "Hello"}]}
    alone: list[float] = []
    added: list[float] = []
    for turn in range(rounds + 20):
        if turn % 20 == 0:
            thread = (await through.call("POST", "/v1/threads", {}))["id"]
        floor = await first_token(direct, lab.DIRECT, lab.direct_body(model))
        seen = await first_token(through, f"/v1/threads/{thread}/runs", body)
        if turn >= 20:
            alone.append(floor)
            added.append(seen - floor)
    p50, p99 = lab.percentile(added, 0.5), lab.percentile(added, 0.99)
    print(
        f"think {think:3} ms: direct p50 {lab.percentile(alone, 0.5):6.2f}  "
        f"added p50 {p50:5.2f} (goal 2)  p99 {p99:5.2f} (goal 8)   ms, {rounds} rounds, {lab.load()}"
    )


async def main(rounds: int, thinks: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        upstream = lab.paced_model(core=1)
        ours = lab.respun(Path(folder) / "data", lab.behind(upstream), core=0)
        with lab.running(upstream, ours):
            for think in thinks:
                await measure(upstream, ours, rounds, think)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=300)
    options.add_argument("--think", type=int, action="append")
    chosen = options.parse_args()
    uvloop.run(main(chosen.rounds, chosen.think or [0, 30]))
