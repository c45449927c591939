"""How soon the server is ready, what it holds while idle, and how many packages it takes.

    python bench/startup.py [--rounds 5]

Time and CPU from the start of the process until `/readyz` says yes, beside those of a bare ASGI application; memory
five seconds later; the packages of `requirements/core.txt`.
"""

import argparse
import asyncio
import re
import tempfile
import time
from pathlib import Path

import uvloop

import lab

IDLE = 5.0


def start(server: lab.Server, started: float) -> tuple[float, float]:
    """Seconds, and seconds of CPU, until it listens."""
    server.wait()
    return time.monotonic() - started, server.spent()


async def ready(server: lab.Server) -> None:
    connection = await lab.Connection.to(server)
    await connection.call("GET", "/readyz")
    connection.close()


async def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours_took, floor_took, memory = [], [], 0
        for turn in range(rounds):
            began = time.monotonic()
            floor = lab.bare(Path(folder))
            floor_took.append(start(floor, began))
            floor.stop()
            began = time.monotonic()
            ours = lab.respun(Path(folder) / f"data{turn % 2}", "--provider=scripted")
            ours_took.append(start(ours, began))
            await ready(ours)
            if turn == rounds - 1:
                await asyncio.sleep(IDLE)
                memory = ours.resident()
            ours.stop()
    packages = re.findall(r"^([\w.-]+)==", (lab.BENCH.parent / "requirements" / "core.txt").read_text(), re.MULTILINE)
    seconds, cpu = min(ours_took)
    floor_seconds, floor_cpu = min(floor_took)
    print(
        f"ready in {seconds:.2f} s (goal 1), CPU {cpu:.2f} s; a bare application {floor_seconds:.2f} s, "
        f"CPU {floor_cpu:.2f} s; best of {rounds}   {lab.load()}"
    )
    print(f"idle memory {memory / 1024:.1f} MB (goal 60)")
    print(f"{len(packages)} packages installed (goal 25): {', '.join(sorted(packages))}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    uvloop.run(main(options.parse_args().rounds))
