"""The process that is recorded: writers whose acknowledged rows are appended to the file `acks` of its folder.

Arguments: the folder, `full` or `normal`, rounds. Each round is a set of concurrent units; a row's body is its own
proof, twice the same text, one reversed. Prints how many units were refused because the disk was full.
"""

import asyncio
import os
import sys
from pathlib import Path
from random import Random
from typing import Literal, cast

from powerloss_schema import MIGRATIONS, sql

from respun.store.backend import Settings, StorageFull, Tx
from respun.store.opening import open_backend

WRITERS = 8


async def insert(tx: Tx, number: int, text: str) -> None:
    await tx.run(sql.insert, id=number, text=text, reverse=text[::-1])
    await tx.run(sql.touch, id=number // 2)


async def main(folder: Path, synchronous: str, rounds: int) -> None:
    chosen = cast("Literal['full', 'normal']", synchronous)
    settings = Settings(synchronous=chosen, reserve_bytes=0, checkpoint_pages=200)  # cuts must meet checkpoints
    backend = await open_backend(folder / "data", settings, MIGRATIONS)
    random, refused = Random(1), 0
    acks = os.open(folder / "acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for first in range(0, rounds * WRITERS, WRITERS):
        texts = {number: f"{number} " + "x" * random.randrange(10, 6000) for number in range(first, first + WRITERS)}
        units = [backend.write(lambda tx, n=n, text=text: insert(tx, n, text)) for n, text in texts.items()]
        ended = await asyncio.gather(*units, return_exceptions=True)
        for number, end in zip(texts, ended, strict=True):
            if end is None:
                os.write(acks, number.to_bytes(8, "big"))
            elif isinstance(end, StorageFull):
                refused += 1
            else:
                raise end
    rows = await backend.read(lambda tx: tx.one(sql.count))
    assert rows is not None
    print(refused, rows[0], flush=True)
    os._exit(0)  # the power goes, nothing is tidied


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
