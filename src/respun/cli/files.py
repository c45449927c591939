"""`respun files`: bring files to a running server and into a vector store, and watch them being read.

Each file is put into the store with its path and its SHA-256 as attributes: so who is interrupted brings only the rest.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from respun.cli.options import Refusal

if TYPE_CHECKING:
    from aiohttp import ClientSession

_ADDRESS: Final = "http://127.0.0.1:8484/v1"
_LOOK_SECONDS: Final = 0.5
_WIDTH: Final = 40
_AT_ONCE: Final = 4
_LONGEST_PATH: Final = 512


@click.group()
def files() -> None:
    """Bring files to a running server."""


@files.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--store", metavar="ID", help="The vector store to add them to, instead of a new one.")
@click.option("--name", metavar="TEXT", help="The name of the new vector store.  [default: that of the first path]")
@click.option("--url", metavar="URL", default=_ADDRESS, help=f"The server's base_url.  [default: {_ADDRESS}]")
def add(paths: tuple[Path, ...], store: str | None, name: str | None, url: str) -> None:
    """Upload files, and all files below folders, into a vector store, and wait until each has been read.

    After an interruption the same with --store brings what the store has not got yet, and what could not be read.

    A key, where the server wants one, is taken from RESPUN_KEY.
    """
    chosen = [path for given in paths for path in _below(given)]
    if not chosen:
        raise Refusal("There is no file below these paths.")
    progress = _bar if sys.stdout.isatty() else _line
    failed: list[tuple[str, str]] = []
    why: BaseException | None = None
    try:
        failed = asyncio.run(_add(url.rstrip("/"), chosen, store, name or paths[0].resolve().name, progress))
    except* (OSError, _Refused) as errors:
        why = _first(errors)
    if why:
        raise click.ClickException(f"{url}: {why}. Is the server running? `respun serve` starts one.")
    for path, reason in failed:
        click.echo(f"  not read: {path}: {reason}", err=True)
    if failed:
        raise click.exceptions.Exit(1)


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    return next((_first(each) if isinstance(each, BaseExceptionGroup) else each) for each in errors.exceptions)


class _Refused(Exception):
    """The server's own sentence."""


def _below(given: Path) -> list[Path]:
    """The file itself, or what is in the folder; hidden files and folders stay out."""
    if given.is_file():
        return [given]
    found = (path for path in sorted(given.rglob("*")) if path.is_file())
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(given).parts)]


async def _add(
    url: str, paths: list[Path], store: str | None, name: str, progress: Callable[[str, int, int], None]
) -> list[tuple[str, str]]:
    """What could not be read, with the reason."""
    import aiohttp

    headers = {"Authorization": f"Bearer {os.environ.get('RESPUN_KEY') or 'not-needed'}"}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        if store is None:
            store = (await _ask(session, "POST", f"{url}/vector_stores", json={"name": name[:256]}))["id"]
            click.echo(f"Vector store {store}; should this be interrupted, go on with --store {store}.")
        bringing = _Bringing(session, url, store, len(paths), progress)
        await bringing.bring(paths)
        await _watch(session, bringing.address, set(bringing.names), progress)
        failed = bringing.refused
        failed += [(bringing.names[id], why) for id, why in await _faults(session, bringing.address, bringing.names)]
        click.echo(f"{store}: {len(paths) - len(failed)} of {len(paths)} files can be searched.")
        return failed


class _Bringing:
    """Several files at once on their way into a store; `names` are the paths of those that are in it, by id."""

    def __init__(
        self, session: "ClientSession", url: str, store: str, total: int, progress: Callable[[str, int, int], None]
    ) -> None:
        self.address = f"{url}/vector_stores/{store}"
        self.names: dict[str, str] = {}
        self.refused: list[tuple[str, str]] = []
        self._session = session
        self._url = url
        self._total = total
        self._progress = progress
        self._done = 0
        self._there: dict[tuple[str, str], str] = {}

    async def bring(self, paths: list[Path]) -> None:
        held = await _pages(self._session, f"{self.address}/files?order=asc")
        self._there = {
            _mark(one["attributes"]): one["id"] for one in held if one["status"] in ("in_progress", "completed")
        }
        waiting = iter(paths)
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._some(waiting))

    async def _some(self, waiting: Iterator[Path]) -> None:
        for path in waiting:
            try:
                self.names[await self._one(path)] = str(path)
            except _Refused as refused:
                self.refused.append((str(path), str(refused)))
            except (PermissionError, FileNotFoundError) as fault:
                self.refused.append((str(path), fault.strerror or "it can't be opened"))
            self._done += 1
            self._progress("uploaded", self._done, self._total)

    async def _one(self, path: Path) -> str:
        attributes = {"path": str(path)[-_LONGEST_PATH:], "sha256": await asyncio.to_thread(_digest, path)}
        if there := self._there.get(_mark(attributes)):
            return there
        file = await _upload(self._session, self._url, path)
        try:
            await _ask(self._session, "POST", f"{self.address}/files", json={"file_id": file, "attributes": attributes})
        except _Refused:
            await _ask(self._session, "DELETE", f"{self._url}/files/{file}")
            raise
        return file


def _mark(attributes: dict[str, Any]) -> tuple[str, str]:
    return str(attributes.get("path")), str(attributes.get("sha256"))


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


async def _upload(session: "ClientSession", url: str, path: Path) -> str:
    import aiohttp

    with path.open("rb") as content:
        form = aiohttp.FormData()
        form.add_field("purpose", "assistants")
        form.add_field("file", content, filename=path.name)
        ident: str = (await _ask(session, "POST", f"{url}/files", data=form))["id"]
        return ident


async def _watch(
    session: "ClientSession", store: str, waited: set[str], progress: Callable[[str, int, int], None]
) -> None:
    while waited:
        reading = {one["id"] for one in await _pages(session, f"{store}/files?filter=in_progress")}
        left = len(waited & reading)
        progress("read", len(waited) - left, len(waited))
        if not left:
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _faults(session: "ClientSession", store: str, added: Iterable[str]) -> list[tuple[str, str]]:
    failed = {one["id"]: one for one in await _pages(session, f"{store}/files?filter=failed")}
    return [(file, (failed[file].get("last_error") or {}).get("message", "")) for file in added if file in failed]


async def _pages(session: "ClientSession", address: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await _ask(session, "GET", f"{address}&limit=100{after}")
        found += page["data"]
        if not page["has_more"]:
            return found
        after = f"&after={page['last_id']}"


async def _ask(session: "ClientSession", method: str, address: str, **body: Any) -> dict[str, Any]:
    import aiohttp

    try:
        async with session.request(method, address, **body) as answer:
            given: dict[str, Any] = await answer.json(content_type=None)
    except aiohttp.ClientError as fault:
        raise ConnectionError(str(fault) or "the connection was lost") from fault
    except ValueError as fault:
        raise _Refused("the server answered something that is not JSON") from fault
    if answer.status != 200:
        raise _Refused(given["error"]["message"])
    return given


def _bar(done: str, number: int, total: int) -> None:
    filled = _WIDTH * number // total
    bar = "█" * filled + "░" * (_WIDTH - filled)
    click.echo(f"\r  {bar}  {number:>5} of {total} {done:8}", nl=number == total)


def _line(done: str, number: int, total: int) -> None:
    """A line for each tenth."""
    if number and (10 * number // total != 10 * (number - 1) // total or number == total):
        click.echo(f"  {number} of {total} {done}")
