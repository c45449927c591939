"""A process to be killed: writes pairs with eight writers and prints a line for each row that was acknowledged."""

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from notes import MIGRATIONS, put

from respun.store.backend import Backend, Settings, Tx
from respun.store.opening import open_backend


async def pair(tx: Tx, thread: str, number: int) -> None:
    await put(tx, thread, 2 * number, "x" * 500)
    await put(tx, thread, 2 * number + 1, "y" * 500)


async def write(backend: Backend, thread: str) -> None:
    for number in count():
        await backend.write(lambda tx, number=number: pair(tx, thread, number))
        os.write(1, f"{thread} {2 * number}\n{thread} {2 * number + 1}\n".encode())


async def main() -> None:
    backend = await open_backend(Path(sys.argv[1]), Settings(reserve_bytes=0), MIGRATIONS)
    os.write(1, b"ready\n")
    await asyncio.gather(*[write(backend, f"{sys.argv[2]}-{n}") for n in range(8)])


asyncio.run(main())
