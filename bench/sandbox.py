"""How fast and how small code interpreter sessions are. Run: python bench/sandbox.py [--sessions 100]

Prints one line a figure: the figure, its bound, and whether it holds. Cold Python is measured beside the fork
server in the same minute, interleaved, so that the ratio means something on a busy machine.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from respun.sandbox.launch import ProcessLaunch
from respun.sandbox.local import Local
from respun.sandbox.ports import Limits, Settings

PANDAS = "import pandas as pd\npd.DataFrame({'a': [1, 2]}).a.sum()"
COLD = "import numpy, matplotlib.pyplot, pandas as pd; print(pd.DataFrame({'a': [1, 2]}).a.sum())"
DEAF = "import signal\nsignal.signal(2, signal.SIG_IGN)\nx = bytearray(b'x' * (100 << 20))\nwhile True: pass"


async def first_results(sandbox: Local, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds to the first pandas result: in a new session, and in a cold Python without any walls."""
    warm, cold = [], []
    for number in range(rounds):
        began = time.perf_counter()
        await sandbox.create(f"first-{number}")
        result = await sandbox.run(f"first-{number}", PANDAS)
        warm.append(1000 * (time.perf_counter() - began))
        assert result.logs.strip() in ("3", "np.int64(3)"), result
        await sandbox.close(f"first-{number}")
        began = time.perf_counter()
        await asyncio.to_thread(subprocess.run, [sys.executable, "-I", "-c", COLD], check=True, capture_output=True)
        cold.append(1000 * (time.perf_counter() - began))
    return warm, cold


async def calls(sandbox: Local, rounds: int) -> list[float]:
    """Milliseconds of a call that does nothing, as its caller sees it."""
    await sandbox.create("calls")
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        await sandbox.run("calls", "1")
        spent.append(1000 * (time.perf_counter() - began))
    await sandbox.close("calls")
    return spent


async def kills(sandbox: Local, rounds: int) -> list[float]:
    """Milliseconds until a deaf, busy session of 100 MiB is gone, with its files."""
    spent = []
    for number in range(rounds):
        await sandbox.create(f"kill-{number}")
        call = asyncio.create_task(sandbox.run(f"kill-{number}", DEAF))
        await asyncio.sleep(0.5)
        began = time.perf_counter()
        await sandbox.close(f"kill-{number}")
        spent.append(1000 * (time.perf_counter() - began))
        assert (await call).session_lost
    return spent


async def crowd(sandbox: Local, sessions: int) -> tuple[list[float], list[float], float]:
    """Milliseconds to start each of many sessions, MiB that only it uses when idle, milliseconds for all to answer."""
    starts = []
    for number in range(sessions):
        began = time.perf_counter()
        await sandbox.create(f"crowd-{number}")
        await sandbox.run(f"crowd-{number}", PANDAS)
        starts.append(1000 * (time.perf_counter() - began))
    memory = [unique(sandbox.pid_of(f"crowd-{number}")) for number in range(sessions)]
    began = time.perf_counter()
    await asyncio.gather(*(sandbox.run(f"crowd-{number}", "sum(range(1000))") for number in range(sessions)))
    spent = 1000 * (time.perf_counter() - began)
    for number in range(sessions):
        await sandbox.close(f"crowd-{number}")
    return starts, memory, spent


def unique(pid: int | None) -> float:
    """MiB of pages that no other process shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def line(what: str, value: float, unit: str, most: float | None = None, more: str = "") -> None:
    bound = "" if most is None else f"  (at most {most:g} {unit}: {'holds' if value <= most else 'MISSED'})"
    print(f"{what:<52} {value:9.2f} {unit}{bound}  {more}".rstrip())


def spread(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return f"median of {len(ordered)}, p99 {ordered[int(0.99 * (len(ordered) - 1))]:.2f}, max {ordered[-1]:.2f}"


async def main(sessions: int, rounds: int) -> None:
    sandbox = Local(Settings(limits=Limits(grace_seconds=1)), ProcessLaunch(linked=False), own_users=False)
    began = time.perf_counter()
    ready = await sandbox.start()
    line("fork server ready, once a server start", time.perf_counter() - began, "s", more=", ".join(ready.ready))
    warm, cold = await first_results(sandbox, rounds)
    line("first pandas result in a new session", statistics.median(warm), "ms", 100, spread(warm))
    line("the same in a cold Python, no walls", statistics.median(cold), "ms", more=spread(cold))
    line("  ratio", statistics.median(cold) / statistics.median(warm), "x")
    spent = await calls(sandbox, 100 * rounds)
    line("a call's overhead", statistics.median(spent), "ms", 1, spread(spent))
    killed = await kills(sandbox, rounds)
    line("a deaf session of 100 MiB killed and removed", statistics.median(killed), "ms", 100, spread(killed))
    starts, memory, together = await crowd(sandbox, sessions)
    line(
        f"start and pandas, {sessions} sessions one after another", statistics.median(starts), "ms", 100, spread(starts)
    )
    line("unique memory of an idle session after pandas", statistics.median(memory), "MiB", 15, spread(memory))
    line(f"a call in each of {sessions} sessions at once, all answered", together, "ms")
    await sandbox.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    asyncio.run(main(given.sessions, given.rounds))
